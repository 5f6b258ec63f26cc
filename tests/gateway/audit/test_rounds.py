"""Rounds of work beside the exchanges: a failure ends none of them, and the end has a last one."""

from __future__ import annotations

import asyncio

from gateway.audit.rounds import keep_at, pause
from gateway.audit.store import LogUnavailable

WAIT_S_MAX = 20


def test_rounds_go_on_after_a_failure_and_end_with_a_last_one() -> None:
    """What a round raises and what it returns is told, and so is that the next one was well."""
    told: list[str | None] = []
    answers = iter([LogUnavailable("raised"), None, None])

    async def play() -> None:
        stop = asyncio.Event()

        async def work() -> LogUnavailable | None:
            answer = next(answers)
            if answer is not None:
                raise answer
            if not stop.is_set():
                stop.set()
                return LogUnavailable("returned")
            return None

        await keep_at(work, stop, lambda it: told.append(str(it) if it else None), interval_s=0.01)

    asyncio.run(asyncio.wait_for(play(), WAIT_S_MAX))
    assert told == ["raised", "returned", None]


def test_a_pause_ends_with_the_work() -> None:
    """Whoever stops does not wait out the interval."""

    async def play() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_soon(stop.set)
        await pause(stop, 3_600)
        assert stop.is_set()

    asyncio.run(asyncio.wait_for(play(), WAIT_S_MAX))
