"""Notices when the wall clock jumps: order is by index and suffers nothing, but times then lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.clock import monotonic_us, system_time_us

CLOCK_STEP_US_MIN: Final = 1_000_000
"""A smaller change is a clock that is being steered, or a process that had to wait its turn."""


class ClockWatch:
    """Compares the wall clock with one that never jumps."""

    def __init__(
        self,
        wall_us: Callable[[], int] = system_time_us,
        steady_us: Callable[[], int] = monotonic_us,
    ) -> None:
        """Begin; the clocks are others in tests only."""
        self._wall_us = wall_us
        self._steady_us = steady_us
        self._offset_us = self._measure()

    def step_us(self) -> int:
        """Return by how much the clock was set since the last call, negative for back; or 0.

        Measured twice: a process that is held up between two readings sees a step that is none.
        """
        stepped = min((self._measure() - self._offset_us for _ in range(2)), key=abs)
        if abs(stepped) < CLOCK_STEP_US_MIN:
            return 0
        self._offset_us += stepped
        return stepped

    def _measure(self) -> int:
        return self._wall_us() - self._steady_us()
