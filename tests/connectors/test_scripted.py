"""The scripted service does what its script says."""

from __future__ import annotations

import asyncio

import pytest

from connectors.scripted import Act, Repeat, Script, open_scripted


async def ask(script: Script, request: bytes) -> tuple[bytes, list[bytes]]:
    """Send one request and read to the end of the connection."""
    async with open_scripted((script,)) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(request)
        try:
            return await reader.read(), service.requests
        finally:
            writer.close()


def test_it_sends_the_bytes_and_closes() -> None:
    """The script's bytes come as they are; the request is kept, body included."""
    request = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    assert asyncio.run(ask((b"one", b"two", Act.CLOSE), request)) == (b"onetwo", [request])


def test_it_resets() -> None:
    """RESET ends the connection with RST."""
    with pytest.raises(ConnectionResetError):
        asyncio.run(ask((Act.RESET,), b"GET / HTTP/1.1\r\n\r\n"))


def test_it_repeats_and_stalls_until_the_caller_goes() -> None:
    """Endless answers end with the caller, and the service ends with its block."""

    async def run(script: Script) -> bytes:
        async with open_scripted((script,)) as service:
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            seen = await reader.readexactly(5)
            writer.close()
            return seen

    assert asyncio.run(run((Repeat(part=b"ab"),))) == b"ababa"
    assert asyncio.run(run((b"abcde", Act.STALL))) == b"abcde"


def test_it_takes_a_body_in_chunks_or_none_at_all() -> None:
    """A deaf script plays before the body; any other after its last chunk."""
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"3\r\nabc\r\n0\r\n\r\n"
    assert asyncio.run(ask((b"one", Act.CLOSE), head + body)) == (b"one", [head + body])
    assert asyncio.run(ask((Act.DEAF, b"one"), head)) == (b"one", [head])
