"""Requests and responses on real sockets: framing (F), trailers (H), and callers who go (N-05)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
import uvicorn

from gateway.exchange.front.protocol import make_protocol
from gateway.exchange.messages import BodyTooLarge, ClientGone, Request, Response
from tests.listening import (
    CHUNKED,
    GET,
    HOST,
    PATIENCE_S,
    POST,
    QUICK,
    REFUSED,
    connected,
    listening,
    read_answer,
    reset_when_closed,
    talk,
    until,
)


async def _answers(*segments: bytes, count: int = 1) -> list[tuple[int, bytes]]:
    async with listening() as listener, connected(listener.port) as (reader, writer):
        for segment in segments:
            writer.write(segment)
            await writer.drain()
        answers = [await read_answer(reader) for _ in range(count)]
        return [(answer.status, answer.body) for answer in answers]


@pytest.mark.parametrize(
    ("wire", "bodies"),
    [
        pytest.param(GET, [b"GET /a "], id="get"),
        pytest.param(b"\r\n" + GET, [b"GET /a "], id="F-17-one-empty-line"),
        pytest.param(POST + b"Content-Length: 5\r\n\r\nhello", [b"POST /a hello"], id="length"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", [b"POST /a hello"], id="chunks"),
        pytest.param(
            POST + b"Content-Length: 2\r\n\r\nhi" + GET, [b"POST /a hi", b"GET /a "], id="F-12"
        ),
        pytest.param(
            POST + b"Content-Length: 2\r\n\r\nhi" + GET + GET,
            [b"POST /a hi", b"GET /a ", b"GET /a "],
            id="F-13",
        ),
        pytest.param(
            CHUNKED + b"0\r\nAuthorization: Bearer x\r\n\r\n" + GET,
            [b"POST /a ", b"GET /a "],
            id="H-02",
        ),
        pytest.param(
            CHUNKED + b"1\r\na\r\n" * 3000 + b"0\r\n\r\n",
            [b"POST /a " + b"a" * 3000],
            id="F-23",
        ),
        pytest.param(GET * 500, [b"GET /a "] * 500, id="F-12-many"),
        pytest.param(
            POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi" + GET,
            [b"POST /a hi", b"GET /a "],
            id="H-06-upgrade-is-ignored",
        ),
    ],
)
def test_requests_are_answered_in_order(wire: bytes, bodies: list[bytes]) -> None:
    """Each request of a connection gets its own answer, whatever came in one segment."""
    assert asyncio.run(_answers(wire, count=len(bodies))) == [(200, body) for body in bodies]


@pytest.mark.parametrize(("wire", "status"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_answered_counted_and_final(wire: bytes, status: int) -> None:
    """The answer is a problem, nothing after it is served, and its code is counted."""

    async def run() -> None:
        async with listening() as listener:
            received = await talk(listener.port, wire + GET)
            head, _, body = received.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert b"connection: close" in head
            assert b"application/problem+json" in head
            assert b"exchange-id" not in head
            problem = orjson.loads(body)
            assert problem["status"] == status
            assert problem["type"] == f"/problems/{listener.refused[0]}"
            assert len(listener.refused) == 1

    asyncio.run(run())


def test_a_refusal_of_head_has_no_content() -> None:
    """The octets after the head would be read as the next answer."""

    async def run() -> bytes:
        async with listening() as listener:
            return await talk(listener.port, b"HEAD /a/../b HTTP/1.1\r\n" + HOST + b"\r\n")

    assert asyncio.run(run()).endswith(b"\r\n\r\n")


@pytest.mark.parametrize("pause", [False, True], ids=["H-01-one-segment", "H-03-later"])
def test_trailers_never_become_header_fields(*, pause: bool) -> None:
    """F16: the handler sees the fields of the head only, when it starts and after the body."""
    seen = []

    async def handler(request: Request) -> Response:
        seen.append(request.headers)
        body = await request.body.read(100)
        seen.append(request.headers)
        return Response(status=200, headers=(), body=body)

    async def run() -> None:
        async with listening(handler) as listener, connected(listener.port) as (reader, writer):
            writer.write(CHUNKED + b"1\r\na\r\n0\r\n")
            if pause:
                await until(lambda: seen)
            writer.write(b"Authorization: Bearer good\r\nAccept: x\r\n\r\n" + GET)
            assert (await read_answer(reader)).body == b"a"
            await read_answer(reader)
            assert listener.refused == []

    asyncio.run(run())
    assert seen == [()] * 4


def test_h_07_continue_is_sent_when_the_body_is_wanted() -> None:
    """The interim answer comes once the handler reads, and the body after it is read."""

    async def run() -> None:
        async with listening() as listener, connected(listener.port) as (reader, writer):
            writer.write(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            assert (await read_answer(reader)).status == 100
            writer.write(b"hi")
            assert (await read_answer(reader)).body == b"POST /a hi"

    asyncio.run(run())


def test_h_07_a_body_that_is_not_wanted_is_not_asked_for() -> None:
    """A refusal comes instead of the interim answer, and the connection ends."""

    async def handler(request: Request) -> Response:
        return Response(status=401, headers=())

    async def run() -> bytes:
        async with listening(handler) as listener:
            expecting = b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
            return await talk(listener.port, POST + expecting)

    received = asyncio.run(run())
    assert received.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in received


@pytest.mark.parametrize(
    ("length", "kept"), [(1000, True), (QUICK.drain_bytes_max + 1, False)], ids=["short", "long"]
)
def test_an_unread_body_is_drained_or_ends_the_connection(length: int, *, kept: bool) -> None:
    """A short rest is thrown away and the connection goes on; for a long one it is closed."""

    async def handler(request: Request) -> Response:
        return Response(status=403, headers=(), body=b"no")

    async def run() -> None:
        async with listening(handler) as listener, connected(listener.port) as (reader, writer):
            writer.write(POST + b"Content-Length: %d\r\n\r\n" % length)
            answer = await read_answer(reader)
            assert (b"connection" not in answer.headers) is kept
            writer.write(b"x" * length + GET)
            if kept:
                assert (await read_answer(reader)).status == 403
            else:
                assert await reader.read() == b""

    asyncio.run(run())


def test_b_01_a_body_beyond_the_handlers_limit_is_refused_in_peace() -> None:
    """The answer arrives although the caller is still sending."""

    async def handler(request: Request) -> Response:
        try:
            await request.body.read(10)
        except BodyTooLarge:
            return Response(status=413, headers=(), close=True)
        return Response(status=200, headers=())

    async def run() -> bytes:
        async with listening(handler) as listener:
            return await talk(listener.port, CHUNKED, b"400\r\n" + b"x" * 1024 + b"\r\n")

    assert asyncio.run(run()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "start",
    [POST + b"Content-Length: 100\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n"],
    ids=["F-14-length", "N-05-chunks"],
)
def test_a_caller_who_goes_while_sending_is_noticed(start: bytes) -> None:
    """The body raises, and the handler lives on to write its record."""

    async def run() -> str:
        began = asyncio.Event()
        recorded = asyncio.get_running_loop().create_future()

        async def handler(request: Request) -> Response:
            began.set()
            try:
                await request.body.read(1000)
            except ClientGone:
                await asyncio.sleep(0)
                recorded.set_result("aborted")
                raise
            return Response(status=200, headers=())

        async with listening(handler) as listener:
            async with connected(listener.port) as (_, writer):
                writer.write(start)
                await began.wait()
            outcome: str = await asyncio.wait_for(recorded, PATIENCE_S)
            assert listener.refused == []
            return outcome

    assert asyncio.run(run()) == "aborted"


def test_n_05_a_caller_who_goes_before_the_answer_does_not_stop_the_handler() -> None:
    """It runs to its end, its answer is dropped, and a stream of it is started and closed."""

    async def run() -> list[str]:
        began, gone, told = asyncio.Event(), asyncio.Event(), list[str]()

        async def stream() -> AsyncIterator[bytes]:
            try:
                yield b"a"
                yield b"b"
            finally:
                told.append("closed")

        async def handler(request: Request) -> Response:
            began.set()
            await gone.wait()
            told.append("answered")
            return Response(status=200, headers=(), body=stream())

        async with listening(handler) as listener:
            async with connected(listener.port) as (_, writer):
                writer.write(GET)
                await began.wait()
                reset_when_closed(writer)
            await until(lambda: not listener.state.connections)
            gone.set()
        return told

    assert asyncio.run(run()) == ["answered", "closed"]


def test_a_stream_is_chunked_and_the_connection_goes_on() -> None:
    """Every chunk arrives, empty ones do not end it, and the next request is served."""

    async def stream() -> AsyncIterator[bytes]:
        for chunk in (b"one", b"", b"two" * 100_000):
            yield chunk

    async def handler(request: Request) -> Response:
        return Response(status=200, headers=(), body=stream())

    async def run() -> None:
        async with listening(handler) as listener, connected(listener.port) as (reader, writer):
            writer.write(GET + GET)
            for _ in range(2):
                assert (await read_answer(reader)).body == b"one" + b"two" * 100_000
            writer.write(GET.replace(b"GET", b"HEAD"))
            assert (await read_answer(reader, content=False)).status == 200
            writer.write(GET)
            assert (await read_answer(reader)).status == 200

    asyncio.run(run())


def test_a_stream_that_fails_looks_incomplete() -> None:
    """The connection is cut, so that no caller takes a part for the whole."""

    async def stream() -> AsyncIterator[bytes]:
        yield b"one"
        raise OSError("upstream broke")

    async def handler(request: Request) -> Response:
        return Response(status=200, headers=(), body=stream())

    async def run() -> list[str]:
        async with listening(handler) as listener, connected(listener.port) as (reader, writer):
            writer.write(GET)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await read_answer(reader)
            return listener.refused

    assert asyncio.run(run()) == ["internal-error"]


@pytest.mark.parametrize("split", [False, True], ids=["raises", "malformed-response"])
def test_a_fault_of_the_handler_is_500(*, split: bool) -> None:
    """The caller learns nothing but that; it is counted."""

    async def handler(request: Request) -> Response:
        if split:
            return Response(status=200, headers=((b"x", b"a\r\nb: secret"),))
        raise ValueError("secret")

    async def run() -> None:
        async with listening(handler) as listener:
            received = await talk(
                listener.port, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            )
            assert received.startswith(b"HTTP/1.1 500 ")
            assert b"secret" not in received
            assert listener.refused == ["internal-error"]

    asyncio.run(run())


def test_a_caller_who_only_stops_sending_gets_the_answer() -> None:
    """A half-closed connection is answered, then closed."""

    async def run() -> bytes:
        async with listening() as listener, connected(listener.port) as (reader, writer):
            writer.write(GET)
            writer.write_eof()
            return await reader.read()

    assert asyncio.run(run()).endswith(b"GET /a ")


def test_uvicorn_serves_with_this_protocol_and_ends_gracefully() -> None:
    """uvicorn takes the class; at shutdown the exchange in flight is finished (N-07)."""

    async def run() -> None:
        began, may_end = asyncio.Event(), asyncio.Event()

        async def handler(request: Request) -> Response:
            began.set()
            await may_end.wait()
            return Response(status=200, headers=(), body=b"done")

        kind = make_protocol(handler, QUICK, lambda code: None)
        config = uvicorn.Config(
            app=lambda: None,
            port=0,
            http=kind,
            lifespan="off",
            log_config=None,
        )
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server.serve())
        await until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with connected(port) as (reader, writer), connected(port) as (idle, _):
            writer.write(GET)
            await began.wait()
            server.should_exit = True
            assert await idle.read() == b""
            may_end.set()
            answer = await read_answer(reader)
            assert (answer.body, answer.headers[b"connection"]) == (b"done", b"close")
            assert await reader.read() == b""
        await serving
        assert server.server_state.total_requests == 1

    asyncio.run(run())
