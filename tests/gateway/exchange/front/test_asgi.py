"""The front as an ASGI application, under a server whose parser came first."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from gateway.exchange.front.asgi import FrontApp
from gateway.exchange.front.protocol import Handler
from gateway.exchange.front.rules import FrontSettings
from gateway.exchange.messages import ClientGone, Request, Response
from tests.listening import GET, HOST, PATIENCE_S, connected, echo, read_answer, until

_POST = b"POST /a HTTP/1.1\r\n" + HOST
SETTINGS = FrontSettings(head_bytes_max=4096)


@asynccontextmanager
async def _mounted(
    handler: Handler = echo, *, server_kind: str = "httptools"
) -> AsyncIterator[tuple[int, list[str]]]:
    """Serve the application at the root of another one, with a parser of uvicorn's."""
    refused: list[str] = []
    app = Starlette(routes=[Mount("/", FrontApp(handler, SETTINGS, refused.append))])
    config = uvicorn.Config(app, http=server_kind, lifespan="off", log_config=None, ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        await until(lambda: server.started)
        try:
            yield listening.getsockname()[1], refused
        finally:
            server.should_exit = True
            await serving


_PARSERS = pytest.mark.parametrize("server_kind", ["httptools", "h11"])


@_PARSERS
def test_requests_are_answered(server_kind: str) -> None:
    """Target, body and the rest come through as under our own protocol."""

    async def run() -> None:
        async with (
            _mounted(server_kind=server_kind) as (port, refused),
            connected(port) as (reader, writer),
        ):
            writer.write(GET.replace(b"/a", b"/a%20b/c?d=e+f"))
            answer = await read_answer(reader)
            assert (answer.status, answer.body) == (200, b"GET /a%20b/c?d=e+f ")
            writer.write(_POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
            assert (await read_answer(reader)).body == b"POST /a hi"
            writer.write(_POST + b"Content-Length: 2\r\n\r\nhi")
            assert (await read_answer(reader)).body == b"POST /a hi"
            writer.write(GET.replace(b"GET", b"HEAD"))
            assert (await read_answer(reader, content=False)).headers[b"content-length"]
            assert refused == []

    asyncio.run(run())


@_PARSERS
@pytest.mark.parametrize(
    ("wire", "code"),
    [
        pytest.param(GET.replace(b"/a", b"/a/%2e%2e/b"), "path-not-canonical", id="P-02"),
        pytest.param(GET.replace(b"/a", b"//a"), "path-not-canonical", id="P-05"),
        pytest.param(GET.replace(b"/a", b"/a?b=%zz"), "malformed-request", id="P-10"),
        pytest.param(GET.replace(HOST, b"Host: a/../b\r\n"), "invalid-host", id="HO-03"),
        pytest.param(GET.replace(b"GET", b"TRACE"), "method-not-allowed", id="P-23"),
        pytest.param(GET.replace(HOST, HOST + b"Expect: x\r\n"), "expectation-failed", id="H-07"),
        pytest.param(GET.replace(HOST, HOST + b"X: \xff\r\n"), "malformed-request", id="H-08"),
        pytest.param(
            GET.replace(HOST, HOST + b"X: y\r\n" * 100), "headers-too-large", id="H-08-count"
        ),
        pytest.param(
            GET.replace(HOST, HOST + b"X: " + b"y" * 5000 + b"\r\n"),
            "headers-too-large",
            id="H-08-octets",
        ),
    ],
)
def test_a_refusal_is_answered_and_counted(wire: bytes, code: str, server_kind: str) -> None:
    """What both parsers let through gets the same verdict here."""

    async def run() -> None:
        async with (
            _mounted(server_kind=server_kind) as (port, refused),
            connected(port) as (reader, writer),
        ):
            writer.write(wire)
            answer = await read_answer(reader)
            assert b"/problems/%b" % code.encode() in answer.body
            assert answer.headers[b"connection"] == b"close"
            assert refused == [code]

    asyncio.run(run())


def test_a_fault_of_the_handler_is_500() -> None:
    """It is counted, and told without its text."""

    async def handler(request: Request) -> Response:
        raise ValueError("secret")

    async def run() -> None:
        async with _mounted(handler) as (port, refused), connected(port) as (reader, writer):
            writer.write(GET)
            answer = await read_answer(reader)
            assert answer.status == 500
            assert b"secret" not in answer.body
            assert refused == ["internal-error"]

    asyncio.run(run())


def test_a_stream_is_sent_or_cut() -> None:
    """A stream arrives chunk by chunk, and one that fails looks incomplete."""

    async def stream(*, fails: bool) -> AsyncIterator[bytes]:
        yield b"one"
        if fails:
            raise OSError("upstream broke")
        yield b"two"

    async def handler(request: Request) -> Response:
        body = stream(fails=request.target.path == "/fails")
        return Response(status=200, headers=(), body=body)

    async def run() -> None:
        async with _mounted(handler) as (port, _), connected(port) as (reader, writer):
            writer.write(GET)
            assert (await read_answer(reader)).body == b"onetwo"
            writer.write(GET.replace(b"/a", b"/fails"))
            with pytest.raises(asyncio.IncompleteReadError):
                await read_answer(reader)

    asyncio.run(run())


def test_n_05_a_caller_who_goes_while_sending_is_noticed() -> None:
    """The body raises, and the handler lives on to write its record."""

    async def run() -> str:
        began = asyncio.Event()
        recorded = asyncio.get_running_loop().create_future()

        async def handler(request: Request) -> Response:
            began.set()
            try:
                await request.body.read(1000)
            except ClientGone:
                recorded.set_result("aborted")
                raise
            return Response(status=200, headers=())

        async with _mounted(handler) as (port, refused):
            async with connected(port) as (_, writer):
                writer.write(_POST + b"Content-Length: 100\r\n\r\nhello")
                await began.wait()
            outcome: str = await asyncio.wait_for(recorded, PATIENCE_S)
            assert refused == []
            return outcome

    assert asyncio.run(run()) == "aborted"
