"""Duties on Parquet answers: the same as on CSV, and the file is written anew."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from gateway.exchange.duties.applied import (
    Applied,
    Shape,
    Withheld,
    not_applicable,
    volume_exceeded,
    withheld_names,
)
from gateway.exchange.duties.parquet_table import (
    ParquetTable,
    ParquetUnreadable,
    texts_of,
    values_of,
)
from gateway.exchange.duties.row_rules import DROP, KEEP, REDACT, Fate, RowRules, people, row_rules
from gateway.exchange.duties.small_numbers import (
    count_columns,
    is_safe_count,
    small_numbers_withheld,
)
from policies.decision import Duties

_UNREADABLE: Final = not_applicable("The service's answer is not Parquet that can be read safely.")
_NO_COLUMN: Final = not_applicable("The service's answer has none of the fields that may leave.")
_STRUCTURED: Final = not_applicable("A field that may leave has a list or an object as its value.")


def apply_to_parquet(duties: Duties, shape: Shape, body: bytes) -> Applied | Withheld:
    """Apply `duties` to a Parquet answer; total but for a file that brings the process down.

    The file that leaves is a new one: key-value metadata, statistics, indexes, dictionaries and
    unused bytes of the service's file have no part in it. A redacted value is null. A column that
    may leave and holds lists or objects withholds the answer, as in JSON.
    """
    try:
        table = ParquetTable(body)
        kept = [name for name in table.names if duties.allowed is None or name in duties.allowed]
        if not kept:
            return _NO_COLUMN
        if table.has_structure(kept):
            return _STRUCTURED
        rules = row_rules(duties, shape)
        counts = [name for name in table.names if name in count_columns(shape.count_at)]
        if duties.small_number_guard and (not counts or table.has_structure(counts)):
            return small_numbers_withheld()
        judged = _judge(table, rules, kept, counts if duties.small_number_guard else [])
    except ParquetUnreadable:
        return _UNREADABLE
    if not judged.counts_are_safe:
        return small_numbers_withheld()
    exceeded = volume_exceeded(duties, judged.rows)
    if exceeded is not None:
        return exceeded
    fields_withheld, leaked = withheld_names(duties, frozenset(table.names), rules.columns)
    subjects, subjects_counted = people(judged.persons, shape.known_subjects)
    return Applied(
        body=judged.body,
        records=judged.rows,
        records_dropped=judged.dropped,
        subjects=subjects,
        subjects_counted=subjects_counted,
        redacted_subjects=people(judged.redacted, frozenset())[1],
        fields_sent=() if duties.allowed is None else tuple(sorted(kept)),
        fields_withheld=fields_withheld,
        leaked=leaked,
    )


class _Judged(NamedTuple):
    """The new file, how many rows it has, whom they are about, and who was redacted."""

    body: bytes
    rows: int
    dropped: int
    persons: list[str | None]
    redacted: list[str | None]
    counts_are_safe: bool


def _judge(table: ParquetTable, rules: RowRules, kept: list[str], counts: list[str]) -> _Judged:
    """Judge all rows and write those that may leave, until a count is found that may not."""
    # A column to check that is nested tells nothing, as if it were absent.
    checked = [
        name for name in rules.columns if name in table.names and not table.has_structure([name])
    ]
    names = [name for name in table.names if name in {*kept, *checked, *counts}]
    writing = table.writer(kept)
    persons: list[str | None] = []
    redacted: list[str | None] = []
    rows = dropped = 0
    safe = True
    for batch in table.batches(names):
        safe = all(is_safe_count(count) for name in counts for count in values_of(batch[name]))
        if not safe:
            break
        fates, people_of_rows = _fates(batch, rules, checked)
        leaving = [fate is not DROP for fate in fates]
        hidden = [fate is REDACT for fate in fates]
        writing.add(batch, leaving, hidden, rules.redact)
        rows += sum(leaving)
        dropped += len(leaving) - sum(leaving)
        if rules.counts:
            persons += [one for one, leaves in zip(people_of_rows, leaving, strict=True) if leaves]
        redacted += [one for one, hides in zip(people_of_rows, hidden, strict=True) if hides]
    return _Judged(writing.close(), rows, dropped, persons, redacted, safe)


def _fates(batch: Any, rules: RowRules, checked: list[str]) -> tuple[list[Fate], list[str | None]]:
    """Return what becomes of each row, and the identifier of its person."""
    unknown: list[str | None] = [None] * batch.num_rows
    columns = [texts_of(batch[name]) if name in checked else unknown for name in rules.columns]
    fates = [KEEP] * batch.num_rows
    if rules.judges:
        fates = [rules.fate(values) for values in zip(*columns, strict=True)]
        if not columns:
            fates = [rules.fate(()) for _ in range(batch.num_rows)]
    return fates, unknown if rules.subject is None else columns[rules.subject]
