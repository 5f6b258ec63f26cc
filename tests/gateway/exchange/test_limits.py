"""Rates per minute: what fits, what waits, and what time running backwards does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import limits
from gateway.exchange.limits import RateLimiter

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEY = ("DSA-2026-0003", "R1", "gss:E06999001", "northvale-warm-homes")


def seconds(number: float) -> timedelta:
    """Return a span of time."""
    return timedelta(seconds=number)


def test_a_minutes_calls_fit_at_once_and_the_next_one_waits() -> None:
    """The wait is as long as it takes for one call's share of the minute to pass."""
    rates = RateLimiter()

    assert [rates.take(KEY, 10, NOON) for _ in range(10)] == [None] * 10
    assert rates.take(KEY, 10, NOON) == 6.0
    assert rates.take(KEY, 10, NOON + seconds(2)) == 4.0
    assert rates.take(KEY, 10, NOON + seconds(6)) is None
    assert rates.take(KEY, 10, NOON + seconds(6)) == 6.0


def test_an_idle_minute_gives_the_whole_rate_back() -> None:
    """Nothing of an earlier minute is left over, and no more than one minute is saved up."""
    rates = RateLimiter()
    for _ in range(3):
        rates.take(KEY, 3, NOON)

    later = NOON + timedelta(hours=5)

    assert [rates.take(KEY, 3, later) for _ in range(4)] == [None, None, None, 20.0]


def test_keys_do_not_share() -> None:
    """One client's calls do not use up another's."""
    rates = RateLimiter()

    assert rates.take(KEY, 1, NOON) is None
    assert rates.take((*KEY[:3], None), 1, NOON) is None
    assert rates.take(KEY, 1, NOON) == 60.0


def test_time_that_goes_back_starts_afresh() -> None:
    """A demo that replays an earlier day is not held up by a later one."""
    rates = RateLimiter()
    rates.take(KEY, 1, NOON)

    assert rates.take(KEY, 1, NOON - timedelta(days=1)) is None
    assert rates.take(KEY, 1, NOON - timedelta(days=1)) == 60.0


def test_a_small_step_back_gives_nothing_away() -> None:
    """A clock corrected by seconds does not hand out the rate again."""
    rates = RateLimiter()
    for _ in range(5):
        rates.take(KEY, 10, NOON)
    counted = [rates.take(KEY, 10, NOON - seconds(3)) for _ in range(10)]

    assert counted.count(None) <= 5


def test_the_number_of_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key unused for longest is forgotten; one that is in use, even in vain, is not."""
    monkeypatch.setattr(limits, "RATE_KEYS_MAX", 2)
    rates = RateLimiter()
    for key in ("a", "b"):
        rates.take((key,), 1, NOON)
    assert rates.take(("a",), 1, NOON) is not None

    rates.take(("c",), 1, NOON)

    assert rates.take(("a",), 1, NOON) is not None
    assert rates.take(("b",), 1, NOON) is None


@given(
    st.integers(min_value=1, max_value=20),
    st.lists(st.integers(min_value=0, max_value=20_000), max_size=80),
)
def test_no_minute_sees_more_than_twice_the_rate(per_minute: int, gaps_ms: list[int]) -> None:
    """Whatever the rhythm, a window of a minute holds at most twice the agreed number of calls."""
    rates = RateLimiter()
    at = NOON
    taken: list[datetime] = []
    for gap_ms in gaps_ms:
        at += timedelta(milliseconds=gap_ms)
        if rates.take(KEY, per_minute, at) is None:
            taken.append(at)

    for start in taken:
        window = [call for call in taken if start <= call < start + seconds(60)]
        assert len(window) <= 2 * per_minute


@given(st.integers(min_value=1, max_value=600), st.integers(min_value=0, max_value=59_999))
def test_waiting_as_told_is_enough(per_minute: int, later_ms: int) -> None:
    """A caller who waits for the seconds given is let through, and not before."""
    rates = RateLimiter()
    while rates.take(KEY, per_minute, NOON) is None:
        continue
    at = NOON + timedelta(milliseconds=later_ms)
    wait_s = rates.take(KEY, per_minute, at)
    if wait_s is not None:
        wait_us = round(wait_s * 1_000_000)
        assert rates.take(KEY, per_minute, at + timedelta(microseconds=wait_us - 1)) is not None
        assert rates.take(KEY, per_minute, at + timedelta(microseconds=wait_us)) is None
