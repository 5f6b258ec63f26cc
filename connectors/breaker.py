"""The circuit breaker of one target: after failures in a row it spares the target, and the callers.

Why it counts what it counts: docs/decisions/0009.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

FAILURES_MAX: Final = 5
"""Failures in a row after which a breaker opens."""
OPEN_S: Final = 5.0
"""Seconds for which an open breaker lets nothing through."""


class BreakerState(StrEnum):
    """What a breaker lets through: all, nothing, or one call that decides."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Counts failures in a row; times are the event loop's, in seconds.

    `closed` and `failures` are read by every call; whoever got a yes from `admits` says how its
    call ended by exactly one of `succeeded`, `failed` and `undecided`.
    """

    __slots__ = ("_retry_at_s", "_trying", "closed", "failures", "opened")

    def __init__(self) -> None:
        """Begin closed; `opened` counts how often the breaker has opened."""
        self.closed = True
        self.failures = 0
        self.opened = 0
        self._retry_at_s = 0.0
        self._trying = False

    def state(self, now_s: float) -> BreakerState:
        """Return the state at `now_s`, for whoever watches."""
        if self.closed:
            return BreakerState.CLOSED
        if self._trying or now_s >= self._retry_at_s:
            return BreakerState.HALF_OPEN
        return BreakerState.OPEN

    def admits(self, now_s: float) -> bool:
        """Tell whether a call may be made; where the breaker is half-open, one in `OPEN_S` may."""
        if self.closed:
            return True
        if now_s < self._retry_at_s:
            return False
        # A trial may last as long as its caller takes to send; it holds up the others no longer
        # than an open breaker does.
        self._retry_at_s = now_s + OPEN_S
        self._trying = True
        return True

    def succeeded(self) -> None:
        """Close: the target has answered."""
        self.closed = True
        self.failures = 0
        self._trying = False

    def failed(self, now_s: float) -> None:
        """Count a failure; the last of `FAILURES_MAX` in a row, and a failed trial, open."""
        self.failures += 1
        if self.closed and self.failures >= FAILURES_MAX:
            self.closed = False
            self.opened += 1
        self._trying = False
        self._retry_at_s = now_s + OPEN_S

    def undecided(self) -> None:
        """Note that a call ended without telling anything about the target; another may try."""
        self._trying = False
        self._retry_at_s = 0.0

    def reachable(self) -> None:
        """Note that a probe has reached the target: an open breaker lets its trial through now."""
        if not self._trying:
            self._retry_at_s = 0.0
