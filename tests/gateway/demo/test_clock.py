"""The demo's clock: stands still, runs, and is the same in every process."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.demo.clock import DemoClock

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def _now_elsewhere(clock: DemoClock, answer: multiprocessing.SimpleQueue[datetime]) -> None:
    answer.put(clock.now())


def test_stands_still_where_it_was_set(tmp_path: Path) -> None:
    """A frozen clock gives the instant it was given, to the microsecond, again and again."""
    at = NOON + timedelta(microseconds=7)
    clock = DemoClock.create(tmp_path / "clock", at)
    assert [clock.now(), clock.now()] == [at, at]
    clock.freeze(at - timedelta(days=2000))
    assert clock.now() == at - timedelta(days=2000)


def test_runs_forward_from_an_instant(tmp_path: Path) -> None:
    """A running clock starts at its instant and never goes back."""
    clock = DemoClock.create(tmp_path / "clock", NOON)
    clock.run_from(NOON)
    first, second = clock.now(), clock.now()
    assert NOON <= first <= second < NOON + timedelta(minutes=1)


def test_every_setting_is_a_turn_of_its_own(tmp_path: Path) -> None:
    """Two settings to the same instant are told apart, and reading changes nothing."""
    clock = DemoClock.create(tmp_path / "clock", NOON)
    turns = [clock.turn]
    for _ in range(3):
        clock.freeze(NOON)
        clock.now()
        turns.append(clock.turn)
    clock.run_from(NOON)
    assert turns == [0, 1, 2, 3]
    assert clock.turn == 4


def test_another_process_reads_the_same_time(tmp_path: Path) -> None:
    """A clock sent to a spawned process shows what this process set."""
    clock = DemoClock.create(tmp_path / "clock", NOON)
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    child = context.Process(target=_now_elsewhere, args=(clock, answer))
    child.start()
    assert answer.get() == NOON
    child.join()


def test_a_copy_follows_the_original(tmp_path: Path) -> None:
    """Pickling keeps the path alone, so a copy sees later settings."""
    clock = DemoClock.create(tmp_path / "clock", NOON)
    copy = pickle.loads(pickle.dumps(clock))  # noqa: S301 - our own bytes
    clock.freeze(NOON + timedelta(hours=1))
    assert copy.now() == NOON + timedelta(hours=1)


def test_reads_are_never_torn(tmp_path: Path) -> None:
    """While one thread sets the clock without pause, every reading is one of the times set."""
    clock = DemoClock.create(tmp_path / "clock", NOON)
    instants = [NOON + timedelta(days=days, microseconds=days) for days in range(50)]
    done = threading.Event()

    def set_without_pause() -> None:
        while not done.is_set():
            for at in instants:
                clock.freeze(at)

    writer = threading.Thread(target=set_without_pause)
    writer.start()
    readings = {clock.now() for _ in range(2000)}
    done.set()
    writer.join()
    assert readings <= set(instants)


def test_refuses_a_file_that_is_no_clock(tmp_path: Path) -> None:
    """A file of other bytes is refused, not read as some time."""
    path = tmp_path / "clock"
    path.write_bytes(b"x" * 64)
    with pytest.raises(ValueError, match="does not hold a clock"):
        DemoClock(path).now()


def test_stands_still_at_the_end_of_time(tmp_path: Path) -> None:
    """There is no instant after the last; the clock does not fail for it."""
    last = datetime.max.replace(tzinfo=UTC)
    clock = DemoClock.create(tmp_path / "clock", NOON)
    clock.run_from(last)
    assert clock.now() == last
