"""A head that comes again is known by all of its octets, and by nothing less."""

from __future__ import annotations

import asyncio

from gateway.exchange.messages import Request, Response
from tests.listening import GET, POST, connected, listening, read_answer


def test_a_head_that_comes_again_is_known_by_all_of_its_octets() -> None:
    """Each request is answered for what it says itself, and a body is never the last one's."""
    other, named = GET.replace(b"/a", b"/b"), GET[:-2] + b"X-Request-ID: 7\r\n\r\n"
    post = POST + b"Content-Length: 2\r\n\r\n"
    wires = (GET, GET, other, GET, named, GET, post, b"hi", post + b"ho", post, b"hu", GET, GET)
    seen = []

    async def handler(request: Request) -> Response:
        body = await request.body.read(2)
        known_as = [value for name, value in request.headers if name == b"x-request-id"]
        seen.append((request.method, request.target.path, known_as, body))
        return Response(status=200, headers=())

    async def run() -> None:
        async with listening(handler) as listener, connected(listener.port) as (reader, writer):
            for wire in wires:
                writer.write(wire)
                if wire != post:
                    await read_answer(reader)

    asyncio.run(run())
    get: tuple[str, str, list[bytes], bytes] = ("GET", "/a", [], b"")
    assert seen == [
        *(get, get, ("GET", "/b", [], b""), get, ("GET", "/a", [b"7"], b""), get),
        *(("POST", "/a", [], body) for body in (b"hi", b"ho", b"hu")),
        *(get, get),
    ]
