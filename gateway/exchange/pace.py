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
from gateway.exchange.messages import ALWAYS_THERE, ClientGone, Presence
from gateway.exchange.watch import while_present

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
"""Answers held back at once; beyond it a stranger's is given and the connection closed."""
STRANGERS_HELD_MAX: Final = HELD_MAX // 2
"""Answers of strangers held back at once, so that they leave room for those of clients."""
CALLERS_MAX: Final = 4_096
"""Callers whose pace is known; beyond it the one unseen for longest is forgotten."""
UNDER_WAY_MAX: Final = 256
"""Refusals of one caller that wait for the log or for their turn: a sixteenth of its queue."""


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
        wait_s = self.wait_s(caller, now_s)
        if wait_s > HOLD_S_MAX:
            return HOLD_S_MAX
        self._due_s[caller] = max(self._due_s.get(caller, now_s), now_s) + self._share_s
        self._due_s.move_to_end(caller)
        if len(self._due_s) > CALLERS_MAX:
            self._due_s.popitem(last=False)
        return max(0.0, wait_s)

    def wait_s(self, caller: str, now_s: float) -> float:
        """Return what `take` would make of a refusal, unbounded: below 0 there is time left."""
        due_s = max(self._due_s.get(caller, now_s), now_s) + self._share_s
        return due_s - self._at_once * self._share_s - now_s


class RefusalPace:
    """Holds refusals back, each caller's by itself, and gives each client its share of the log.

    A caller's share is taken until the turn of its answer has come, also where nobody waits for the
    answer any more: whoever leaves and comes again gets no more on record than whoever stays.
    """

    def __init__(self, *, held_max: int = HELD_MAX, recording_max: int = UNDER_WAY_MAX) -> None:
        """Start with nobody having been refused anything."""
        self._clients = Pace(at_once=AT_ONCE, per_s=PER_S)
        self._addresses = Pace(at_once=AT_ONCE, per_s=PER_S)
        self._strangers = Pace(at_once=STRANGERS_AT_ONCE, per_s=STRANGERS_PER_S)
        self._held_max: Final = held_max
        self._under_way_max: Final = recording_max
        self._under_way: Counter[str] = Counter()
        self._strangers_held = 0
        self.held = 0

    async def hold_client(self, client: str, presence: Presence = ALWAYS_THERE) -> bool:
        """Wait for the turn of a refusal of `client`.

        Returns False where it was not waited for: too many wait already, or the caller has left.
        """
        return await self._hold(client, self._clients.take(client, monotonic_s()), presence)

    async def hold_stranger(self, source: str, presence: Presence = ALWAYS_THERE) -> bool:
        """Wait for the turn of a refusal of nobody known at `source`; False as `hold_client`."""
        now_s = monotonic_s()
        wait_s = self._addresses.take(source, now_s)
        if wait_s <= 0:
            # Only who keeps to its own pace counts here: one address makes no other one wait.
            wait_s = self._strangers.take("", now_s)
        if wait_s > 0 and self._strangers_held >= STRANGERS_HELD_MAX:
            return False
        self._strangers_held += 1
        try:
            return await self._hold(source, wait_s, presence)
        finally:
            self._strangers_held -= 1

    def begin_recording(self, client: str) -> bool:
        """Tell whether another refusal of `client` may be recorded; then end it in the end.

        It may not where its answer could not be held back: the log grows at the pace of answers.
        """
        if self._under_way[client] >= self._under_way_max:
            return False
        if self.held >= self._held_max and self._clients.wait_s(client, monotonic_s()) > 0:
            return False
        self._under_way[client] += 1
        return True

    def end_recording(self, client: str) -> None:
        """Note that a refusal waits for the log no longer."""
        self._under_way[client] -= 1
        if not self._under_way[client]:
            del self._under_way[client]

    async def _hold(self, caller: str, wait_s: float, presence: Presence) -> bool:
        if wait_s <= 0:
            return True
        if self.held >= self._held_max or self._under_way[caller] >= self._under_way_max:
            return False
        self._under_way[caller] += 1
        asyncio.get_running_loop().call_later(wait_s, self.end_recording, caller)
        if presence.left():
            return False
        self.held += 1
        try:
            await while_present(presence, asyncio.sleep(wait_s))
        except ClientGone:
            return False
        finally:
            self.held -= 1
        return True
