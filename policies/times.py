"""Calendar durations, and windows of the week by the clock on the wall of one time zone."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

LONDON: Final = ZoneInfo("Europe/London")
"""The zone of United Kingdom dates; a date without a zone begins and ends at its midnights."""

LATEST: Final = datetime.max.replace(tzinfo=UTC)
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_PER_DAY: Final = 24 * 60

_DURATION: Final = re.compile(
    r"P(?=[0-9T])(?:([0-9]{1,4})Y)?(?:([0-9]{1,4})M)?(?:([0-9]{1,5})W)?(?:([0-9]{1,6})D)?"
    r"(?:T(?=[0-9])(?:([0-9]{1,6})H)?(?:([0-9]{1,6})M)?)?"
)
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """A length of calendar time (ISO 8601): months keep the day, days are the calendar's."""

    months: int = 0
    days: int = 0
    minutes: int = 0

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read ``P8Y``, ``P30D`` or ``PT1H``.

        Raises:
            ValueError: the text is no duration, or names one without any part.
        """
        found = _DURATION.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not a duration")
        years, months, weeks, days, hours, minutes = (int(part or 0) for part in found.groups())
        return cls(months=12 * years + months, days=7 * weeks + days, minutes=60 * hours + minutes)

    @property
    def text(self) -> str:
        """The duration in ISO 8601 again; one of no length is ``P0D``."""
        years, months = divmod(self.months, 12)
        hours, minutes = divmod(self.minutes, 60)
        day = "".join(
            f"{n}{unit}" for n, unit in ((years, "Y"), (months, "M"), (self.days, "D")) if n
        )
        time = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M")) if n)
        return f"P{day}T{time}" if time else f"P{day or '0D'}"

    def after(self, start: datetime) -> datetime:
        """Return the instant this long after `start`; the last one there is, beyond the calendar.

        A month that is too short gives its last day, as in contracts.
        """
        try:
            year, month = divmod(start.year * 12 + start.month - 1 + self.months, 12)
            day = min(start.day, monthrange(year, month + 1)[1])
            moved = start.replace(year=year, month=month + 1, day=day)
            return moved + timedelta(days=self.days, minutes=self.minutes)
        except (ValueError, OverflowError):
            return LATEST


def end_of_day(day: date, grace: Duration) -> datetime:
    """Return the London midnight that ends `day` and the days of grace after it, in UTC.

    "By 1 March, with thirty days' grace" is over when 31 March is.
    """
    start = datetime.combine(day, time(), tzinfo=LONDON)
    last = Duration(months=grace.months, days=grace.days + 1).after(start)
    return Duration(minutes=grace.minutes).after(last.astimezone(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The hours of the week in which a rule is open; `opens` and `closes` are minutes of the day.

    A window that closes at or before it opens runs over midnight and belongs to the day on which
    it opened. The clock is the zone's own, so a change to summer time moves nothing.
    """

    zone: ZoneInfo
    opens: int
    closes: int
    days: frozenset[int]
    text: str

    @classmethod
    def parse(cls, *, zone: str, opens: str, closes: str, days: str) -> Window:
        """Read the words of an agreement, such as 20:00, 06:00 and mon-fri.

        Raises:
            ValueError: a time, a day or the zone is not known.
        """
        try:
            found = ZoneInfo(zone)
        except (LookupError, OSError, ValueError) as error:
            raise ValueError(f"{zone!r} is not a time zone") from error
        return cls(
            zone=found,
            opens=_minutes(opens),
            closes=_minutes(closes),
            days=_days(days),
            text=f"{opens} to {closes} {zone}, {days}",
        )

    def is_open(self, at: datetime) -> bool:
        """Whether the window is open at the aware instant `at`.

        Raises:
            OverflowError: the zone's calendar does not reach `at`.
        """
        local = at.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        if self.opens < self.closes:
            return self.opens <= minute < self.closes and local.weekday() in self.days
        if minute >= self.opens:
            return local.weekday() in self.days
        return minute < self.closes and (local.weekday() - 1) % 7 in self.days


def _minutes(text: str) -> int:
    if not _CLOCK.fullmatch(text):
        raise ValueError(f"{text!r} is not a time of day, HH:MM")
    return int(text[:2]) * 60 + int(text[3:])


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"{part!r} is not a day or a range of days, such as mon-fri")
        start = DAYS.index(first)
        length = (DAYS.index(last or first) - start) % 7 + 1
        found.update((start + offset) % 7 for offset in range(length))
    return frozenset(found)
