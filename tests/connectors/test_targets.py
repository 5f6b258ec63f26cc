"""Calls go to the first target that can take them, and on to the next where that is right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import pytest
import uvloop

from connectors.base import Call, CallFailed, Failure
from connectors.breaker import FAILURES_MAX, BreakerState
from connectors.budget import RETRIES_MIN
from connectors.egress import EgressRule
from connectors.origin import Origin
from connectors.scripted import Act, Script, ScriptedService, open_scripted
from connectors.targets import Target, Targets
from connectors.wire import Pool, PoolLimits

T = TypeVar("T")
GET = Call(method="GET", target=b"/", deadline_s=10)
POST = Call(method="POST", target=b"/", body=b"{}", deadline_s=10)
PUT = Call(method="PUT", target=b"/", body=b"{}", deadline_s=10)
NOBODY = "http://127.0.0.1:1"
CLOSES: Script = (Act.CLOSE,)


def answer(body: bytes) -> Script:
    """Return the script of a whole answer."""
    return (b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body,)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run on the event loop that the data plane uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


def targets_at(*urls: str, limits: PoolLimits | None = None) -> Targets:
    """Return targets at loopback URLs."""
    egress = EgressRule(allow_loopback=True)
    return Targets(
        [
            Target(
                url,
                Pool(
                    Origin.parse(url, allow_loopback=True),
                    limits=limits or PoolLimits(),
                    egress=egress,
                    tls=None,
                ),
            )
            for url in urls
        ]
    )


@asynccontextmanager
async def pair(
    first: Iterator[Script] | list[Script], second: Iterator[Script] | list[Script]
) -> AsyncIterator[tuple[ScriptedService, ScriptedService, Targets]]:
    """Open two scripted services and the targets that lead to them, in their order."""
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(open_scripted(list(scripts)))
            for scripts in (first, second)
        ]
        found = targets_at(*(service.base_url for service in services))
        stack.push_async_callback(found.close)
        yield services[0], services[1], found


async def ask(found: Targets, call: Call = GET) -> bytes:
    """Make a call and read its body."""
    reply = await found.request(call)
    try:
        return await reply.read(1000)
    finally:
        await reply.release()


async def failing(found: Targets, call: Call = GET) -> tuple[Failure, bool]:
    """Make a call that fails; return how, and whether it was sent."""
    with pytest.raises(CallFailed) as caught:
        await ask(found, call)
    return caught.value.failure, caught.value.sent


def test_the_first_target_takes_the_calls() -> None:
    """The order is one of preference: a second place is not asked while the first answers."""

    async def play() -> None:
        async with pair([answer(b"one")] * 3, []) as (first, second, found):
            assert [await ask(found) for _ in range(3)] == [b"one"] * 3
            assert (len(first.requests), second.connections) == (3, 0)

    run(play())


@pytest.mark.parametrize("call", [GET, POST], ids=["GET", "POST"])
def test_an_unsent_call_goes_to_the_next_target(call: Call) -> None:
    """Nobody listens at the first: even a POST may go elsewhere, as nothing was sent."""

    async def play() -> None:
        async with open_scripted([answer(b"two")]) as service:
            found = targets_at(NOBODY, service.base_url)
            assert await ask(found, call) == b"two"
            await found.close()

    run(play())


def test_a_full_target_s_calls_go_to_the_next() -> None:
    """What the first has no room for is unsent, and no fault of the target."""

    async def play() -> None:
        limits = PoolLimits(connections_max=1, waiting_max=0)
        async with (
            open_scripted([answer(b"one")]) as first,
            open_scripted([answer(b"two")]) as second,
        ):
            found = targets_at(first.base_url, second.base_url, limits=limits)
            held = await found.request(GET)
            assert await ask(found, POST) == b"two"
            assert found.states()[0].failures == 0
            await held.release()
            await found.close()

    run(play())


def test_an_idempotent_call_is_repeated_at_the_next_target() -> None:
    """A target that hangs up unanswered may have taken a GET; asking elsewhere does no harm."""

    async def play() -> None:
        async with pair([CLOSES], [answer(b"two")]) as (first, _, found):
            assert await ask(found) == b"two"
            assert len(first.requests) == 1
            assert found.states()[0].retried == 1

    run(play())


@pytest.mark.parametrize("call", [POST, PUT], ids=["POST", "PUT"])
def test_a_sent_call_with_an_effect_or_a_body_is_never_repeated(call: Call) -> None:
    """A POST may have had its effect, and a body may be one that can be read only once."""

    async def play() -> None:
        async with pair([CLOSES], [answer(b"two")]) as (_, second, found):
            assert await failing(found, call) == (Failure.UNREACHABLE, True)
            assert second.connections == 0

    run(play())


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        ((b"HTTP/1.1 999 No\r\n\r\n",), Failure.MALFORMED),
        ((b"HTTP/1.1 200 OK\r\ncontent-le", Act.STALL), Failure.TIMED_OUT),
    ],
)
def test_an_answer_that_is_bad_or_late_is_not_asked_for_again(
    script: Script, failure: Failure
) -> None:
    """A bad answer is a sign of something else, and lateness has used up the time."""

    async def play() -> None:
        async with pair([script], [answer(b"two")]) as (_, second, found):
            slow = Call(method="GET", target=b"/", deadline_s=0.3)
            assert await failing(found, slow) == (failure, True)
            assert second.connections == 0

    run(play())


def test_once_sent_is_always_sent() -> None:
    """A retry that cannot connect does not make the first attempt undone."""

    async def play() -> tuple[Failure, bool]:
        async with open_scripted([CLOSES]) as service:
            found = targets_at(service.base_url, NOBODY)
            try:
                return await failing(found)
            finally:
                await found.close()

    assert run(play()) == (Failure.UNREACHABLE, True)


def test_retries_end_with_the_budget() -> None:
    """A service that hangs up on everything is not asked twice as much by everybody."""

    async def play() -> None:
        async with pair([CLOSES] * 4, [answer(b"two")] * 10) as (_, second, found):
            for _ in range(RETRIES_MIN):
                assert await ask(found) == b"two"
            assert await failing(found) == (Failure.UNREACHABLE, True)
            assert len(second.requests) == RETRIES_MIN

    run(play())


def test_a_target_that_fails_is_spared_and_tried_again_by_one_call() -> None:
    """Named failures in a row open its breaker; a probe that gets through lets one trial follow."""

    async def play() -> None:
        calls = FAILURES_MAX + 1
        async with pair(
            [CLOSES] * FAILURES_MAX + [answer(b"one")] * 2, [answer(b"two")] * calls
        ) as (first, _, found):
            for _ in range(FAILURES_MAX):
                await failing(found, POST)
            assert found.states()[0].state is BreakerState.OPEN
            assert await ask(found, POST) == b"two"
            assert len(first.requests) == FAILURES_MAX
            assert await found.probe_all() == (None, None)
            assert [await ask(found, POST) for _ in range(2)] == [b"one", b"one"]
            state = found.states()[0]
            assert (state.state, state.failures, state.opened) == (BreakerState.CLOSED, 0, 1)

    run(play())


def test_while_one_call_tries_the_others_do_not_wait() -> None:
    """Half-open lets a single call through; the rest go to the next target."""

    async def play() -> None:
        stalled: Script = (Act.STALL,)
        async with pair([CLOSES] * FAILURES_MAX + [stalled], [answer(b"two")] * 2) as (
            first,
            _,
            found,
        ):
            for _ in range(FAILURES_MAX):
                await failing(found, POST)
            await found.probe_all()
            trial = asyncio.create_task(ask(found, POST))
            async with asyncio.timeout(10):
                while len(first.requests) <= FAILURES_MAX:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.005)
            assert [await ask(found, POST) for _ in range(2)] == [b"two", b"two"]
            trial.cancel()
            await asyncio.wait({trial})
            assert found.states()[0].state is BreakerState.HALF_OPEN

    run(play())


def test_time_that_was_used_up_elsewhere_is_not_the_target_s_failure() -> None:
    """A target that gets little of a call's time is not to blame; one that gets most of it is."""

    async def play() -> None:
        async with open_scripted([(Act.STALL,)] * 2) as service:
            found = targets_at(service.base_url)
            hurried = Call(method="GET", target=b"/", deadline_s=0.5)
            for whole_s, failures in ((10.0, 0), (None, 1)):
                with pytest.raises(CallFailed) as caught:
                    await found.request(hurried, whole_s=whole_s)
                assert caught.value.failure is Failure.TIMED_OUT
                assert found.states()[0].failures == failures
            await found.close()

    run(play())


def test_with_every_breaker_open_a_call_fails_at_once_unsent() -> None:
    """Nobody waits for a service that is known to be down."""

    async def play() -> tuple[Failure, bool]:
        found = targets_at(NOBODY)
        for _ in range(FAILURES_MAX):
            assert await failing(found) == (Failure.UNREACHABLE, False)
        try:
            with pytest.raises(CallFailed, match="is spared for some seconds") as caught:
                await ask(found)
            return caught.value.failure, caught.value.sent
        finally:
            await found.close()

    assert run(play()) == (Failure.UNREACHABLE, False)


def test_a_call_that_cannot_be_sent_says_nothing_about_the_target() -> None:
    """A bad call neither opens a breaker nor goes on to the next target."""

    async def play() -> None:
        async with pair([], []) as (_, second, found):
            for _ in range(FAILURES_MAX + 1):
                bad = Call(method="GET", target=b"no slash")
                assert await failing(found, bad) == (Failure.REFUSED, False)
            assert found.states()[0].failures == 0
            assert second.connections == 0

    run(play())


def test_targets_that_answer_nobody_are_probed_in_the_background() -> None:
    """A standby that is down is known before it is needed; one that answers is left in peace."""

    async def play() -> None:
        async with open_scripted([answer(b"one")] * 2) as service:
            found = targets_at(service.base_url, NOBODY)
            watch = asyncio.create_task(found.watch(every_s=0.02, open_every_s=0.02))
            async with asyncio.timeout(10):
                while found.states()[1].state is BreakerState.CLOSED:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.005)
            assert found.states()[0].state is BreakerState.CLOSED
            assert service.requests == []
            assert await ask(found) == b"one"
            watch.cancel()
            await asyncio.wait({watch})
            await found.close()

    run(play())
