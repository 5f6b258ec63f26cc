"""The demo's rates: those of one setting of its clock, in every process."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from pathlib import Path

from gateway.demo.clock import DemoClock
from gateway.demo.rates import DemoRates

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def test_a_rate_is_unused_once_the_clock_is_set(tmp_path: Path) -> None:
    """A call of a pack never waits for the calls before it, even at the same instant."""
    clock = DemoClock.create(tmp_path / "clock", NOON)
    rates = DemoRates(clock)
    for _ in range(3):
        clock.freeze(NOON)
        assert rates.take(("a",), 1, NOON) is None


def test_a_rate_holds_while_the_clock_is_not_set(tmp_path: Path) -> None:
    """Where the demo serves on, whoever calls too often is told to wait, as anywhere."""
    clock = DemoClock.create(tmp_path / "clock", NOON)
    rates = DemoRates(clock)
    clock.run_from(NOON)
    assert rates.take(("a",), 1, NOON) is None
    assert rates.take(("a",), 1, NOON) == 60


def test_another_process_has_rates_of_the_same_clock(tmp_path: Path) -> None:
    """What is handed to a worker sees every later setting."""
    clock = DemoClock.create(tmp_path / "clock", NOON)
    rates: DemoRates = pickle.loads(pickle.dumps(DemoRates(clock)))  # noqa: S301 - our own bytes
    assert rates.take(("a",), 1, NOON) is None
    assert rates.take(("a",), 1, NOON) is not None
    clock.freeze(NOON)
    assert rates.take(("a",), 1, NOON) is None
