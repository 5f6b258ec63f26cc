"""The body of a request, between the connection that receives it and the handler that reads it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Protocol

from gateway.exchange.front.chunked import ChunkedDecoder, Decoder, LengthDecoder
from gateway.exchange.front.rules import FrontSettings
from gateway.exchange.messages import BodyTooLarge, ClientGone


class Source(Protocol):
    """What a body asks of its connection."""

    def body_wanted(self) -> None:
        """Let the client send on."""

    def body_plenty(self) -> None:
        """Stop taking octets from the client for now."""


class NoBody:
    """The body of a request without content."""

    async def read(self, bytes_max: int) -> bytes:  # noqa: ARG002 - the protocol's signature
        """Return nothing."""
        return b""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield nothing."""
        nothing: tuple[bytes, ...] = ()
        for piece in nothing:
            yield piece


NO_BODY: Final = NoBody()


class IncomingBody:
    """A body that is arriving: `receive` fills it, `read` or `chunks` empties it."""

    __slots__ = (
        "_broken", "_buffer_bytes_max", "_buffered_bytes", "_decoder", "_discarding", "_pieces",
        "_source", "_waiter", "expected_bytes",
    )  # fmt: skip

    def __init__(
        self,
        source: Source,
        decoder: Decoder,
        *,
        expected_bytes: int | None,
        buffer_bytes_max: int,
    ) -> None:
        """Hold up to about `buffer_bytes_max` octets before `source` is asked to stop."""
        self.expected_bytes = expected_bytes
        self._source = source
        self._decoder = decoder
        self._buffer_bytes_max = buffer_bytes_max
        self._pieces: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._broken = False
        self._discarding = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def complete(self) -> bool:
        """Whether its end has arrived, read or not."""
        return self._decoder.complete

    def receive(self, received: bytes) -> bytes:
        """Take octets from the connection; return those that come after the body's end.

        Raises:
            FramingFault: the body breaks its framing.
        """
        pieces = self._decoder.decode(received)
        if not self._discarding:
            self._pieces.extend(pieces)
            self._buffered_bytes += sum(map(len, pieces))
            if self._buffered_bytes > self._buffer_bytes_max and not self.complete:
                self._source.body_plenty()
        self._wake()
        return self._decoder.rest

    def break_off(self) -> None:
        """Say that no more will come."""
        self._broken = True
        self._wake()

    def discard(self) -> None:
        """Throw away what has come and what will come: nobody reads it any more."""
        self._discarding = True
        self._pieces.clear()
        self._buffered_bytes = 0

    async def read(self, bytes_max: int) -> bytes:
        """Read it whole; raises BodyTooLarge beyond `bytes_max`, ClientGone if it breaks off."""
        if self.expected_bytes is not None and self.expected_bytes > bytes_max:
            raise BodyTooLarge
        return await read_whole(self.chunks(), bytes_max)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield it as it arrives, with back-pressure; raises `ClientGone` if it breaks off."""
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._buffered_bytes -= len(piece)
                yield piece
            if self.complete:
                return
            if self._broken:
                raise ClientGone
            self._source.body_wanted()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def incoming_body(
    source: Source, expected_bytes: int | None, settings: FrontSettings
) -> IncomingBody:
    """Return the body of a request whose head tells its length, or None for chunks."""
    decoder = ChunkedDecoder() if expected_bytes is None else LengthDecoder(expected_bytes)
    return IncomingBody(
        source,
        decoder,
        expected_bytes=expected_bytes,
        buffer_bytes_max=settings.body_buffer_bytes,
    )


async def read_whole(chunks: AsyncIterator[bytes], bytes_max: int) -> bytes:
    """Return all of `chunks`; raises BodyTooLarge once there are more than `bytes_max` octets."""
    pieces = []
    read_bytes = 0
    async for piece in chunks:
        read_bytes += len(piece)
        if read_bytes > bytes_max:
            raise BodyTooLarge
        pieces.append(piece)
    return b"".join(pieces)
