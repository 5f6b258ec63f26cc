"""One connection: bodies with back-pressure, large requests, and release."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from connectors.base import Call, CallFailed, Failure
from connectors.connection import UNREAD_BYTES_MAX
from connectors.http import HttpConnector, HttpSettings, open_http
from connectors.scripted import Act, Script, ScriptedService, open_scripted
from tests.certificates import Certificate

GET = Call(method="GET", target=b"/", deadline_s=5)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def large(size: int) -> bytes:
    """Return an answer with a body of `size` bytes."""
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"a" * size


def opened(service: ScriptedService) -> HttpSettings:
    """Return settings that lead to `service`."""
    return HttpSettings(base_url=service.base_url, allow_loopback=True)


def test_a_slow_reader_makes_the_service_wait() -> None:
    """Not much more than the limit is kept in memory, and the body arrives whole all the same."""

    async def run() -> int:
        size = 64 * UNREAD_BYTES_MAX
        async with (
            open_scripted(((large(size),), (OK,))) as service,
            open_http(opened(service)) as connector,
        ):
            reply = await connector.call(GET)
            connection = reply._connection  # type: ignore[attr-defined]  # looks inside
            async with asyncio.timeout(5):
                while not connection._paused:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.001)
            assert connection.reader.buffered_bytes < 3 * UNREAD_BYTES_MAX
            read = 0
            async for chunk in reply.chunks():
                read += len(chunk)
                await asyncio.sleep(0)
            await reply.release()
            assert await body_of(connector) == b"ok"
            assert service.connections == 1
            return read - size

    assert asyncio.run(run()) == 0


async def body_of(connector: HttpConnector) -> bytes:
    """Make a call and read its body."""
    reply = await connector.call(GET)
    body = await reply.read(100)
    await reply.release()
    return body


def test_large_bodies_are_read_whole_up_to_the_limit() -> None:
    """The limit is exact, and a body beyond it is refused before it has come."""

    async def run() -> None:
        size = 3 * UNREAD_BYTES_MAX
        async with (
            open_scripted(((large(size),), (large(size),))) as service,
            open_http(opened(service)) as connector,
        ):
            reply = await connector.call(GET)
            assert len(await reply.read(size)) == size
            await reply.release()
            reply = await connector.call(GET)
            with pytest.raises(CallFailed) as caught:
                await reply.read(size - 1)
            assert caught.value.failure is Failure.MALFORMED
            await reply.release()

    asyncio.run(run())


@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_request_bodies_are_sent_whole(size: int) -> None:
    """Small bodies leave with their head, large ones behind it."""

    async def run() -> bytes:
        async with (
            open_scripted(((OK,),)) as service,
            open_http(opened(service)) as connector,
        ):
            reply = await connector.call(Call(method="POST", target=b"/", body=b"b" * size))
            await reply.release()
            return service.requests[0]

    assert asyncio.run(run()).endswith(b"content-length: %d\r\n\r\n" % size + b"b" * size)


def test_the_end_of_an_upload_wakes_no_other_call() -> None:
    """It is told one turn late, when another call may wait on the same connection already."""

    async def run() -> tuple[bytes, int]:
        made = b"HTTP/1.1 201 Made\r\ncontent-length: 0\r\n\r\n"
        async with (
            open_scripted(((), (made,))) as service,
            open_http(opened(service)) as connector,
        ):
            waits, last = asyncio.Event(), asyncio.Event()

            async def body() -> AsyncIterator[bytes]:
                yield b"first"
                waits.set()
                await last.wait()

            async def ask(call: Call) -> tuple[bytes, int]:
                reply = await connector.call(call)
                answer = await reply.read(10), reply.status
                await reply.release()
                return answer

            put = Call(method="PUT", target=b"/", body=body(), deadline_s=60, idle_s=60)
            upload = asyncio.create_task(ask(put))
            await waits.wait()
            target = connector._targets.only
            assert target is not None
            (connection,) = target.pool._connections
            # One turn of the event loop brings the body's end, the answer to it and another call.
            last.set()
            connection.data_received(OK)
            other = asyncio.create_task(ask(Call(method="GET", target=b"/", deadline_s=60)))
            assert await upload == (b"ok", 200)
            answer = await other
            assert service.connections == 1
            return answer

    assert asyncio.run(run()) == (b"", 201)


@pytest.mark.parametrize(
    ("script", "connections"),
    [
        ((OK,), 1),
        ((large(1_000_000),), 2),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",), 2),
        ((OK + b"junk",), 2),
    ],
)
def test_only_a_clean_connection_is_kept(script: Script, connections: int) -> None:
    """A reply released before its end, or unclean, takes its connection with it."""

    async def run() -> int:
        async with (
            open_scripted((script, (OK,))) as service,
            open_http(opened(service)) as connector,
        ):
            reply = await connector.call(GET)
            await reply.release()
            await reply.release()
            assert await body_of(connector) == b"ok"
            return service.connections

    assert asyncio.run(run()) == connections


def test_a_body_of_unknown_length_is_flagged() -> None:
    """U-05: `deliver` is told that a cut could not be noticed, and tells the record."""

    async def run() -> list[bool]:
        async with (
            open_scripted(((OK,), (b"HTTP/1.1 200 OK\r\n\r\nab", Act.CLOSE))) as service,
            open_http(opened(service)) as connector,
        ):
            flags = []
            for _ in range(2):
                reply = await connector.call(GET)
                flags.append(reply.delimited_by_close)
                await reply.read(10)
                await reply.release()
            return flags

    assert asyncio.run(run()) == [False, True]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        pytest.param(True, "ab", id="U-05-tls-close-notify"),
        pytest.param(False, Failure.MALFORMED, id="U-05-tls-cut"),
    ],
)
def test_tls_that_ends_without_its_end_is_cut(
    make_certificate: Callable[..., Certificate],
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    told: bool,
    outcome: str,
) -> None:
    """Anybody on the way can close a connection, and only the service say that it was its end."""
    certificate = make_certificate()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nab")
        await writer.drain()
        if not told:
            with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as raw:
                raw.shutdown(socket.SHUT_WR)
            await reader.read()
        writer.close()

    async def run() -> str:
        context = certificate.server_context()
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        settings = HttpSettings(
            base_url=f"https://localhost:{port}", allow_loopback=True, ca_file=str(certificate.path)
        )
        async with server, open_http(settings) as connector:
            try:
                return (await body_of(connector)).decode()
            except CallFailed as failed:
                return failed.failure

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(run()) == outcome


@pytest.mark.parametrize(
    ("ending", "failure"), [(Act.CLOSE, Failure.MALFORMED), (Act.RESET, Failure.UNREACHABLE)]
)
def test_a_stream_that_breaks_off_fails(ending: Act, failure: Failure) -> None:
    """U-04: what came is handed on, and then the cut is an error, never an end."""

    async def run() -> tuple[bytes, Failure]:
        part = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"
        async with (
            open_scripted(((part, ending),)) as service,
            open_http(opened(service)) as connector,
        ):
            reply = await connector.call(GET)
            chunks = reply.chunks()
            first = await anext(chunks)
            with pytest.raises(CallFailed) as caught:
                await anext(chunks)
            await reply.release()
            return first, caught.value.failure

    assert asyncio.run(run()) == (b"abc", failure)


def test_reading_after_release_is_a_programmers_error() -> None:
    """A released reply has no way to another call's answer."""

    async def run() -> None:
        async with (
            open_scripted(((OK,),)) as service,
            open_http(opened(service)) as connector,
        ):
            reply = await connector.call(GET)
            await reply.release()
            with pytest.raises(AssertionError):
                await reply.read(10)

    asyncio.run(run())
