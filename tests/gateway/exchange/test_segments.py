"""A request is judged alike however the network cuts it (F-24)."""

from __future__ import annotations

import asyncio

import pytest
from uvicorn.server import ServerState

from gateway.exchange.front.rules import FrontSettings
from tests.listening import CHUNKED, GET, POST, REFUSED, a_protocol, echo, until


class _Wire(asyncio.Transport):
    """The caller's end in memory, so that segments arrive exactly as they were cut."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


async def _in_segments(*segments: bytes) -> tuple[list[bytes], list[str]]:
    state, refused = ServerState(), list[str]()
    protocol = a_protocol(echo, FrontSettings(), refused, state)()
    wire = _Wire()
    protocol.connection_made(wire)
    for segment in segments:
        protocol.data_received(segment)
        while state.tasks and not protocol._transport.is_closing():
            before = wire.written
            await asyncio.sleep(0)
            if wire.written == before and protocol._phase.name == "BODY":
                break
    await until(lambda: wire.closed or not state.tasks, 0)
    protocol.connection_lost(None)
    await until(lambda: not state.tasks, 0)
    lines = wire.written.split(b"\r\n")
    return [line for line in lines if not line.startswith(b"date: ")], refused


_F_24 = {
    "get": GET,
    "pipelined": GET + POST + b"Content-Length: 2\r\n\r\nhi" + GET,
    "chunked": CHUNKED + b'3;x="y"\r\nabc\r\n1\r\n\r\r\n0\r\nHost: evil\r\n\r\n' + GET,
    **{name: wire for name, (wire, _) in REFUSED.items() if len(wire) < 1000},
}


@pytest.mark.parametrize("wire", _F_24.values(), ids=_F_24)
def test_f_24_the_verdict_does_not_depend_on_segments(wire: bytes) -> None:
    """A request cut in two at any octet, or into single octets, is answered like the whole."""

    async def run() -> None:
        whole = await _in_segments(wire)
        assert whole[0]
        for at in range(1, len(wire)):
            assert await _in_segments(wire[:at], wire[at:]) == whole, at
        assert await _in_segments(*(wire[at : at + 1] for at in range(len(wire)))) == whole

    asyncio.run(run())
