"""`concordat audit outages`: did anything go out that the log does not hold?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import typer

from gateway.cli.audit_options import From, Until, Use, microseconds
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, amount, line, show_json

if TYPE_CHECKING:
    from gateway.audit.search.access import LogReader
    from gateway.audit.search.query import Filters, View

_ENDS: Final = ("exchange.indeterminate", "exchange.late_outcome")
_WITHHELD: Final = "audit-unavailable"


def outages(
    *,
    from_: From = None,
    until: Until = None,
    use: Use = "integrity_and_security",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List exchanges whose end is unknown, answers that were withheld, and incidents of the log.

    An answer is withheld where the log cannot record it. Indices without a gap say that no record
    is missing. Exit 1 where one is, or where an end is unknown: what went out then, only the
    service can tell.
    """
    from gateway.cli.audit_log import reading, recorded_search

    times = {"from_us": from_ and microseconds(from_), "until_us": until and microseconds(until)}
    reader, within = recorded_search(settings_of(home), times, use=use, verb="outages")
    with reading():
        count, missing, open_now = _records(reader)
        ends, withheld, incidents = _found(reader, within)
    if as_json:
        show_json(
            {
                "records": count, "missing": missing, "open": open_now, "end_unknown": ends,
                "withheld": withheld, "incidents": incidents,
            }
        )  # fmt: skip
    else:
        under_way = amount(open_now, "exchange")
        line(f"{amount(count, 'record')}, {missing} missing; {under_way} under way")
        for name, views in (("end unknown", ends), ("withheld", withheld)):
            for view in views:
                line(f"{name}: {view['exchange_id']} {view.get('reason') or ''}".rstrip())
        line(f"{amount(len(incidents), 'incident')} of the log")
    if missing or ends:
        raise typer.Exit(Exit.FAILED)


def _records(reader: LogReader) -> tuple[int, int, int]:
    """Return how many records there are in all shards, are missing, and how many are open."""
    from gateway.audit.reading.reader import find_shards, snapshot

    records = missing = under_way = 0
    for place in find_shards(reader.directory):
        with snapshot(place) as log:
            (end,) = log.execute("SELECT next_index FROM audit_head").fetchone()
            (there,) = log.execute("SELECT count(*) FROM audit_record").fetchone()
            (waiting,) = log.execute("SELECT count(*) FROM audit_open").fetchone()
        records, missing, under_way = records + there, missing + end - there, under_way + waiting
    return records, missing, under_way


def _found(reader: LogReader, within: Filters) -> tuple[list[View], list[View], list[View]]:
    """Return exchanges whose end is unknown, withheld answers, and incidents."""
    from gateway.audit.entry import Kind
    from gateway.audit.search.due import everything
    from gateway.cli.audit_log import tell_shortened

    def found(**asked: Any) -> list[View]:
        wanted, keys = replace(within, **asked), reader.keys
        return list(everything(reader.directory, wanted, keys=keys, shortened=tell_shortened))

    ends = [view for kind in _ENDS for view in found(ended=kind)]
    return ends, found(problem=_WITHHELD), found(kind=Kind.INCIDENT)
