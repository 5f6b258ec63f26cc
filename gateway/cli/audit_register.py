"""`concordat audit register`: every agreement beside what flowed under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.audit_options import Use
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, amount, line, show_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.audit.search.access import LogReader
    from gateway.registry.store import State
    from gateway.settings import Settings
    from policies.agreement import Agreement

FAULTS: Final = (
    "not in the registry",
    "not signed by",
    "no DPIA",
    "no policy document",
    "review overdue",
    "no register entry",
)
"""How the sentences begin that say what an agreement lacks."""


def register(
    agreement: Annotated[
        str | None, typer.Argument(metavar="AGREEMENT", help="Default: all.")
    ] = None,
    *,
    use: Use = "verify_lawfulness",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List every version of every agreement, what flowed under it, and what it lacks.

    Who advised, decided and signed; register entry; parties, datasets; first and last exchange.
    Exit 1 where exchanges happened under a version that is unknown, or that not all parties signed.
    """
    from gateway.cli.audit_log import reading, recorded_search
    from gateway.cli.audit_table import instant

    settings = settings_of(home)
    asked = {"agreement": agreement} if agreement else {}
    reader, _ = recorded_search(settings, asked, use=use, verb="register")
    with reading():
        rows = [row for row in _rows(settings, reader) if agreement in (None, row["agreement"])]
    if agreement and not rows:
        raise Stop(f"there is no agreement {agreement}", mend="concordat agreement list")
    if as_json:
        show_json({"agreements": rows})
    else:
        for row in rows:
            exchanges = amount(row["exchanges"], "exchange")
            line(f"{row['agreement']} version {row['version']}, {exchanges}")
            if row["exchanges"]:
                line(f"  from {instant(row['first_us'])} to {instant(row['last_us'])}")
            line(f"  register entry {row['register'] or 'none'}; {', '.join(row['datasets'])}")
            for step in row["governance"]:
                at = step["at"].replace("+00:00", "Z").replace("T", " ")
                line(f"  {at} {step['step']} {step['outcome']}: {step['org']} {step['role']}")
            for fault in row["faults"]:
                line(f"  ! {fault}")
    unsigned = [row for row in rows if row["exchanges"] and _unsigned(row["faults"])]
    if unsigned:
        raise typer.Exit(Exit.FAILED)


@dataclass(frozen=True, slots=True)
class _Flow:
    """What flowed under one text of an agreement."""

    exchanges: int = 0
    first_us: int | None = None
    last_us: int | None = None


def _rows(settings: Settings, reader: LogReader) -> Iterator[dict[str, Any]]:
    from gateway.cli.configuration import open_registry
    from gateway.registry.documents import Kind
    from policies.document import digest, read_agreement

    with open_registry(settings) as registry:
        states: list[State] = [
            state
            for key in sorted(registry.newest(Kind.AGREEMENT))
            for state in reversed(registry.history(Kind.AGREEMENT, key))
        ]
    flows = _flows(reader)
    for state in states:
        text = dict(state.document)
        known = read_agreement(text)
        key = (known.agreement_id, str(known.version), digest(text))
        yield _row(key, flows.pop(key, _Flow()), known)
    for key, flow in flows.items():
        yield _row(key, flow, None)


def _flows(reader: LogReader) -> dict[tuple[str, str, str], _Flow]:
    """Return what flowed by agreement, version and digest; only permits let anything flow."""
    from gateway.audit.search.count import count
    from gateway.audit.search.query import Filters

    by = ("agreement", "version", "digest")
    found: dict[tuple[str, str, str], _Flow] = {}
    for decision in ("permit", "permit_break_glass"):
        for row in count(reader.directory, Filters(decision=decision), by, keys=reader.keys).rows:
            identifier, version, text = row.group
            key = (identifier, version, text)
            before = found.get(key, _Flow())
            firsts = [at for at in (before.first_us, row.first_us) if at is not None]
            lasts = [at for at in (before.last_us, row.last_us) if at is not None]
            found[key] = _Flow(
                before.exchanges + (row.exchanges or 0),
                min(firsts, default=None),
                max(lasts, default=None),
            )
    return found


def _row(key: tuple[str, str, str], flow: _Flow, known: Agreement | None) -> dict[str, Any]:
    dea = known.legal.dea if known else None
    return {
        "agreement": key[0],
        "version": key[1],
        "digest": key[2],
        "exchanges": flow.exchanges,
        "first_us": flow.first_us,
        "last_us": flow.last_us,
        "register": dea.register_id if dea else None,
        "parties": [party.ref for party in known.parties] if known else [],
        "datasets": [dataset.dataset for dataset in known.datasets] if known else [],
        "governance": [_step(step) for step in known.governance] if known else [],
        "faults": list(_faults(known)),
    }


def _step(step: Any) -> Mapping[str, str]:
    return {
        "at": step.at.isoformat(),
        "step": step.step,
        "role": step.role,
        "org": step.org,
        "outcome": step.outcome,
    }


def _faults(known: Agreement | None) -> Iterator[str]:
    from gateway.clock import SystemClock
    from policies.decision import PUBLIC

    if known is None:
        yield f"{FAULTS[0]}: no such text was ever applied"
        return
    signed = {
        step.org
        for step in known.governance
        if (step.step, step.outcome) == ("signature", "signed")
    }
    missing = [party.ref for party in known.parties if party.ref not in {PUBLIC, *signed}]
    if missing:
        yield f"{FAULTS[1]} {', '.join(missing)}"
    if known.legal.dpia is None:
        yield FAULTS[2]
    if known.legal.appropriate_policy_document is None:
        yield FAULTS[3]
    if known.term.review_by < SystemClock().now().date():
        yield f"{FAULTS[4]} since {known.term.review_by}"
    if known.legal.dea is not None and known.legal.dea.register_id is None:
        yield FAULTS[5]


def _unsigned(faults: list[str]) -> bool:
    return any(fault.startswith(FAULTS[:2]) for fault in faults)
