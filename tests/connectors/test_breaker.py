"""The breaker opens after failures in a row, and one trial at a time closes it again."""

from __future__ import annotations

from connectors.breaker import FAILURES_MAX, OPEN_S, Breaker, BreakerState


def opened(at_s: float = 100.0) -> Breaker:
    """Return a breaker that has just opened."""
    breaker = Breaker()
    for _ in range(FAILURES_MAX):
        assert breaker.admits(at_s)
        breaker.failed(at_s)
    return breaker


def test_it_opens_at_the_named_number_of_failures_in_a_row() -> None:
    """One failure fewer lets everything through; a success in between starts the count again."""
    breaker = Breaker()
    for _ in range(FAILURES_MAX - 1):
        breaker.failed(0)
    breaker.succeeded()
    for _ in range(FAILURES_MAX - 1):
        breaker.failed(0)
    assert breaker.admits(0)
    breaker.failed(0)
    assert not breaker.admits(0)
    assert (breaker.state(0), breaker.opened) == (BreakerState.OPEN, 1)


def test_it_lets_one_trial_through_after_its_time() -> None:
    """Half-open, the first call decides, and the others do not wait for it."""
    breaker = opened(100)
    assert not breaker.admits(100 + OPEN_S - 0.001)
    assert breaker.state(100 + OPEN_S) is BreakerState.HALF_OPEN
    assert [breaker.admits(100 + OPEN_S) for _ in range(3)] == [True, False, False]
    breaker.succeeded()
    assert [breaker.admits(100 + OPEN_S) for _ in range(3)] == [True, True, True]
    assert breaker.state(100) is BreakerState.CLOSED


def test_a_failed_trial_opens_it_for_as_long_again() -> None:
    """It does not count as opened once more: it never closed."""
    breaker = opened(100)
    assert breaker.admits(105)
    breaker.failed(105)
    assert not breaker.admits(105 + OPEN_S - 0.001)
    assert breaker.admits(105 + OPEN_S)
    assert breaker.opened == 1


def test_a_trial_that_told_nothing_leaves_its_place_to_another() -> None:
    """A caller that went away does not keep the target closed off for ever."""
    breaker = opened(100)
    assert breaker.admits(105)
    breaker.undecided()
    assert breaker.admits(105)


def test_calls_that_began_before_it_opened_may_still_close_it() -> None:
    """An answer is an answer."""
    breaker = opened(100)
    breaker.succeeded()
    assert breaker.admits(100)


def test_a_probe_that_gets_through_ends_the_waiting() -> None:
    """It lets the trial through at once, and only the trial."""
    breaker = opened(100)
    breaker.reachable()
    assert [breaker.admits(100.1) for _ in range(2)] == [True, False]


def test_a_trial_that_takes_long_holds_up_nobody_for_longer_than_an_open_breaker() -> None:
    """An upload may drip for as long as its caller likes."""
    breaker = opened(100)
    assert breaker.admits(105)
    assert not breaker.admits(105 + OPEN_S - 0.001)
    assert breaker.admits(105 + OPEN_S)
    breaker.succeeded()
    assert [breaker.admits(105 + OPEN_S) for _ in range(2)] == [True, True]


def test_a_probe_lets_no_second_trial_through_beside_the_first() -> None:
    """The one under way decides, unless it takes long."""
    breaker = opened(100)
    assert breaker.admits(105)
    breaker.reachable()
    assert not breaker.admits(105)
