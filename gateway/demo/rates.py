"""Per-minute rates of the demo: unused whenever its clock is set, as every call expects."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from gateway.demo.clock import DemoClock
from gateway.exchange.limits import RateKey, RateLimiter


class DemoRates(RateLimiter):
    """The gateway's rates, which start afresh with every setting of the demo's clock.

    Calls of a pack are independent, and none can say that a rate was used before it. Once the demo
    serves on, its clock runs without being set, and the rates hold as anywhere. Each worker has
    its own, and every one of them sees the same clock.
    """

    __slots__ = ("_clock", "_turn")

    def __init__(self, clock: DemoClock) -> None:
        """Start with every rate unused."""
        super().__init__()
        self._clock: Final = clock
        self._turn = clock.turn

    def take(self, key: RateKey, per_minute: int, at: datetime) -> float | None:
        """Count one call of `key` (`RateLimiter.take`) among those of this setting of the clock."""
        turn = self._clock.turn
        if turn != self._turn:
            self._turn = turn
            self._full_at_us.clear()
        return super().take(key, per_minute, at)
