"""One coarse timer for all connections of an event loop, and the date it is."""

from __future__ import annotations

import asyncio
import math
from email.utils import formatdate
from typing import Final, Protocol

from gateway.clock import system_time_us

NEVER: Final = math.inf


class Timed(Protocol):
    """Something with a deadline, by the wheel's `now_s`."""

    deadline_s: float

    def deadline_passed(self) -> None:
        """Act on it, and set another; called once per tick while it lies in the past."""


class Wheel:
    """Looks at every connection's deadline once per tick, while there are connections.

    A timer per request would cost more than the rest of the front. `now_s` is the loop's time at
    the last tick, so a deadline passes at most one tick late, and one tick early is added to none.
    `date` is the value of the Date field (RFC 9110, section 6.6.1).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, tick_s: float) -> None:
        """Be idle until the first connection is added."""
        self.loop = loop
        self.tick_s = tick_s
        self.now_s = loop.time()
        self.date = b""
        self._timed: set[Timed] = set()
        self._handle: asyncio.TimerHandle | None = None

    def add(self, timed: Timed) -> None:
        """Watch `timed` until it is removed."""
        self._timed.add(timed)
        if self._handle is None:
            self._turn()

    def remove(self, timed: Timed) -> None:
        """Stop watching `timed`."""
        self._timed.discard(timed)
        if not self._timed and self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def after(self, seconds: float) -> float:
        """Return the deadline that lies at least `seconds` from now."""
        return self.now_s + seconds + self.tick_s

    def _turn(self) -> None:
        self.now_s = self.loop.time()
        self.date = formatdate(system_time_us() // 1_000_000, usegmt=True).encode()
        self._handle = self.loop.call_later(self.tick_s, self._turn)
        for timed in [timed for timed in self._timed if timed.deadline_s <= self.now_s]:
            timed.deadline_passed()
