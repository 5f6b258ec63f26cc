"""Durations keep to the calendar, and windows to the clock on the wall."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.times import DAYS, LATEST, Duration, Window, end_of_day


def at(text: str) -> datetime:
    """Read an instant."""
    return datetime.fromisoformat(text)


def window(opens: str, closes: str, days: str = "mon-sun") -> Window:
    """Make a window of London."""
    return Window.parse(zone="Europe/London", opens=opens, closes=closes, days=days)


def test_durations_are_read_in_all_their_parts() -> None:
    """Years are twelve months, weeks seven days, hours sixty minutes."""
    assert Duration.parse("P1Y2M1W3DT4H5M") == Duration(months=14, days=10, minutes=245)


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "1D", "P1S", "P-1D", "P1.5D", "p1d"])
def test_malformed_durations_are_refused(text: str) -> None:
    """A duration without a part, or with a part we do not take, is none."""
    with pytest.raises(ValueError, match="duration"):
        Duration.parse(text)


def test_a_month_that_is_too_short_gives_its_last_day() -> None:
    """The end of January and a month is the end of February."""
    assert Duration(months=1).after(at("2027-01-31T10:00:00Z")) == at("2027-02-28T10:00:00Z")


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.builds(
        Duration,
        months=st.integers(0, 10**5),
        days=st.integers(0, 10**6),
        minutes=st.integers(0, 10**7),
    ),
)
def test_time_never_runs_backwards_or_off_the_calendar(start: datetime, length: Duration) -> None:
    """`after` is total, and never earlier than its start."""
    assert start <= length.after(start) <= LATEST


@pytest.mark.parametrize(
    ("text", "again"),
    [("P25Y", "P25Y"), ("P14M", "P1Y2M"), ("P1W", "P7D"), ("PT90M", "PT1H30M"), ("P0D", "P0D")],
)
def test_a_duration_is_written_as_it_is_read(text: str, again: str) -> None:
    """Its text reads as the same duration."""
    assert Duration.parse(text).text == again
    assert Duration.parse(again) == Duration.parse(text)


def test_a_day_ends_at_london_midnight() -> None:
    """In summer that is eleven at night in UTC; grace days come after the day itself."""
    assert end_of_day(date(2022, 6, 30), Duration()) == at("2022-06-30T23:00:00Z")
    assert end_of_day(date(2027, 3, 1), Duration(days=30)) == at("2027-03-31T23:00:00Z")
    assert end_of_day(date(2026, 12, 31), Duration()) == at("2027-01-01T00:00:00Z")
    assert end_of_day(date.max, Duration()) == LATEST


def test_a_window_opens_on_the_minute_and_closes_before_it() -> None:
    """The opening instant is in, the closing instant is out."""
    day = window("06:00", "22:00")
    assert not day.is_open(at("2021-02-18T05:59:59.999999Z"))
    assert day.is_open(at("2021-02-18T06:00:00Z"))
    assert day.is_open(at("2021-02-18T21:59:59.999999Z"))
    assert not day.is_open(at("2021-02-18T22:00:00Z"))


def test_a_window_over_midnight_belongs_to_the_day_it_opened() -> None:
    """Friday night runs into Saturday morning; Saturday night does not open."""
    night = window("20:00", "06:00", "mon-fri")
    assert night.is_open(at("2026-11-20T21:00:00Z"))  # Friday
    assert night.is_open(at("2026-11-21T05:59:00Z"))
    assert not night.is_open(at("2026-11-21T06:00:00Z"))
    assert not night.is_open(at("2026-11-21T21:00:00Z"))
    assert not night.is_open(at("2026-11-23T05:00:00Z"))  # Monday, opened on Sunday


def test_summer_time_moves_nothing_on_the_wall() -> None:
    """On both Sundays of change the window opens at its own hour."""
    day = window("06:00", "22:00")
    assert not day.is_open(at("2027-03-28T04:59:00Z"))
    assert day.is_open(at("2027-03-28T05:00:00Z"))  # 06:00 BST
    assert not day.is_open(at("2027-10-31T05:59:00Z"))
    assert day.is_open(at("2027-10-31T06:00:00Z"))  # 06:00 GMT
    hour = window("01:00", "02:00")  # twice on the night in autumn, never on that in spring
    assert hour.is_open(at("2027-10-31T00:30:00Z"))
    assert hour.is_open(at("2027-10-31T01:30:00Z"))
    assert not hour.is_open(at("2027-03-28T00:59:00Z"))
    assert not hour.is_open(at("2027-03-28T01:00:00Z"))


@pytest.mark.parametrize(
    ("days", "expected"),
    [("mon-sun", 7), ("mon-fri", 5), ("fri-mon", 4), ("sat", 1), ("mon, wed,sat-sun", 4)],
)
def test_days_are_ranges_and_lists(days: str, expected: int) -> None:
    """A range may run over the end of the week."""
    assert len(window("06:00", "22:00", days).days) == expected


@pytest.mark.parametrize(
    "words",
    [
        {"opens": "6:00"},
        {"closes": "25:00"},
        {"days": "mon-"},
        {"days": "monday"},
        {"zone": "Europe/Atlantis"},
        {"zone": "../etc/passwd"},
    ],
)
def test_unknown_times_days_and_zones_are_refused(words: dict[str, str]) -> None:
    """A window that could not be evaluated is refused when it is read."""
    standing = {"zone": "Europe/London", "opens": "06:00", "closes": "22:00", "days": "mon-sun"}
    with pytest.raises(ValueError, match="is not a"):
        Window.parse(**{**standing, **words})


def test_a_window_survives_pickling() -> None:
    """Workers get policies by pickle, time zones included."""
    night = window("20:00", "06:00")
    copy: Window = pickle.loads(pickle.dumps(night))  # noqa: S301 - our own bytes
    assert copy.is_open(at("2026-11-20T21:00:00Z"))


@given(st.integers(0, 3_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)))
def test_a_window_and_its_opposite_share_no_instant(instant: datetime) -> None:
    """Swapping opening and closing gives the rest of the day, every day, clock changes included."""
    assert window("20:00", "06:00").is_open(instant) is not window("06:00", "20:00").is_open(
        instant
    )
    assert window("00:00", "24:00").is_open(instant + timedelta(hours=1))


@pytest.mark.parametrize("day", range(7))
def test_a_night_belongs_to_one_day_only(day: int) -> None:
    """For each day of the week: its evening and the small hours after it, and no other."""
    night = window("20:00", "06:00", DAYS[day])
    monday = at("2026-11-16T00:00:00Z")
    hours = [monday + timedelta(hours=hour) for hour in range(24 * 7)]
    found = [(one - monday) // timedelta(hours=1) for one in hours if night.is_open(one)]
    assert found == sorted(hour % (24 * 7) for hour in range(24 * day + 20, 24 * day + 30))
