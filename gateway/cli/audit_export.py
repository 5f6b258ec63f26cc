"""`concordat audit export`, `audit verify export`: records taken elsewhere, and checked there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.audit.exports.export import ExportFormat
from gateway.cli.audit_options import From, Until, Use, microseconds
from gateway.cli.audit_prove import PolicyFile
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, amount, line, show_json
from gateway.cli.progress import progress

if TYPE_CHECKING:
    from gateway.audit.exports.exported import Summary

Vkeys = Annotated[
    list[str] | None,
    typer.Option(
        "--vkey",
        help="The log's key, as its publisher gives it; repeat it for an export of several shards.",
        show_default=False,
    ),
]
Out = Annotated[
    Path, typer.Option(metavar="FILE", help="New file to write; for parquet, a new directory.")
]
Form = Annotated[
    ExportFormat,
    typer.Option(
        "--format",
        help="ndjson and parquet carry what proves them; csv, ocsf (API Activity) and fhir "
        "(AuditEvent) are for other programs.",
    ),
]
Organisation = Annotated[str | None, typer.Option(help="Consumer or provider.")]
Agreement = Annotated[str | None, typer.Option(help="Agreement id.")]
Purpose = Annotated[str | None, typer.Option(help="Purpose code.")]
Decision = Annotated[str | None, typer.Option(help="permit, permit_break_glass, deny.")]
Reason = Annotated[str | None, typer.Option(help="Reason code of the first record.")]
Service = Annotated[str | None, typer.Option(help="Connector of the service.")]
OfKind = Annotated[str | None, typer.Option(help="Records of one kind only.")]
Personal = Annotated[
    bool,
    typer.Option("--personal", help="Open personal sections: who asked, from where, about whom."),
]


def export(
    *,
    out: Out,
    form: Form = ExportFormat.NDJSON,
    from_: From = None,
    until: Until = None,
    organisation: Organisation = None,
    agreement: Agreement = None,
    purpose: Purpose = None,
    decision: Decision = None,
    reason: Reason = None,
    service: Service = None,
    kind: OfKind = None,
    personal: Personal = False,
    use: Use = "self_monitoring",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write records to a file. That you did is recorded in the log before the first byte leaves.

    Records are those of all shards. An export of ndjson or parquet ends at the newest checkpoint,
    and whoever has the log's public key can check it offline: concordat audit verify export FILE
    --vkey KEY.
    """
    from gateway.cli.audit_exports import export_log

    filters = {
        "from_us": from_ and microseconds(from_),
        "until_us": until and microseconds(until),
        "organisation": organisation,
        "agreement": agreement,
        "purpose": purpose,
        "decision": decision,
        "reason": reason,
        "service": service,
        "kind": kind,
    }
    with progress("Exporting", enabled=not as_json) as told:
        written = export_log(
            settings_of(home), filters, form, out, use=use, personal=personal, told=told
        )
    if as_json:
        show_json(written)
        return
    line(f"{out}: {written['amount']} {written['unit']}, recorded at index {written['index']}")
    if "vkeys" in written:
        given = keys_given(written["vkeys"])
        line(f"check it with: concordat audit verify export {out} {given}")


def keys_given(vkeys: Sequence[str]) -> str:
    """Return keys as a command takes them."""
    return " ".join(f"--vkey {vkey}" for vkey in vkeys)


def verify_export(
    file: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="What `audit export` wrote.")],
    *,
    vkey: Vkeys = None,
    policy: PolicyFile = None,
    as_json: Json = False,
) -> None:
    """Check an export offline: every record, every opening, and that a signed head covers them.

    Give the log's key, that of each shard if the export is of several, or a policy that says whose
    signatures and cosignatures the heads need. Exit 0 where everything holds, 1 where something
    differs (with the index of the record), 2 where it cannot be told.
    """
    from gateway.audit.exports.check import check_export
    from gateway.audit.exports.exported import KeyMalformed, KeyMissing, Unreadable
    from gateway.cli.audit_proofs import policy_of

    trusted = vkey if policy is None and vkey else policy_of(None, policy)
    try:
        found = check_export(file, trusted)
    except (KeyMalformed, KeyMissing) as unusable:
        mend = "copy it whole: --vkey NAME+ID+KEY; repeat it for each shard"
        raise Stop(str(unusable), mend=mend) from None
    except (OSError, Unreadable) as failure:
        raise Stop(f"{file}: {failure}", mend="give a file of `concordat audit export`") from None
    ok = all(shard.ok for shard in found)
    if as_json:
        shards = list(map(_shown, found))
        show_json(shards[0] if len(shards) == 1 else {"ok": ok, "shards": shards})
    else:
        for shard in found:
            _tell(shard)
        faults = sum(len(shard.faults) for shard in found)
        line("verified" if ok else f"NOT VERIFIED: {amount(faults, 'fault')}")
    raise typer.Exit(Exit.OK if ok else Exit.FAILED)


def _shown(found: Summary) -> dict[str, object]:
    faults = [{"index": at, "what": what} for at, what in found.faults]
    return {**found._asdict(), "ok": found.ok, "faults": faults}


def _tell(found: Summary) -> None:
    for at, what in found.faults:
        line(what if at < 0 else f"index {at}: {what}")
    line(f"{amount(found.records, 'record')} of {found.origin}, signed at size {found.size}")
    line(f"sections: {found.opened} opened, {found.erased} erased, {found.closed} closed")
    if found.complete:
        line(f"complete from index {found.complete[0]} to {found.complete[1]}")
