"""Public counts: nothing small, nothing fine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.audit.entry import Kind
from gateway.audit.search.count import PERIODS, Count, Counts, count
from gateway.audit.search.index import Watermark
from gateway.audit.search.public_counts import publishable
from gateway.audit.search.query import Filters
from tests.gateway.audit.records import keys_in, provisioned, using
from tests.gateway.audit.search.test_count import exchanged

WEEK_US = PERIODS["week"]


def test_public_counts_hold_no_small_number(tmp_path: Path) -> None:
    """1 to 7 are not told, others are rounded to five; no client is named, no first or last."""
    provisioned(tmp_path)
    using(tmp_path, exchanged)
    counts = count(tmp_path / "audit", Filters(), ["purpose"], keys=keys_in(tmp_path))
    assert all(row.first_us and row.last_us for row in counts.rows)
    assert publishable(counts, Filters(), ["purpose"]).rows == (
        Count(group=("CARE",), exchanges=10, records=20, people=10, dropped=0),
        Count(group=("FUEL",), exchanges=None, records=None, people=None, dropped=0),
    )
    with pytest.raises(ValueError, match="public counts"):
        publishable(counts, Filters(), ["client"])


@pytest.mark.parametrize(
    "asked",
    [
        {"client": "client-0"}, {"actor": "SYNTHETIC-USER"}, {"case": "CASE-1"}, {"status": 200},
        {"break_glass": True}, {"alert": False}, {"kind": Kind.CHANGE},
        {"from_us": WEEK_US + 1}, {"until_us": WEEK_US // 7},
    ],
)  # fmt: skip
def test_public_counts_are_of_nobody_and_of_whole_weeks(asked: dict[str, Any]) -> None:
    """What may not divide may not filter either: one client's hour, one user, one case."""
    counts = Counts(rows=(), watermark=Watermark(next_index=0, at_us=0))
    with pytest.raises(ValueError, match="public counts are"):
        publishable(counts, Filters(**asked), ["purpose"])
    allowed = Filters(purpose="CARE", agreement="DSA-1", from_us=WEEK_US, until_us=2 * WEEK_US)
    assert publishable(counts, allowed, ["purpose", "week"]) == counts
