"""What is kept is obtained once for all who wait, renewed in time, and never after it expired."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from connectors.credentials import CredentialUnavailable
from connectors.keeper import RETRY_S_MIN, Keeper


@dataclass(frozen=True)
class Value:
    """What the tests keep."""

    lifetime_s: float = 3600.0
    renew_s: float = 1800.0


class Source:
    """Obtains a value each time `gate` is open, or fails as told."""

    def __init__(self, *outcomes: Value | Exception) -> None:
        """Give `outcomes` one after the other, the last for ever."""
        self.outcomes = list(outcomes)
        self.asked = 0
        self.adopted: list[object] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def obtain(self) -> Value:
        """Give the next outcome."""
        self.asked += 1
        await self.gate.wait()
        outcome = self.outcomes[0] if len(self.outcomes) == 1 else self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def keeper(self) -> Keeper[Value]:
        """Return a keeper of this source."""
        return Keeper(self.obtain, self.adopted.append)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the keeper tells nobody
            await asyncio.sleep(0.005)


def test_all_who_wait_share_one_attempt() -> None:
    """A burst of calls after a start asks the token endpoint once."""

    async def play() -> None:
        source = Source(Value())
        keeper = source.keeper()
        source.gate.clear()
        waiting = [asyncio.create_task(keeper.ensure(10)) for _ in range(20)]
        await until(lambda: source.asked == 1)
        source.gate.set()
        assert await asyncio.gather(*waiting) == [True] * 20
        assert (source.asked, len(source.adopted), keeper.generation) == (1, 1, 1)

    asyncio.run(play())


def test_a_caller_that_leaves_does_not_end_the_attempt() -> None:
    """Others wait for it too, and a waiting time that is over ends only the waiting."""

    async def play() -> None:
        source = Source(Value())
        keeper = source.keeper()
        source.gate.clear()
        leaver = asyncio.create_task(keeper.ensure(10))
        await until(lambda: source.asked == 1)
        assert not await keeper.ensure(0.01)
        leaver.cancel()
        await asyncio.wait({leaver})
        source.gate.set()
        assert await keeper.ensure(10)
        assert source.asked == 1

    asyncio.run(play())


def test_it_is_renewed_before_it_expires() -> None:
    """The background keeps it fresh; nobody has to wait for that."""

    async def play() -> None:
        source = Source(Value(renew_s=0.0))
        keeper = source.keeper()
        running = asyncio.create_task(keeper.run())
        await until(lambda: source.asked >= 2)
        assert keeper.usable
        running.cancel()
        await asyncio.wait({running})
        await keeper.close()

    asyncio.run(play())


def test_what_has_expired_is_not_used() -> None:
    """A token that could not be renewed in time is no credential any more."""

    async def play() -> None:
        source = Source(Value(lifetime_s=0.05), CredentialUnavailable("the endpoint is down"))
        keeper = source.keeper()
        assert await keeper.ensure(10)
        await until(lambda: not keeper.usable)
        await asyncio.sleep(RETRY_S_MIN)
        assert not await keeper.ensure(10)
        assert keeper.why_not == "the endpoint is down"

    asyncio.run(play())


def test_attempts_that_fail_are_spaced() -> None:
    """A thousand calls do not hammer an endpoint that is down."""

    async def play() -> None:
        source = Source(CredentialUnavailable("no"))
        keeper = source.keeper()
        assert [await keeper.ensure(1) for _ in range(1000)] == [False] * 1000
        assert source.asked == 1

    asyncio.run(play())


def test_a_failure_of_any_kind_is_survived_and_told_by_its_type() -> None:
    """Its text may hold anything; the next attempt may succeed."""

    async def play() -> None:
        source = Source(LookupError("s3cret"), Value())
        keeper = source.keeper()
        assert not await keeper.ensure(1)
        assert keeper.why_not == "LookupError while it was obtained"
        await asyncio.sleep(RETRY_S_MIN)
        assert await keeper.ensure(1)

    asyncio.run(play())


def test_one_renewal_serves_all_that_were_refused() -> None:
    """Calls that were refused with the same token get one new one between them."""

    async def play() -> None:
        source = Source(Value())
        keeper = source.keeper()
        await keeper.ensure(10)
        keeper._renewed_s -= 3600
        source.gate.clear()
        waiting = [asyncio.create_task(keeper.refused(1, 10)) for _ in range(5)]
        await until(lambda: source.asked == 2)
        source.gate.set()
        assert await asyncio.gather(*waiting) == [True] * 5
        assert await keeper.refused(1, 10), "another has renewed it meanwhile"
        assert source.asked == 2

    asyncio.run(play())


def test_what_is_new_is_not_renewed_because_it_is_refused() -> None:
    """A service that refuses every token does not turn each call into one at the token endpoint."""

    async def play() -> None:
        source = Source(Value())
        keeper = source.keeper()
        await keeper.ensure(10)
        assert [await keeper.refused(1, 10) for _ in range(100)] == [False] * 100
        assert source.asked == 1

    asyncio.run(play())


def test_closing_ends_the_attempt_under_way() -> None:
    """Nothing is left behind when a service goes."""

    async def play() -> None:
        source = Source(Value())
        source.gate.clear()
        keeper = source.keeper()
        waiting = asyncio.create_task(keeper.ensure(10))
        await until(lambda: source.asked == 1)
        await keeper.close()
        assert await waiting is False

    asyncio.run(play())
