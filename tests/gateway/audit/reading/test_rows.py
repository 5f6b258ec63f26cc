"""Rows held against their entries, apart and together."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.entry import KIND_CODES, Row
from gateway.audit.reading.rows import check_rows, join_spans
from gateway.audit.seal import Sealer
from gateway.audit.verify import Erased, Fault, Sealed
from tests.gateway.audit.records import ORIGIN, intent, keys_in

ROWS = 6


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Rows with one sealed section each, whose keys are gone."""
    sealer = Sealer(ORIGIN, keys_in(tmp_path))
    made = [sealer.seal(intent()) for _ in range(ROWS)]
    return [
        Row(
            index, one.record_id, one.exchange, KIND_CODES[one.kind], one.at_us, one.leaf_hash,
            one.entry, one.sections, None, None,
        )
        for index, one in enumerate(made)
    ]  # fmt: skip


def no_key(_day: int) -> None:
    """Answer for a day whose key was destroyed."""


def test_what_was_erased_is_told_by_index_and_name(rows: list[Row]) -> None:
    """A section without a key is no fault, and its leaf stays (I9)."""
    span = join_spans(check_rows(rows, 0, ROWS, origin=ORIGIN, day_key=no_key))
    assert span.sealed == Sealed(erased=ROWS)
    assert span.erased_from == tuple([Erased(index, "actor") for index in range(ROWS)])
    assert (span.faults, span.faults_in_all) == ((), 0)
    assert span.leaves == b"".join([row.leaf_hash for row in rows])


def test_parts_say_together_what_the_whole_says(rows: list[Row]) -> None:
    """Parts may be checked apart: joined they are what one look at all of them finds (F20)."""
    rows[4] = rows[4]._replace(at_us=1)
    del rows[1]
    whole = join_spans(check_rows(rows, 0, ROWS, origin=ORIGIN))
    parts = [
        span
        for first, end in ((0, 3), (3, ROWS))
        for span in check_rows(
            [row for row in rows if first <= row.leaf_index < end], first, end, origin=ORIGIN
        )
    ]
    assert join_spans(parts) == whole
    assert whole.faults == (
        Fault(1, "records 1 to 1 are missing"),
        Fault(4, "a column says other than the entry"),
    )
    assert whole.sealed == Sealed(unopened=ROWS - 2)
