"""Duties on CSV answers: columns and rows filtered, cells as they arrived."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from gateway.exchange.duties.applied import (
    Applied,
    Shape,
    Withheld,
    not_applicable,
    volume_exceeded,
    withheld_names,
)
from gateway.exchange.duties.csv_table import (
    CsvUnreadable,
    Table,
    cell_value,
    read_table,
    write_rows,
)
from gateway.exchange.duties.row_rules import DROP, KEEP, REDACT, RowRules, people, row_rules
from gateway.exchange.duties.small_numbers import (
    count_columns,
    is_safe_count,
    small_numbers_withheld,
)
from policies.decision import Duties

UNREADABLE: Final = not_applicable("The service's answer is not CSV that can be read safely.")
NO_COLUMN: Final = not_applicable("The service's answer has none of the fields that may leave.")


def apply_to_csv(duties: Duties, shape: Shape, body: bytes) -> Applied | Withheld:
    """Apply `duties` to a CSV answer; total.

    A redacted cell is left empty, for a table has no other way to say nothing.
    """
    try:
        table = read_table(body)
    except CsvUnreadable:
        return UNREADABLE
    if duties.small_number_guard and not _counts_are_safe(table, shape.count_at):
        return small_numbers_withheld()
    kept = kept_columns(duties, table.names)
    if not kept:
        return NO_COLUMN
    rules = row_rules(duties, shape)
    judged = judge_rows(table.names, table.rows, rules)
    exceeded = volume_exceeded(duties, len(judged.rows))
    if exceeded is not None:
        return exceeded
    if duties.allowed is not None or rules.judges:
        body = write_rows(table, kept_cells(kept, (table.header, *judged.rows)))
    fields_withheld, leaked = withheld_names(duties, frozenset(table.names), rules.columns)
    subjects, subjects_counted = people(judged.persons, shape.known_subjects)
    return Applied(
        body=body,
        records=len(judged.rows),
        records_dropped=len(table.rows) - len(judged.rows),
        subjects=subjects,
        subjects_counted=subjects_counted,
        redacted_subjects=people(judged.redacted, frozenset())[1],
        fields_sent=() if duties.allowed is None else tuple(sorted(table.names[at] for at in kept)),
        fields_withheld=fields_withheld,
        leaked=leaked,
    )


def _counts_are_safe(table: Table, count_at: tuple[str, ...]) -> bool:
    """Whether every count in the table is safe; without a column of counts nobody can tell."""
    counts = count_columns(count_at)
    columns = [at for at, name in enumerate(table.names) if name in counts]
    return bool(columns) and all(
        is_safe_count(cell_value(row[at])) for row in table.rows for at in columns
    )


class Judged(NamedTuple):
    """The rows that may leave, in their order, whom they are about, and who was redacted."""

    rows: list[list[str]]
    persons: list[str | None]
    redacted: list[str | None]


def kept_columns(duties: Duties, names: Sequence[str]) -> list[int]:
    """Return the places of the columns that may leave."""
    return [at for at, name in enumerate(names) if duties.allowed is None or name in duties.allowed]


def judge_rows(names: Sequence[str], rows: Iterable[list[str]], rules: RowRules) -> Judged:
    """Decide on each of `rows` by itself; cells that are redacted are emptied in place."""
    judged = Judged([], [], [])
    places = [names.index(name) if name in names else None for name in rules.columns]
    redact = [at for at, name in enumerate(names) if name in rules.redact]
    for row in rows:
        values = [None if at is None else cell_value(row[at]) for at in places]
        fate = rules.fate(values) if rules.judges else KEEP
        if fate is DROP:
            continue
        person = None if rules.subject is None else values[rules.subject]
        if fate is REDACT:
            for at in redact:
                row[at] = ""
            judged.redacted.append(person)
        if rules.counts:
            judged.persons.append(person)
        judged.rows.append(row)
    return judged


def kept_cells(kept: Sequence[int], rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Return the cells to write; an only one that is empty is quoted, or its row would be a gap."""
    lines = [[row[at] for at in kept] for row in rows]
    if len(kept) == 1:
        lines = [[cells[0] or '""'] for cells in lines]
    return lines
