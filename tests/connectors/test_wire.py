"""The pool: reuse, the one retry, the queue, deadlines and what `sent` says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
import uvloop

from connectors.base import Call, CallFailed, Failure
from connectors.egress import EgressRule
from connectors.origin import Origin
from connectors.scripted import Act, Script, ScriptedService, open_scripted
from connectors.wire import SWEEP_S, Pool, PoolLimits

T = TypeVar("T")
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
GET = Call(method="GET", target=b"/")
POST = Call(method="POST", target=b"/", body=b"{}")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run on the event loop that the data plane uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


def pool_at(url: str, limits: PoolLimits | None = None, *, allow_loopback: bool = True) -> Pool:
    """Make a pool for a loopback URL."""
    return Pool(
        Origin.parse(url, allow_loopback=True),
        limits=limits or PoolLimits(),
        egress=EgressRule(allow_loopback=allow_loopback),
        tls=None,
    )


@asynccontextmanager
async def world(
    *scripts: Script, limits: PoolLimits | None = None
) -> AsyncIterator[tuple[ScriptedService, Pool]]:
    """Open a scripted service and a pool that leads to it."""
    async with open_scripted(scripts) as service:
        pool = pool_at(service.base_url, limits)
        try:
            yield service, pool
        finally:
            await pool.close()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    """Yield a body in pieces."""
    for part in parts:
        yield part


async def ask(pool: Pool, call: Call = GET) -> bytes:
    """Make a call and read its body."""
    reply = await pool.request(call)
    try:
        return await reply.read(1000)
    finally:
        await reply.release()


async def failing(pool: Pool, call: Call = GET) -> tuple[Failure, bool]:
    """Make a call that fails; return how, and whether it was sent."""
    with pytest.raises(CallFailed) as caught:
        await ask(pool, call)
    return caught.value.failure, caught.value.sent


def test_heads_of_answers_are_known_to_all_connections_and_soon_forgotten() -> None:
    """The sweep ends what is known: a head may say whom an answer is about."""

    async def play() -> None:
        async with world((OK,)) as (_, pool):
            await ask(pool)
            head = OK.removesuffix(b"ok")
            assert pool.heads.get(head) is not None
            for _ in range(100):
                if pool.heads.get(head) is None:
                    return
                await asyncio.sleep(SWEEP_S)
            pytest.fail("still known after many sweeps")

    run(play())


def test_a_clean_connection_serves_call_after_call() -> None:
    """Calls in sequence share one connection."""

    async def play() -> int:
        async with world(*[(OK,)] * 5) as (service, pool):
            assert [await ask(pool) for _ in range(5)] == [b"ok"] * 5
            return service.connections

    assert run(play()) == 1


@pytest.mark.parametrize("ending", [Act.CLOSE, Act.RESET])
def test_a_stale_connection_is_tried_once_more_where_that_is_safe(ending: Act) -> None:
    """An idempotent call that met a closing kept connection is sent again over a new one."""

    async def play() -> int:
        async with world((OK,), (ending,), (OK,)) as (service, pool):
            assert [await ask(pool), await ask(pool)] == [b"ok", b"ok"]
            assert len(service.requests) == 3
            return service.connections

    assert run(play()) == 2


def test_a_post_is_never_sent_twice() -> None:
    """A call that may have had its effect is reported as sent, and not repeated."""

    async def play() -> tuple[Failure, bool]:
        async with world((OK,), (Act.CLOSE,)) as (service, pool):
            await ask(pool)
            outcome = await failing(pool, POST)
            assert len(service.requests) == 2
            return outcome

    assert run(play()) == (Failure.UNREACHABLE, True)


def test_what_was_streamed_is_never_sent_twice() -> None:
    """The pieces of a body are gone once they are asked for, whatever the method."""

    async def play() -> None:
        async with world((OK,), (Act.CLOSE,), (OK,)) as (service, pool):
            await ask(pool)
            call = Call(method="PUT", target=b"/", body=pieces(b"abc"))
            with pytest.raises(CallFailed) as failed:
                await ask(pool, call)

            assert (failed.value.failure, failed.value.sent) == (Failure.UNREACHABLE, True)
            assert len(service.requests) == 2

    run(play())


def test_a_connection_serves_again_after_a_streamed_call() -> None:
    """Where the whole body was sent and answered, the connection is clean."""

    async def play() -> None:
        async with world((OK,), (OK,)) as (service, pool):
            await ask(pool, Call(method="POST", target=b"/", body=pieces(b"abc", b"d")))
            await ask(pool)

            assert service.connections == 1

    run(play())


def test_an_abandoned_upload_ends_its_connection() -> None:
    """A caller who is cancelled while its body is on its way leaves nothing behind."""

    async def play() -> None:
        async with world((Act.DEAF, Act.STALL), (OK,)) as (service, pool):
            body = pieces(*(b"x" * 65536,) * 256)
            calling = asyncio.ensure_future(ask(pool, Call(method="PUT", target=b"/", body=body)))
            await service.asked.wait()
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)

            assert await ask(pool) == b"ok"
            assert service.connections == 2

    run(play())


def test_no_retry_on_a_fresh_connection_or_after_part_of_an_answer() -> None:
    """Only a kept connection can be stale, and only before the first byte of an answer."""

    async def play() -> list[tuple[Failure, bool]]:
        async with world((Act.CLOSE,), (OK,), (b"HTTP/1.1 2", Act.CLOSE)) as (service, pool):
            first = await failing(pool)
            await ask(pool)
            second = await failing(pool)
            assert len(service.requests) == 3
            return [first, second]

    assert run(play()) == [(Failure.UNREACHABLE, True), (Failure.MALFORMED, True)]


def test_a_retry_that_cannot_connect_still_counts_as_sent() -> None:
    """The first attempt may have reached the service, whatever becomes of the second."""

    async def play() -> tuple[Failure, bool]:
        limits = PoolLimits(connections_max=1, waiting_max=0)
        async with world((OK,), (Act.CLOSE,), (Act.CLOSE,), limits=limits) as (_, pool):
            await ask(pool)
            return await failing(pool)

    assert run(play()) == (Failure.UNREACHABLE, True)


def test_nobody_listening_is_unreachable_and_unsent() -> None:
    """A refused connection took nothing."""

    async def play() -> tuple[Failure, bool]:
        pool = pool_at("http://127.0.0.1:1")
        outcome = await failing(pool)
        await pool.close()
        return outcome

    assert run(play()) == (Failure.UNREACHABLE, False)


def test_an_operator_is_told_what_was_tried() -> None:
    """The detail of a call that found nobody names the address and what came of it."""

    async def play() -> str:
        pool = pool_at("http://127.0.0.1:1")
        with pytest.raises(CallFailed) as failed:
            await pool.probe(60.0)
        await pool.close()
        return failed.value.detail

    assert run(play()) == "Connection refused (127.0.0.1)"


def test_a_denied_address_is_refused_and_unsent() -> None:
    """The egress rule is the pool's, whatever the origin says."""

    async def play() -> tuple[Failure, bool]:
        pool = pool_at("http://127.0.0.1:1", allow_loopback=False)
        outcome = await failing(pool)
        await pool.close()
        return outcome

    assert run(play()) == (Failure.REFUSED, False)


def test_a_full_pool_queues_then_refuses() -> None:
    """Calls beyond the limit wait; beyond the queue they fail at once, unsent."""

    async def play() -> None:
        limits = PoolLimits(connections_max=1, waiting_max=1)
        async with world((OK,), (OK,), limits=limits) as (service, pool):
            held = await pool.request(GET)
            queued = asyncio.create_task(ask(pool))
            await asyncio.sleep(0)
            assert await failing(pool) == (Failure.OVERLOADED, False)
            await held.read(10)
            await held.release()
            assert await queued == b"ok"
            assert service.connections == 1

    run(play())


def test_the_queue_is_left_in_time() -> None:
    """A call that gets no connection within the waiting time fails as overloaded, unsent."""

    async def play() -> tuple[Failure, bool]:
        limits = PoolLimits(connections_max=1, wait_s=0.15)
        async with world((OK,), limits=limits) as (_, pool):
            held = await pool.request(GET)
            outcome = await failing(pool)
            await held.release()
            return outcome

    assert run(play()) == (Failure.OVERLOADED, False)


def test_a_lost_connection_makes_room() -> None:
    """When a connection dies, the first in the queue opens another."""

    async def play() -> bytes:
        limits = PoolLimits(connections_max=1)
        async with world((Act.STALL,), (OK,), limits=limits) as (_, pool):
            first = asyncio.create_task(
                failing(pool, Call(method="GET", target=b"/", deadline_s=0.2))
            )
            await asyncio.sleep(0)
            body = await ask(pool)
            assert await first == (Failure.TIMED_OUT, True)
            return body

    assert run(play()) == b"ok"


def test_a_cancelled_call_takes_its_connection_with_it() -> None:
    """An answer that nobody waits for never meets another call, and the place is free again."""

    async def play() -> bytes:
        limits = PoolLimits(connections_max=1)
        async with world((Act.STALL,), (OK,), limits=limits) as (service, pool):
            task = asyncio.create_task(ask(pool))
            await service.asked.wait()
            queued = asyncio.create_task(ask(pool))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            return await queued

    assert run(play()) == b"ok"


def test_cancelling_while_connecting_leaves_no_trace() -> None:
    """At whatever step a call is cancelled, every place in the pool stays usable."""

    async def play() -> None:
        limits = PoolLimits(connections_max=1, waiting_max=0)
        async with world(*[(OK,)] * 40, limits=limits) as (_, pool):
            for steps in range(20):
                task = asyncio.create_task(ask(pool, Call(method="GET", target=b"/x")))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                while pool._connections:
                    for connection in tuple(pool._connections):
                        connection.drop()
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0.005)
                assert pool._slots_taken == 0

    run(play())


def test_bytes_on_an_idle_connection_end_it() -> None:
    """What a service sends without being asked is never an answer."""

    async def play() -> tuple[bytes, int]:
        surprise = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
        async with world((OK, surprise), (OK,)) as (service, pool):
            first = await ask(pool)
            second = await ask(pool)
            assert first == b"ok"
            return second, service.connections

    assert run(play()) == (b"ok", 2)


def test_idle_connections_are_closed() -> None:
    """A kept connection does not outlive its idle time."""

    async def play() -> None:
        async with world((OK,), limits=PoolLimits(idle_s=0.05)) as (_, pool):
            await ask(pool)
            assert len(pool._connections) == 1
            async with asyncio.timeout(2):
                while pool._connections:  # noqa: ASYNC110 - the pool tells nobody
                    await asyncio.sleep(0.01)

    run(play())


def test_closing_ends_calls_in_flight() -> None:
    """A closed pool leaves no call waiting, in flight or in the queue."""

    async def play() -> list[tuple[Failure, bool]]:
        limits = PoolLimits(connections_max=1)
        async with world((Act.STALL,), limits=limits) as (service, pool):
            tasks = [asyncio.create_task(failing(pool)) for _ in range(2)]
            await service.asked.wait()
            await pool.close()
            return [await task for task in tasks]

    assert run(play()) == [(Failure.UNREACHABLE, True), (Failure.UNREACHABLE, False)]


def test_a_bad_call_is_refused_unsent() -> None:
    """What cannot be rendered takes no connection."""

    async def play() -> tuple[Failure, bool]:
        async with world() as (service, pool):
            outcome = await failing(pool, Call(method="GET", target=b"x"))
            assert service.connections == 0
            return outcome

    assert run(play()) == (Failure.REFUSED, False)
