"""Request bodies between connection and handler."""

from __future__ import annotations

import asyncio

import pytest

from gateway.exchange.front.bodies import NO_BODY, IncomingBody, read_whole
from gateway.exchange.front.chunked import ChunkedDecoder, FramingFault, LengthDecoder
from gateway.exchange.messages import BodyTooLarge, ClientGone

BUFFER_BYTES = 4


class _Sender:
    """A client that sends `wire` piece by piece, only when it is asked to."""

    def __init__(self, wire: list[bytes], *, length: int | None) -> None:
        self.wire = wire
        self.asked_to_stop = 0
        self.body = IncomingBody(
            self,
            ChunkedDecoder() if length is None else LengthDecoder(length),
            expected_bytes=length,
            buffer_bytes_max=BUFFER_BYTES,
        )

    def body_wanted(self) -> None:
        asyncio.get_running_loop().call_soon(self.send)

    def body_plenty(self) -> None:
        self.asked_to_stop += 1

    def send(self) -> None:
        if self.wire:
            self.body.receive(self.wire.pop(0))
        else:
            self.body.break_off()


async def _read(wire: list[bytes], length: int | None, bytes_max: int) -> bytes:
    return await _Sender(wire, length=length).body.read(bytes_max)


@pytest.mark.parametrize(
    ("wire", "length"),
    [([b"hel", b"lo"], 5), ([b"hello"], 5), ([b"5\r\nhe", b"llo\r\n0", b"\r\n\r\n"], None)],
)
def test_a_body_is_read_whole(wire: list[bytes], length: int | None) -> None:
    """Counted or chunked, in any pieces, and of exactly the longest length."""
    assert asyncio.run(_read(list(wire), length, 5)) == b"hello"


@pytest.mark.parametrize(
    ("wire", "length"), [([b"hello"], 5), ([b"5\r\nhello\r\n", b"0\r\n\r\n"], None)]
)
def test_b_01_a_long_body_is_too_large(wire: list[bytes], length: int | None) -> None:
    """One octet too many is too large, by length before anything is sent, or by count."""
    with pytest.raises(BodyTooLarge):
        asyncio.run(_read(wire, length, 4))
    assert len(wire) == 1


@pytest.mark.parametrize(("wire", "length"), [([b"hel"], 5), ([b"5\r\nhello\r\n"], None), ([], 5)])
def test_f_14_a_body_that_breaks_off_is_noticed(wire: list[bytes], length: int | None) -> None:
    """A short body never looks whole."""
    with pytest.raises(ClientGone):
        asyncio.run(_read(wire, length, 100))


def test_a_fast_client_is_asked_to_stop() -> None:
    """Beyond the buffer, the connection stops reading until the handler has read."""

    async def run() -> int:
        sender = _Sender([], length=10)
        sender.body.receive(b"1234")
        assert sender.asked_to_stop == 0
        sender.body.receive(b"5")
        return sender.asked_to_stop

    assert asyncio.run(run()) == 1


def test_an_unwanted_body_is_thrown_away() -> None:
    """After `discard` nothing is held, and the end is still found."""

    async def run() -> bytes:
        sender = _Sender([], length=10)
        sender.body.receive(b"12345")
        sender.body.discard()
        assert sender.body.receive(b"67890next") == b"next"
        assert sender.body.complete
        return await sender.body.read(100)

    assert asyncio.run(run()) == b""


def test_a_broken_chunk_is_a_fault() -> None:
    """The connection learns of it; the handler sees that the client has gone."""

    async def run() -> None:
        sender = _Sender([], length=None)
        with pytest.raises(FramingFault):
            sender.body.receive(b"x\r\n")

    asyncio.run(run())


def test_no_body_is_empty() -> None:
    """A request without content reads as nothing, both ways."""

    async def run() -> tuple[bytes, bytes]:
        return await NO_BODY.read(0), await read_whole(NO_BODY.chunks(), 0)

    assert asyncio.run(run()) == (b"", b"")
