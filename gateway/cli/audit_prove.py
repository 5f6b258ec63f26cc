"""`concordat audit prove|consistency|diff-checkpoints|monitor`, `audit verify proof|receipt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.audit_options import Use
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, line, show_json, tell

Vkey = Annotated[
    str | None,
    typer.Option(
        metavar="KEY", help="The log's key, as its publisher gives it.", show_default=False
    ),
]
PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="Logs and witnesses to trust, and the quorum (C2SP tlog-policy).",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Default: standard output.", show_default=False)
]
Proofs = Annotated[Path, typer.Argument(metavar="FILE", help="As `audit prove` writes it.")]


def add_proving(audit: typer.Typer) -> None:
    """Add what makes proofs and compares checkpoints."""
    audit.command("prove")(_prove)
    audit.command("consistency")(_consistency)
    audit.command("diff-checkpoints")(_diff_checkpoints)
    audit.command("monitor")(_monitor)


def add_verifying(verify: typer.Typer) -> None:
    """Add what checks single proofs and receipts, as an auditor's five files do."""
    verify.command("proof")(_verify_proof)
    verify.command("receipt")(_verify_receipt)
    verify.command("consistency")(_verify_consistency)


def _prove(
    exchange_id: Annotated[
        str | None,
        typer.Argument(
            metavar="EXCHANGE_ID", help="As in the Exchange-Id of an answer.", show_default=False
        ),
    ] = None,
    *,
    index: Annotated[
        int | None,
        typer.Option(min=0, help="Prove the record at an index instead.", show_default=False),
    ] = None,
    tlog_proof: Annotated[
        bool,
        typer.Option("--tlog-proof", help="Of an index, write the C2SP tlog-proof alone."),
    ] = False,
    out: Out = None,
    use: Use = "integrity_and_security",
    home: Home = None,
) -> None:
    """Prove that the records of an exchange are in the published log. That is recorded first.

    What is written has the entries and a C2SP tlog-proof of each: it says that there was an
    exchange, and when, but not whose or what about. Exit 2 while no checkpoint covers a record.
    """
    from gateway.cli.audit_proofs import prove

    if (exchange_id is None) == (index is None) or (tlog_proof and index is None):
        raise Stop("give an exchange id, or --index and perhaps --tlog-proof")
    _write(prove(settings_of(home), exchange_id, index, tlog_proof=tlog_proof, use=use), out)


def _consistency(
    old: Annotated[str, typer.Argument(metavar="OLD", help="Size, or file of a checkpoint.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Size, or file of a checkpoint.")],
    *,
    out: Out = None,
    home: Home = None,
) -> None:
    """Prove that the log of one size grew into that of another: nothing was changed or removed."""
    from gateway.cli.audit_proofs import prove_growth

    _write(prove_growth(settings_of(home), old, new), out)


def _diff_checkpoints(
    first: Annotated[Path, typer.Argument(metavar="A", help="File of a checkpoint.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="File of another one.")],
    *,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Prefix of the log's checkpoint and tiles.", show_default=False
        ),
    ] = None,
    vkey: Vkey = None,
    policy: PolicyFile = None,
    as_json: Json = False,
) -> None:
    """Tell whether two checkpoints of a log are one history, by the hashes that it serves.

    Exit 0 where they are, 1 where they contradict each other (keep both: they are evidence), 2
    where it cannot be told.
    """
    from gateway.cli.audit_proofs import compare, policy_of

    said, ok = compare(first, second, url, policy_of(vkey, policy))
    _told(said, ok=ok, as_json=as_json)


def _monitor(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Prefix of the log's checkpoint and tiles.")
    ],
    *,
    vkey: Vkey = None,
    policy: PolicyFile = None,
    state: Annotated[
        Path, typer.Option(metavar="FILE", help="The last checkpoint that was seen is kept here.")
    ] = Path("checkpoint.seen"),
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    interval_s: Annotated[
        float, typer.Option("--interval", min=1.0, help="Seconds between looks.")
    ] = 10.0,
    as_json: Json = False,
) -> None:
    """Watch a log: each checkpoint that it publishes must extend the one seen before.

    Needs no account. Ends with exit 1 where the log contradicts itself, and keeps what it served
    then beside the state, as FILE.contradiction. With --once, exit 2 where nothing can be told.
    """
    from gateway.cli.audit_proofs import policy_of, watch

    watch(url, policy_of(vkey, policy), state, once=once, interval_s=interval_s, as_json=as_json)


def _verify_proof(
    proof: Proofs,
    *,
    entry: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Entry, where FILE is a tlog-proof alone.", show_default=False
        ),
    ] = None,
    vkey: Vkey = None,
    policy: PolicyFile = None,
    as_json: Json = False,
) -> None:
    """Check offline that records are in a log. Exit 0 they are, 1 not, 2 it cannot be told."""
    _examine(
        ["proof", str(proof)],
        {"--entry": entry, "--vkey": vkey, "--policy": policy},
        as_json=as_json,
    )


def _verify_receipt(
    receipt: Annotated[Path, typer.Argument(metavar="FILE", help="The receipt, a compact JWS.")],
    *,
    jwks: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Receipt keys, as a JWK Set.", show_default=False),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The key, as the x of its JWK.", show_default=False)
    ] = None,
    announced: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The log's own announcement of its key.", show_default=False
        ),
    ] = None,
    proof: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Proofs of the exchange: was it kept?", show_default=False
        ),
    ] = None,
    vkey: Vkey = None,
    policy: PolicyFile = None,
    as_json: Json = False,
) -> None:
    """Check a receipt offline, and with --proof whether the log kept what it promised."""
    given = {"--jwks": jwks, "--key": key, "--announced": announced, "--proof": proof}
    _examine(
        ["receipt", str(receipt)], {**given, "--vkey": vkey, "--policy": policy}, as_json=as_json
    )


def _verify_consistency(
    proof: Annotated[Path, typer.Argument(metavar="FILE", help="As `audit consistency` writes.")],
    *,
    old: Annotated[Path, typer.Option(metavar="FILE", help="The earlier checkpoint.")],
    vkey: Vkey = None,
    policy: PolicyFile = None,
    as_json: Json = False,
) -> None:
    """Check offline that a checkpoint extends an earlier one that you kept."""
    _examine(
        ["consistency", str(proof)],
        {"--old": old, "--vkey": vkey, "--policy": policy},
        as_json=as_json,
    )


def _examine(words: list[str], given: dict[str, Path | str | None], *, as_json: bool) -> None:
    from gateway.audit.tiles import examine

    options = [
        word for name, value in given.items() if value is not None for word in (name, str(value))
    ]
    code, said = examine([*words, *options])
    if as_json:
        show_json({"ok": None if code == Exit.UNUSABLE else code == Exit.OK, "said": said})
    else:
        for text in said:
            (tell if code else line)(text)
    raise typer.Exit(code)


def _told(said: str, *, ok: bool | None, as_json: bool) -> None:
    if as_json:
        show_json({"ok": ok, "said": [said]})
    else:
        (line if ok else tell)(said)
    code = Exit.UNUSABLE if ok is None else Exit.OK if ok else Exit.FAILED
    raise typer.Exit(code)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        line(text.removesuffix("\n"))
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as failure:
        raise Stop(f"{out} cannot be written: {failure.strerror}") from None
