"""Who is next where many answers wait to be read: each caller in its turn, urgent calls first."""

from __future__ import annotations

import asyncio
from bisect import insort
from dataclasses import dataclass
from typing import Final, NamedTuple

_STRANGERS: Final = ""
"""Under which strangers together have places taken; no client has an empty name."""


class Claim(NamedTuple):
    """Whose an answer is, as far as its place in the order turns on that.

    `caller` is a client, or for the `public` an address. `urgent` is a call that breaks the glass.
    """

    caller: str
    public: bool = False
    urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnLimits:
    """How many answers are read at once, and how many wait: in all, of strangers, of one caller."""

    at_once: int
    waiting: int
    waiting_public: int
    waiting_each: int


class _Waiter:
    """An answer that waits; `turn` says in the end whether it may be read or has to give way."""

    __slots__ = ("claim", "number", "octets", "turn")

    def __init__(self, claim: Claim, octets: int, number: int) -> None:
        self.claim: Final = claim
        self.octets: Final = octets
        self.number: Final = number
        self.turn: Final[asyncio.Future[bool]] = asyncio.get_running_loop().create_future()

    def rank(self) -> tuple[bool, int, int]:
        """The order among one caller's: what is urgent, then the shortest, then the first."""
        return not self.claim.urgent, self.octets, self.number


class Turns:
    """Lets answers be read a few at a time, in an order in which no caller keeps another waiting.

    Urgent calls come first. Else the callers share by octets: next is the answer that would end
    first if all callers' were read side by side at one speed (self-clocked fair queueing:
    Golestani, INFOCOM 1994). So a short answer passes long ones, one answer of a caller passes the
    many of another, and nothing is passed by more of any other caller's later ones than its length.

    No caller has two places at once, nor have strangers together, so that with two places slow
    answers leave one to everybody else's. Where too many wait, the last of those who have the most
    gives way: a stranger's before a client's, and an urgent call's at the very last.
    """

    __slots__ = ("_begun", "_free", "_limits", "_number", "_reached", "_taken", "_waiting")

    def __init__(self, limits: TurnLimits) -> None:
        """Begin with nobody waiting; use it in one event loop."""
        self._limits: Final = limits
        self._free = limits.at_once
        self._taken: Final[set[str]] = set()
        self._waiting: Final[dict[str, list[_Waiter]]] = {}
        # Octets that each caller who waits has had read, counted from what all have reached.
        self._begun: Final[dict[str, int]] = {}
        self._reached = 0
        self._number = 0

    async def take(self, claim: Claim, octets: int) -> bool:
        """Wait for a place for an answer of so many `octets`, and take it; `give_back` it once.

        Returns False where it has to give way, for too many wait. Whoever is cancelled meanwhile
        has no place.
        """
        self._number += 1
        waiter = _Waiter(claim, octets, self._number)
        insort(self._waiting.setdefault(claim.caller, []), waiter, key=_Waiter.rank)
        self._begun.setdefault(claim.caller, self._reached)
        self._begin_next()
        self._crowd_out(claim)
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.cancelled():
                self._remove(waiter)
            elif waiter.turn.result():
                self.give_back(claim)
            raise

    def give_back(self, claim: Claim) -> None:
        """Let the next one have the place that `claim` took."""
        self._free += 1
        self._taken.remove(_holder(claim))
        self._begin_next()

    def _begin_next(self) -> None:
        while self._free:
            first = [
                own[0] for own in self._waiting.values() if _holder(own[0].claim) not in self._taken
            ]
            if not first:
                return
            waiter = min(first, key=self._ends_at)
            if waiter.turn.cancelled():  # who waited has left, and will be told only now
                self._remove(waiter)
                continue
            end = self._begun[waiter.claim.caller] + waiter.octets
            if not waiter.claim.urgent:  # what passed the others is not what they have reached
                self._reached = max(self._reached, end)
            self._begun[waiter.claim.caller] = end
            self._remove(waiter)
            self._free -= 1
            self._taken.add(_holder(waiter.claim))
            waiter.turn.set_result(True)

    def _ends_at(self, waiter: _Waiter) -> tuple[bool, int, int]:
        claim = waiter.claim
        return not claim.urgent, self._begun[claim.caller] + waiter.octets, waiter.number

    def _crowd_out(self, claim: Claim) -> None:
        """Make the last one give way where `claim` was one too many; it may be its own."""
        own = self._waiting.get(claim.caller, [])
        strangers = [one for one in self._waiting.values() if one[0].claim.public]
        if len(own) > self._limits.waiting_each:
            last = own[-1]
        elif claim.public and sum(map(len, strangers)) > self._limits.waiting_public:
            last = max((one[-1] for one in strangers), key=self._gives_way)
        elif sum(map(len, self._waiting.values())) > self._limits.waiting:
            last = max((one[-1] for one in self._waiting.values()), key=self._gives_way)
        else:
            return
        self._remove(last)
        if not last.turn.cancelled():
            last.turn.set_result(False)

    def _gives_way(self, waiter: _Waiter) -> tuple[bool, bool, int, int]:
        claim = waiter.claim
        return not claim.urgent, claim.public, len(self._waiting[claim.caller]), waiter.number

    def _remove(self, waiter: _Waiter) -> None:
        caller = waiter.claim.caller
        own = self._waiting.get(caller, [])
        if waiter in own:
            own.remove(waiter)
            if not own:
                del self._waiting[caller], self._begun[caller]


def _holder(claim: Claim) -> str:
    return _STRANGERS if claim.public else claim.caller
