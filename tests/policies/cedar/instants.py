"""Instants, ISO durations and wall clocks, worked out apart from `policies.times`."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_ISO_DURATION: Final = re.compile(
    r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?"
)


def microseconds(at: datetime) -> int:
    """Return an aware instant as microseconds since 1970, in whole numbers."""
    return (at - EPOCH) // timedelta(microseconds=1)


def later(day: date, iso: str) -> tuple[date, timedelta]:
    """Return the day that ISO calendar parts lead to, and the clock part left over."""
    parts = _ISO_DURATION.fullmatch(iso)
    assert parts is not None, iso
    years, months, weeks, days, hours, minutes = (int(part or 0) for part in parts.groups())
    month = day.month - 1 + months + 12 * years
    year, month = day.year + month // 12, month % 12 + 1
    moved = date(year, month, min(day.day, monthrange(year, month)[1]))
    return moved + timedelta(days=days + 7 * weeks), timedelta(hours=hours, minutes=minutes)


def review_lapses_us(term: Mapping[str, Any]) -> int:
    """Return when the review and its grace are over: the London midnight after the last day."""
    last, clock = later(date.fromisoformat(term["review_by"]), term["review_grace"])
    after = last + timedelta(days=1)
    midnight = datetime(after.year, after.month, after.day, tzinfo=ZoneInfo("Europe/London"))
    return microseconds(midnight.astimezone(UTC) + clock)


def grant_ends_us(started: datetime, lasts: str) -> int:
    """Return when a grant that began at `started` has run out."""
    day, clock = later(started.date(), lasts)
    moved = datetime.combine(day, started.timetz())
    return microseconds(moved + clock)


def wall_clock(at: datetime, zone: str) -> dict[str, int]:
    """Return the minute of the day and the weekday (Monday 0) that a zone's wall shows."""
    local = at.astimezone(ZoneInfo(zone))
    return {"minute": 60 * local.hour + local.minute, "day": local.weekday()}
