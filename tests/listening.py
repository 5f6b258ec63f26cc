"""A data listener on loopback, and clients that speak to it octet by octet."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from uvicorn.server import ServerState

from gateway.exchange.front.protocol import FrontProtocol, Handler, make_protocol
from gateway.exchange.front.rules import FrontSettings
from gateway.exchange.messages import Request, Response

PATIENCE_S = 10.0
"""How long a client waits for what must come; never reached where all is well."""

QUICK = FrontSettings(
    head_s=0.3,
    last_head_s=0.1,
    idle_s=0.3,
    body_window_s=0.3,
    body_window_bytes_min=64,
    write_window_s=0.3,
    linger_s=0.3,
    tick_s=0.02,
)
"""Limits that tests can wait for."""

HOST = b"Host: gateway.example\r\n"
GET = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /a HTTP/1.1\r\n" + HOST
"""The beginning of a request with a body."""
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED = {
    "F-01": (CHUNKED.replace(b"Transfer", b"Content-Length: 5\r\nTransfer") + b"0\r\n\r\n", 400),
    "F-03": (POST + b"Content-Length: +5\r\n\r\nhello", 400),
    "F-04": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "F-07": (CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", 400),
    "F-08": (CHUNKED + b"5\r\nhelloXX0\r\n\r\n", 400),
    "F-10": (b"GET /a HTTP/1.1\nHost: a\n\n", 400),
    "F-16": (GET.replace(b"1.1", b"1.0"), 505),
    "F-18-tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "F-18-h2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "F-22": (b"PRI * HTTP/2.0\r\n\r\n", 505),
    "H-08": (b"GET /a HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", 431),
    "HO-01": (b"GET /a HTTP/1.1\r\n\r\n", 400),
    "P-01": (GET.replace(b"/a", b"/a/../b"), 400),
    "P-15": (GET.replace(b"/a", b"/" + b"a" * 100_000), 414),
    "P-23": (GET.replace(b"GET", b"TRACE"), 405),
}
"""Requests that the front refuses, by id of the bad input catalogue, and the status of each."""


@dataclass
class Listener:
    """A listener that is up: where, what it shares, and what its front has refused."""

    port: int
    state: ServerState
    refused: list[str]


@dataclass
class Answer:
    """One response as a client reads it."""

    status: int
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


async def echo(request: Request) -> Response:
    """Answer with what came: method, target and body."""
    body = await request.body.read(1024 * 1024)
    content = b"%b %b %b" % (request.method.encode(), request.target.raw, body)
    return Response(status=200, headers=((b"content-type", b"text/plain"),), body=content)


def a_protocol(
    handler: Handler, settings: FrontSettings, refused: list[str], state: ServerState
) -> Callable[[], FrontProtocol]:
    """Return what makes a protocol per connection, as uvicorn would call it."""
    kind = make_protocol(handler, settings, refused.append)
    return lambda: kind(None, state, {}, asyncio.get_running_loop())


@asynccontextmanager
async def listening(
    handler: Handler = echo,
    settings: FrontSettings = QUICK,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Listener]:
    """Listen while the context lasts; at its end every task must have ended."""
    state, refused = ServerState(), list[str]()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        a_protocol(handler, settings, refused, state), "127.0.0.1", 0, ssl=tls
    )
    try:
        yield Listener(server.sockets[0].getsockname()[1], state, refused)
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        await until(lambda: not state.tasks and not state.connections)


async def until(holds: Callable[[], object], pause_s: float = 0.005) -> None:
    """Wait for what no event tells, with bounded patience."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - uvicorn's state and sets have no event
            await asyncio.sleep(pause_s)


@asynccontextmanager
async def connected(
    port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Be connected while the context lasts, with bounded patience."""
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None
        )
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


def reset_when_closed(writer: asyncio.StreamWriter) -> None:
    """Make the end of the connection a reset, so that it cannot be taken for a half-close."""
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )


async def talk(port: int, *segments: bytes) -> bytes:
    """Send `segments`, and return everything until the listener closes."""
    async with connected(port) as (reader, writer):
        for segment in segments:
            writer.write(segment)
            await writer.drain()
        return await reader.read()


async def read_answer(reader: asyncio.StreamReader, *, content: bool = True) -> Answer:
    """Read one response, its body by its framing; raises IncompleteReadError if it is cut."""
    head = await reader.readuntil(b"\r\n\r\n")
    status_line, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    pairs = (line.partition(b": ") for line in lines)
    answer = Answer(int(status_line.split(b" ")[1]), {name: value for name, _, value in pairs})
    if content and b"content-length" in answer.headers:
        answer.body = await reader.readexactly(int(answer.headers[b"content-length"]))
    while content and b"transfer-encoding" in answer.headers:
        size = int((await reader.readuntil(b"\r\n")).strip(), 16)
        answer.body += (await reader.readexactly(size + 2))[:-2]
        if not size:
            break
    return answer
