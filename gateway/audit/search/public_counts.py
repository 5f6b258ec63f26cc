"""Counts for publication: no number so small, no division so fine, that it tells of one person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Final

from gateway.audit.search.count import PERIODS, Count, Counts
from gateway.audit.search.query import Filters

PUBLIC: Final = frozenset(
    {"agreement", "purpose", "service", "dataset", "consumer", "provider", "decision", "week"}
)
"""What public counts may be divided and filtered by: nothing that tells of one person's hour."""
SMALL_MAX: Final = 7
ROUNDED_TO: Final = 5


def publishable(counts: Counts, filters: Filters, by: Sequence[str]) -> Counts:
    """Return counts that may be published: none of 1 to 7, all others rounded to five.

    The rule of the small-number guard, so that no two series give a small one by subtraction.
    Raises ValueError for a division, a filter or a range of time that is not for the public: they
    would tell of one person, or of one hour, what the division may not.
    """
    times = {"from_us": filters.from_us, "until_us": filters.until_us}
    asked = {
        field.name for field in fields(filters) if getattr(filters, field.name) is not None
    } - set(times)
    if (set(by) | asked) - PUBLIC:
        raise ValueError(f"public counts are divided and filtered by: {', '.join(sorted(PUBLIC))}")
    if any(at_us is not None and at_us % PERIODS["week"] for at_us in times.values()):
        raise ValueError("public counts are of whole weeks: they begin on Thursdays, 00:00 UTC")
    rows = [
        Count(
            group=row.group,
            exchanges=_public(row.exchanges),
            records=_public(row.records),
            people=_public(row.people),
            dropped=_public(row.dropped),
        )
        for row in counts.rows
    ]
    return Counts(rows=tuple(rows), watermark=counts.watermark)


def _public(number: int | None) -> int | None:
    if number is None or 0 < number <= SMALL_MAX:
        return None
    return (number + ROUNDED_TO // 2) // ROUNDED_TO * ROUNDED_TO
