"""`concordat audit outages`: did anything go out that the log does not hold?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.audit_filters import microseconds
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, line, show_json

if TYPE_CHECKING:
    from gateway.audit.search import View

_ENDS: Final = ("exchange.indeterminate", "exchange.late_outcome")
_WITHHELD: Final = "audit-unavailable"


def outages(
    *,
    from_: Annotated[str | None, typer.Option("--from", help="Not before this day.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Before this day.")] = None,
    use: Annotated[str, typer.Option("--use", help="What for: audit search --help.")] = (
        "integrity_and_security"
    ),
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List exchanges whose end is unknown, answers that were withheld, and incidents of the log.

    An answer is withheld where the log cannot record it. Indices without a gap say that no record
    is missing. Exit 1 where one is, or where an end is unknown: what went out then, only the
    service can tell.
    """
    from gateway.audit.due import everything
    from gateway.audit.entry import Kind
    from gateway.audit.reader import snapshot
    from gateway.cli.audit_log import recorded_search, tell_shortened

    times = {"from_us": from_ and microseconds(from_), "until_us": until and microseconds(until)}
    reader, within = recorded_search(settings_of(home), times, use=use, verb="outages")
    place, keys = reader.place(), reader.keys

    def found(**asked: Any) -> list[View]:
        return list(
            everything(place, replace(within, **asked), keys=keys, shortened=tell_shortened)
        )

    with snapshot(place) as log:
        count, last = log.execute("SELECT count(*), max(leaf_index) FROM audit_record").fetchone()
        open_now = log.execute("SELECT count(*) FROM audit_open").fetchone()[0]
    ends = [view for kind in _ENDS for view in found(ended=kind)]
    withheld = found(problem=_WITHHELD)
    incidents = found(kind=Kind.INCIDENT)
    missing = last + 1 - count
    if as_json:
        show_json(
            {
                "records": count, "missing": missing, "open": open_now, "end_unknown": ends,
                "withheld": withheld, "incidents": incidents,
            }
        )  # fmt: skip
    else:
        line(f"{count} records, {missing} missing; {open_now} exchanges under way")
        for name, views in (("end unknown", ends), ("withheld", withheld)):
            for view in views:
                line(f"{name}: {view['exchange_id']} {view.get('reason') or ''}".rstrip())
        line(f"{len(incidents)} incidents of the log")
    if missing or ends:
        raise typer.Exit(Exit.FAILED)
