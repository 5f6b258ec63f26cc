"""`concordat audit count|reach`: how many, by what, and how far some exchanges reached."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.audit_filters import Filtered, filtered
from gateway.cli.audit_options import Use
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Stop, amount, show, show_json, tell

if TYPE_CHECKING:
    from gateway.audit.search.count import Count
    from gateway.audit.search.index import Watermark


@filtered
def count(
    *,
    filters: Filtered,
    by: Annotated[
        list[str],
        typer.Option("--by", help="What to divide by: a word, client, hour, day or week; repeat."),
    ],
    public: Annotated[
        bool,
        typer.Option(
            "--public",
            help="For publication: no number of 1 to 7, others to five; by agreement, purpose, "
            "service, dataset, party, decision and whole weeks (from Thursdays) only.",
        ),
    ] = False,
    use: Use = "self_monitoring",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Count exchanges, with the records and people that they disclosed, the greatest first."""
    from gateway.audit.search.count import PERIODS
    from gateway.audit.search.count import count as counted
    from gateway.audit.search.public_counts import publishable
    from gateway.cli.audit_log import reading, recorded_search

    reader, wanted = recorded_search(settings_of(home), filters, use=use, verb="count")
    try:
        with reading():
            counts = counted(reader.directory, wanted, by, keys=reader.keys)
        counts = publishable(counts, wanted, by) if public else counts
    except ValueError as invalid:
        raise Stop(str(invalid), mend="concordat audit count --by purpose --by week") from None
    if as_json:
        rows = [
            {"group": dict(zip(by, row.group, strict=True)), **_numbers(row)} for row in counts.rows
        ]
        show_json({"counts": rows, "indexed": _mark(counts.watermark)})
        return
    from rich import box
    from rich.table import Table

    from gateway.cli.audit_table import instant

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in (*by, *_numbers_of()):
        table.add_column(name, overflow="fold")
    for row in counts.rows:
        words = [
            instant(int(word)) if name in PERIODS else word
            for name, word in zip(by, row.group, strict=True)
        ]
        table.add_row(*words, *[_shown(number) for number in _numbers(row).values()])
    show(table)
    tell(f"Indexed: {amount(counts.watermark.next_index, 'record')}.")


@filtered
def reach(
    *, filters: Filtered, use: Use = "self_monitoring", home: Home = None, as_json: Json = False
) -> None:
    """Tell how many people and records some exchanges reached, for the report of a breach.

    With --client, --token, --agreement or a range of time. People are told apart by their tags, and
    nobody is named.
    """
    from gateway.audit.search.count import reach as reached
    from gateway.cli.audit_log import reading, recorded_search
    from gateway.cli.audit_table import facts_table

    reader, wanted = recorded_search(settings_of(home), filters, use=use, verb="reach")
    with reading():
        found = asdict(reached(reader.directory, wanted, keys=reader.keys))
    mark = found.pop("watermark")
    if as_json:
        show_json({**found, "indexed": {"next_index": mark["next_index"], "at": mark["at_us"]}})
        return
    show(facts_table(found))
    tell(f"Indexed: {amount(mark['next_index'], 'record')}.")


def _numbers_of() -> tuple[str, ...]:
    return ("exchanges", "records", "people", "dropped")


def _numbers(row: Count) -> dict[str, int | None]:
    return {name: getattr(row, name) for name in _numbers_of()}


def _shown(number: int | None) -> str:
    return "1 to 7" if number is None else str(number)


def _mark(watermark: Watermark) -> dict[str, int]:
    return {"next_index": watermark.next_index, "at": watermark.at_us}
