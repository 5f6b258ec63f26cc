"""Retries stay a fraction of the calls, whatever the service does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.budget import RETRIES_MIN, RETRY_FRACTION, WINDOW_S, RetryBudget


def test_a_quiet_service_may_be_asked_again_a_few_times() -> None:
    """The first calls of a day have retries too, but not without end."""
    budget = RetryBudget()
    budget.count(0)
    assert [budget.take(0) for _ in range(RETRIES_MIN + 2)] == [True] * RETRIES_MIN + [False] * 2
    assert budget.retried == RETRIES_MIN


def test_a_busy_service_has_a_fraction() -> None:
    """A hundred calls allow ten retries, and they are gone once taken."""
    budget = RetryBudget()
    for _ in range(100):
        budget.count(1)
    assert sum(budget.take(1) for _ in range(100)) == 10


def test_the_window_moves_on() -> None:
    """What the window before has called still counts, what came earlier does not."""
    budget = RetryBudget()
    for _ in range(100):
        budget.count(1)
    assert sum(budget.take(1 + WINDOW_S) for _ in range(100)) == 10
    assert sum(budget.take(1 + 3 * WINDOW_S) for _ in range(100)) == RETRIES_MIN


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=300))
def test_no_window_has_more_retries_than_its_share(steps: list[tuple[float, bool]]) -> None:
    """However calls and retries mix, two windows together never exceed twice the allowance."""
    budget, now_s, calls, retries = RetryBudget(), 0.0, list[float](), list[float]()
    for pause_s, retry in steps:
        now_s += pause_s
        if not retry:
            budget.count(now_s)
            calls.append(now_s)
        elif budget.take(now_s):
            retries.append(now_s)
    for end_s in retries:
        recent = [at for at in retries if end_s - WINDOW_S < at <= end_s]
        around = [at for at in calls if end_s - 3 * WINDOW_S < at <= end_s]
        assert len(recent) <= 2 * max(RETRIES_MIN, RETRY_FRACTION * len(around))
