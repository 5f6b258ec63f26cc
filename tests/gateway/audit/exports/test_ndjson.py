"""The lines of an export, and the subtrees that stand for what is left out."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.exports.ndjson import gap_lines, gaps, ndjson_lines, sections_of
from gateway.audit.exports.selection import Picked, Selection, pick
from gateway.audit.reading.reader import snapshot
from gateway.audit.tree import StoredTree
from tests.gateway.audit.exporting import RECORDS, export_log


@settings(deadline=None)
@given(start=st.integers(0, 5_000), length=st.integers(0, 5_000))
def test_gaps_are_covered_by_perfect_subtrees(start: int, length: int) -> None:
    """They follow one another, each as large as its place and the end allow."""
    covered = list(gaps(start, start + length))
    assert [first for first, _ in covered] == [start, *[last for _, last in covered]][
        : len(covered)
    ]
    assert sum(last - first for first, last in covered) == length
    for first, last in covered:
        count = last - first
        assert count & (count - 1) == 0
        assert first % count == 0
    assert len(covered) <= 2 * 14


def test_records_stand_where_their_lines_belong(tmp_path: Path) -> None:
    """The lines of an export are those of its gaps with a record's line for each record."""
    log = export_log(tmp_path)
    with snapshot(log) as db:
        picks = list(pick(db, Selection(decision="deny"), end=RECORDS))
        head = {"origin": "x"}
        lines = list(ndjson_lines(head, picks, StoredTree(db), RECORDS, "note"))
        parts = list(gap_lines(head, picks, StoredTree(db), RECORDS, "note"))
    assert len(lines) == len(parts)
    assert [item for item in parts if isinstance(item, Picked)] == picks
    assert lines[0] == b'{"origin":"x"}\n'
    assert lines[-1] == b'{"checkpoint":"note"}\n'
    assert sections_of(picks[0])["subject"] == "closed"
