"""The rows of a log, each held against the entry that is its leaf: the first half of verification.

Like the five modules that it builds on, it needs the standard library and `cryptography` alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from gateway.audit.entry import EntryInvalid, Row, check_row, unwrap_keys
from gateway.audit.merkle import EMPTY_ROOT
from gateway.audit.verify import Erased, Findings, Sealed, Span

# How many rows are looked at together: four tiles.
SPAN_ROWS: Final = 1_024

# Answers a day's key-encryption key, or None once it was destroyed.
DayKey = Callable[[int], bytes | None]
# Looks at whole rows from an index on: answers their leaf hashes, joined, and how many of their
# sections are sealed, or None where it cannot tell at a glance.
Glance = Callable[[Sequence[Row], int], tuple[bytes, int] | None]


def check_rows(
    rows: Iterable[Row],
    first: int,
    end: int,
    *,
    origin: str,
    day_key: DayKey | None = None,
    glance: Glance | None = None,
) -> Iterator[Span]:
    """Check the rows that a log has for the indices from `first` up to `end`, in index order.

    1. Rows are numbered without gap, and each entry has its leaf hash and its columns' values.
    2. Each section, opened where `day_key` allows, has the commitment that the entry holds.

    Rows may be plain tuples. `glance` spares the full reading of what it sees to be whole. Parts of
    a log may be checked in any order and process.
    """
    checks = _Rows(first, end, origin, day_key)
    remaining = iter(rows)
    while batch := list(islice(remaining, SPAN_ROWS)):
        yield checks.take(batch, None if day_key else glance)


def join_spans(spans: Iterable[Span]) -> Span:
    """Return spans that follow one another as one."""
    findings = Findings()
    leaves = []
    for span in spans:
        leaves.append(span.leaves)
        findings.add(span)
    return findings.span(b"".join(leaves))


class _Rows:
    """Checks rows, at a glance where that is enough."""

    def __init__(self, first: int, end: int, origin: str, day_key: DayKey | None) -> None:
        self._next, self._end = first, end
        self._origin = origin
        self._day_key = day_key
        self._day_keys: dict[int, bytes | None] = {}
        self._leaves: list[bytes] = []
        self._findings = Findings()

    def take(self, rows: Sequence[Row], glance: Glance | None) -> Span:
        self._leaves, self._findings = [], Findings()
        if glance is None or not self._pass(rows, glance):
            for row in rows:
                if glance is None or not self._pass([row], glance):
                    self._read(Row(*row))
        return self._findings.span(b"".join(self._leaves))

    def _pass(self, rows: Sequence[Row], glance: Glance) -> bool:
        seen = glance(rows, self._next) if self._next + len(rows) <= self._end else None
        if seen is None:
            return False
        self._leaves.append(seen[0])
        self._findings.add(Span(b"", sealed=Sealed(unopened=seen[1])))
        self._next += len(rows)
        return True

    def _read(self, row: Row) -> None:
        index = row.leaf_index
        if not self._next <= index < self._end:
            self._findings.fault(index, "a record where the log has no place for it")
            return
        if index != self._next:
            self._findings.fault(self._next, f"records {self._next} to {index - 1} are missing")
            # The tree goes on at the index that the row claims, so that one gap is one fault.
            self._leaves.append(EMPTY_ROOT * (index - self._next))
        self._next = index + 1
        if {type(row.entry), type(row.sections)} != {bytes}:  # a schema may have been changed
            self._leaves.append(EMPTY_ROOT)
            self._findings.fault(index, "a column is not of its type")
            return
        computed = hashlib.sha256(b"\0" + row.entry).digest()
        self._leaves.append(computed)
        if computed != row.leaf_hash:
            self._findings.fault(index, "the entry does not have its leaf hash")
        try:
            sections = check_row(row, self._keys_of(row), self._origin)
        except EntryInvalid as invalid:
            self._findings.fault(index, str(invalid))
            return
        sealed = Sealed(sections.opened, len(sections.erased), sections.unopened)
        erased = tuple([Erased(index, name) for name in sections.erased])
        self._findings.add(Span(b"", sealed=sealed, erased_from=erased))

    def _keys_of(self, row: Row) -> dict[str, bytes] | None:
        """Return the keys a row has left, or None where this verification cannot know them."""
        if self._day_key is None:
            return None
        if row.wrapped_keys is None or row.day is None:
            return {}
        if row.day not in self._day_keys:
            self._day_keys[row.day] = self._day_key(row.day)
        kek = self._day_keys[row.day]
        if kek is None:
            return {}
        return unwrap_keys(kek, self._origin, row.record_id, row.wrapped_keys)
