"""A head that comes again is known by all of its octets, and by nothing less."""

from __future__ import annotations

import asyncio

from gateway.exchange.front.protocol import REPEATED_HEAD_BYTES_MAX
from gateway.exchange.messages import Request, Response
from tests.listening import GET, POST, connected, listening, read_answer

LONG = GET[:-2].replace(b"/a", b"/long") + b"X: " + b"x" * REPEATED_HEAD_BYTES_MAX + b"\r\n\r\n"


def test_a_head_that_comes_again_is_known_by_all_of_its_octets() -> None:
    """Each request is answered for what it says itself, and a body is never the last one's.

    A body comes only after its head was taken: with it the head would be more than itself.
    """
    other, named = GET.replace(b"/a", b"/b"), GET[:-2] + b"X-Request-ID: 7\r\n\r\n"
    post = POST + b"Content-Length: 2\r\n\r\n"
    wires = (
        GET,
        GET,
        other,
        GET,
        named,
        GET,
        post,
        b"hi",
        post + b"ho",
        post,
        b"hu",
        GET,
        GET,
        LONG,
        GET,
    )
    seen = []
    taken = asyncio.Event()

    async def handler(request: Request) -> Response:
        taken.set()
        body = await request.body.read(2)
        known_as = [value for name, value in request.headers if name == b"x-request-id"]
        seen.append((request.method, request.target.path, known_as, body))
        return Response(status=200, headers=())

    async def run() -> None:
        async with listening(handler) as listener, connected(listener.port) as (reader, writer):
            for wire in wires:
                taken.clear()
                writer.write(wire)
                if wire == post:
                    await taken.wait()
                else:
                    await read_answer(reader)

    asyncio.run(run())
    get: tuple[str, str, list[bytes], bytes] = ("GET", "/a", [], b"")
    assert seen == [
        *(get, get, ("GET", "/b", [], b""), get, ("GET", "/a", [b"7"], b""), get),
        *(("POST", "/a", [], body) for body in (b"hi", b"ho", b"hu")),
        *(get, get, ("GET", "/long", [], b""), get),
    ]
