"""The places where one service is served: which of them a call goes to, and where it goes next."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from connectors.base import Call, CallFailed, Failure
from connectors.breaker import Breaker, BreakerState
from connectors.budget import RetryBudget
from connectors.connection import WireReply
from connectors.rendering import IDEMPOTENT
from connectors.wire import Pool

TARGETS_MAX: Final = 8
"""Targets of one service."""
PROBE_EVERY_S: Final = 10.0
"""Seconds between two probes of a target that answers no calls; each pause is jittered."""
PROBE_OPEN_EVERY_S: Final = 2.5
"""The same while a breaker is open: sooner than its own time is over."""
PROBE_S: Final = 5.0
"""Time for a probe to connect, TLS included."""

FAIR_SHARE: Final = 0.5
"""Part of a call's time with which a target that does not answer has failed. With less, most of the
time went to the gateway's own credentials, or to a target before it."""

_TELLS_ON_TARGET: Final = frozenset({Failure.UNREACHABLE, Failure.TIMED_OUT, Failure.MALFORMED})
"""Failures that a breaker counts: the others are about the call or the gateway's own limits."""
_GOES_ON: Final = frozenset({Failure.UNREACHABLE, Failure.TIMED_OUT, Failure.OVERLOADED})
"""Failures after which a call that was not sent goes to the next target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """One target as an operator sees it.

    `failures` are those in a row, `opened` and `retried` count from the connector's opening;
    `retried` are the service's retries at all targets.
    """

    base_url: str
    state: BreakerState
    failures: int
    opened: int
    retried: int


class Target:
    """One target: its pool, its breaker, and whether it answered since it was last looked at."""

    __slots__ = ("answered", "base_url", "breaker", "pool")

    def __init__(self, base_url: str, pool: Pool) -> None:
        """Use `pool`, which `Targets.close` closes."""
        self.base_url = base_url
        self.pool = pool
        self.breaker = Breaker()
        self.answered = False

    def note_answer(self) -> None:
        """Note that a call was answered; a call that asks `closed` first may do it in place."""
        self.answered = True
        self.breaker.succeeded()

    def note_failure(self, failed: CallFailed, now_s: float) -> None:
        """Count a failed call, if its failure tells anything about the target."""
        if failed.failure in _TELLS_ON_TARGET:
            self.breaker.failed(now_s)


def may_repeat(call: Call) -> bool:
    """Tell whether a call that a service may have taken can be sent again (RFC 9110, 9.2.2)."""
    return call.method in IDEMPOTENT and call.body is None


class Targets:
    """Targets in the order of preference; a call goes to the first whose breaker lets it through.

    The rules of what is sent again, and why: docs/decisions/0009.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        """Use one to `TARGETS_MAX` targets."""
        self.all: Final = tuple(targets)
        self.only: Final = self.all[0] if len(self.all) == 1 else None
        self._budget = RetryBudget()
        self._now = asyncio.get_running_loop().time

    async def request(self, call: Call, *, whole_s: float | None = None) -> WireReply:
        """Send `call` to the first target that can take it, and to the next where that is right.

        `whole_s` is the time that the call had before some of it was used up elsewhere: a target
        that gets less than `FAIR_SHARE` of it, and is not done, has not failed.

        Raises:
            CallFailed: `sent` tells of all attempts together.
        """
        fair_s = FAIR_SHARE * (call.deadline_s if whole_s is None else whole_s)
        began_s = self._now()
        self._budget.count(began_s)
        failed: CallFailed | None = None
        for target in self.all:
            now_s = self._now()
            remaining_s = began_s + call.deadline_s - now_s
            if failed is not None and not self._goes_on(failed, call, remaining_s):
                raise failed
            if not target.breaker.admits(now_s):
                continue
            if failed is not None and failed.sent and not self._budget.take(now_s):
                target.breaker.undecided()
                raise failed
            try:
                return await self._attempt(target, replace(call, deadline_s=remaining_s), fair_s)
            except CallFailed as again:
                sent = again.sent or (failed is not None and failed.sent)
                failed = CallFailed(again.failure, again.detail, sent=sent)
        raise failed or CallFailed(
            Failure.UNREACHABLE,
            "the service failed several times in a row and is spared for some seconds",
            sent=False,
        )

    async def probe_all(self) -> tuple[str | None, ...]:
        """Connect to every target; say why it failed, or None, in their order."""
        return tuple([await self._probe(target) for target in self.all])

    async def watch(
        self,
        ready: Callable[[], bool] = lambda: True,
        *,
        every_s: float = PROBE_EVERY_S,
        open_every_s: float = PROBE_OPEN_EVERY_S,
    ) -> None:
        """Probe the targets that answer no calls, one after the other, until cancelled.

        While the connector is not `ready`, nothing could be learned about them.
        """
        while True:
            open_now = any(not target.breaker.closed for target in self.all)
            pause_s = open_every_s if open_now else every_s
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
            for target in self.all:
                if not target.answered and ready():
                    await self._probe(target)
                target.answered = False

    def states(self) -> tuple[TargetState, ...]:
        """Return what an operator may want to know, in the order of preference."""
        now_s = self._now()
        return tuple(
            TargetState(
                base_url=target.base_url,
                state=target.breaker.state(now_s),
                failures=target.breaker.failures,
                opened=target.breaker.opened,
                retried=self._budget.retried,
            )
            for target in self.all
        )

    async def close(self) -> None:
        """Close every pool; calls in flight fail."""
        await asyncio.gather(*(target.pool.close() for target in self.all))

    @staticmethod
    def _goes_on(failed: CallFailed, call: Call, remaining_s: float) -> bool:
        """Tell whether a call that has `failed` may be tried elsewhere."""
        if remaining_s <= 0 or failed.failure not in _GOES_ON:
            return False
        # A target that took the call and is slow about it would only be slow twice.
        return not failed.sent or (failed.failure is Failure.UNREACHABLE and may_repeat(call))

    async def _attempt(self, target: Target, call: Call, fair_s: float) -> WireReply:
        trial = not target.breaker.closed
        try:
            reply = await target.pool.request(call)
        except BaseException as error:
            if trial:
                target.breaker.undecided()
            if isinstance(error, CallFailed) and (
                error.failure is not Failure.TIMED_OUT or call.deadline_s >= fair_s
            ):
                target.note_failure(error, self._now())
            raise
        target.note_answer()
        return reply

    async def _probe(self, target: Target) -> str | None:
        try:
            await target.pool.probe(PROBE_S)
        except CallFailed as failed:
            target.breaker.failed(self._now())
            return failed.detail
        except Exception as error:  # noqa: BLE001 - the watch goes on, whatever a resolver raises
            target.breaker.failed(self._now())
            return type(error).__name__
        target.breaker.reachable()
        return None
