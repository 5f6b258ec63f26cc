"""Steps of the wall clock are noticed, either way and once; steering and waiting are not."""

from __future__ import annotations

from collections.abc import Callable

from gateway.audit.lifecycle.clock_watch import CLOCK_STEP_US_MIN, ClockWatch

HOUR_US = 3_600_000_000


class Clocks:
    """A wall clock and a steady one that a test sets; `stall_us` holds up the next reading."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000_000_000
        self.steady = 5_000_000
        self.stall_us = 0

    def read_wall(self) -> int:
        now = self.wall
        self.pass_time(self.stall_us)
        self.stall_us = 0
        return now

    def read_steady(self) -> int:
        return self.steady

    def pass_time(self, us: int) -> None:
        self.wall += us
        self.steady += us

    def watch(self) -> ClockWatch:
        wall: Callable[[], int] = self.read_wall
        return ClockWatch(wall, self.read_steady)


def test_a_step_is_told_once_with_its_size() -> None:
    """F14: an hour forward, an hour back, a leap second."""
    clocks = Clocks()
    watch = clocks.watch()
    for step_us in (HOUR_US, -HOUR_US, -CLOCK_STEP_US_MIN):
        clocks.pass_time(1_000_000)
        clocks.wall += step_us
        assert watch.step_us() == step_us
        assert watch.step_us() == 0


def test_steering_and_being_held_up_are_no_steps() -> None:
    """F14: a clock that NTP steers, and a process that had to wait between two readings."""
    clocks = Clocks()
    watch = clocks.watch()
    clocks.pass_time(1_000_000)
    clocks.wall += 500
    assert watch.step_us() == 0
    clocks.stall_us = 30_000_000
    assert watch.step_us() == 0
