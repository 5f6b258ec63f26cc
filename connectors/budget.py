"""How much of what a service is asked may be asked twice."""

from __future__ import annotations

from typing import Final

RETRY_FRACTION: Final = 0.1
"""Retries may be this part of a window's calls: a service that fails is not asked twice as much."""
RETRIES_MIN: Final = 3
"""Retries that a window has all the same, so that a quiet service may be asked again."""
WINDOW_S: Final = 10.0
"""Seconds over which calls and retries are counted."""


class RetryBudget:
    """Counts calls and retries by windows.

    A window's retries are at most the fraction of its calls, or of those of the window before
    where these were more: a window that has just begun is no reason to refuse.
    """

    __slots__ = ("_before", "_calls", "_ends_s", "_retries", "retried")

    def __init__(self) -> None:
        """Begin with nothing counted; `retried` counts all retries ever."""
        self._calls = self._before = self._retries = 0
        self._ends_s = 0.0
        self.retried = 0

    def count(self, now_s: float) -> None:
        """Count a call at loop time `now_s`."""
        if now_s >= self._ends_s:
            self._turn(now_s)
        self._calls += 1

    def take(self, now_s: float) -> bool:
        """Take one retry if there is one left."""
        if now_s >= self._ends_s:
            self._turn(now_s)
        allowed = max(RETRIES_MIN, int(RETRY_FRACTION * max(self._calls, self._before)))
        if self._retries >= allowed:
            return False
        self._retries += 1
        self.retried += 1
        return True

    def _turn(self, now_s: float) -> None:
        recent = now_s < self._ends_s + WINDOW_S
        self._before = self._calls if recent else 0
        self._calls = self._retries = 0
        self._ends_s = now_s + WINDOW_S
