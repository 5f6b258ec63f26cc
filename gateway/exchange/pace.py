"""The pace of refusals: whoever collects many waits for the answers, so that others need not.

A refusal costs the gateway nearly what a good call costs, and its caller nothing. So refusals up to
a number are answered at once, and beyond it one by one at a rate, as long as somebody wants them:
a flood slows itself, no evidence is given up, and permitted calls are never held back.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from typing import Final

from gateway.clock import monotonic_s

AT_ONCE: Final = 100
"""Refusals of one client, or of strangers at one address, that are answered without a pause."""
PER_S: Final = 20.0
"""Refusals a second that one client, or strangers at one address, are answered after those."""
STRANGERS_AT_ONCE: Final = 1_000
"""Refusals of all strangers together that are answered without a pause."""
STRANGERS_PER_S: Final = 200.0
"""Refusals a second that all strangers together are answered after those."""
HOLD_S_MAX: Final = 5.0
"""The longest that one answer is held back; well within what a worker may take to end."""
HELD_MAX: Final = 2_000
"""Answers held back at once; beyond it the answer is given and the connection is closed."""
CALLERS_MAX: Final = 4_096
"""Callers whose pace is known; beyond it the one unseen for longest is forgotten."""
RECORDING_MAX: Final = 256
"""Refusals of one client that wait for the audit log at once: a sixteenth of its queue."""


class Pace:
    """The generic cell rate algorithm (ITU-T I.371, annex A), one number for each caller."""

    __slots__ = ("_at_once", "_due_s", "_share_s")

    def __init__(self, *, at_once: int, per_s: float) -> None:
        """Let each caller have `at_once` answers without a wait, and then `per_s` a second."""
        self._share_s: Final = 1 / per_s
        self._at_once: Final = at_once
        self._due_s: OrderedDict[str, float] = OrderedDict()

    def take(self, caller: str, now_s: float) -> float:
        """Count one refusal of `caller` and return for how many seconds to hold it back.

        One that would have to wait for longer than `HOLD_S_MAX` is not counted, so that a flood
        leaves no debt behind that would outlast it.
        """
        due_s = max(self._due_s.get(caller, now_s), now_s) + self._share_s
        wait_s = due_s - self._at_once * self._share_s - now_s
        if wait_s > HOLD_S_MAX:
            return HOLD_S_MAX
        self._due_s[caller] = due_s
        self._due_s.move_to_end(caller)
        if len(self._due_s) > CALLERS_MAX:
            self._due_s.popitem(last=False)
        return max(0.0, wait_s)


class RefusalPace:
    """Holds refusals back, each caller's by itself, and gives each client its share of the log."""

    def __init__(self, *, held_max: int = HELD_MAX, recording_max: int = RECORDING_MAX) -> None:
        """Start with nobody having been refused anything."""
        self._clients = Pace(at_once=AT_ONCE, per_s=PER_S)
        self._addresses = Pace(at_once=AT_ONCE, per_s=PER_S)
        self._strangers = Pace(at_once=STRANGERS_AT_ONCE, per_s=STRANGERS_PER_S)
        self._held_max: Final = held_max
        self._recording_max: Final = recording_max
        self._recording: Counter[str] = Counter()
        self.held = 0

    async def hold_client(self, client: str) -> bool:
        """Wait for the turn of a refusal of `client`; False if too many answers wait already."""
        return await self._hold(self._clients.take(client, monotonic_s()))

    async def hold_stranger(self, source: str) -> bool:
        """Wait for the turn of a refusal of nobody known at `source`; False as `hold_client`."""
        now_s = monotonic_s()
        wait_s = self._addresses.take(source, now_s)
        return await self._hold(max(wait_s, self._strangers.take("", now_s)))

    def begin_recording(self, client: str) -> bool:
        """Tell whether another refusal of `client` may wait for the log; then end it in the end."""
        if self._recording[client] >= self._recording_max:
            return False
        self._recording[client] += 1
        return True

    def end_recording(self, client: str) -> None:
        """Note that a refusal waits no longer."""
        self._recording[client] -= 1
        if not self._recording[client]:
            del self._recording[client]

    async def _hold(self, wait_s: float) -> bool:
        if wait_s <= 0:
            return True
        if self.held >= self._held_max:
            return False
        self.held += 1
        try:
            await asyncio.sleep(wait_s)
        finally:
            self.held -= 1
        return True
