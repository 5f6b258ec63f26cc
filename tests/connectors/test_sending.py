"""A body in pieces: its framing, its end, and what it means that it breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from connectors.base import CallFailed, Failure
from connectors.sending import send_body


class Paper:
    """A line that keeps what is written on it."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.written = b""
        self.whole = False
        self.fault: tuple[Failure, str] | None = None

    def write(self, *parts: bytes) -> None:
        """Keep `parts`."""
        self.written += b"".join(parts)

    async def drained(self) -> None:
        """Be ready at once."""

    def sent(self) -> None:
        """Note the end."""
        self.whole = True

    def fail(self, failure: Failure, detail: str) -> None:
        """Note the failure."""
        self.fault = (failure, detail)


class Pieces:
    """A body that tells whether it was closed."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        """Yield `pieces`, then break off with `error`."""
        self.pieces = pieces
        self.error = error
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces."""
        try:
            for piece in self.pieces:
                yield piece
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


def send(pieces: Pieces, body_bytes: int | None) -> Paper:
    """Send `pieces` and return what was written."""
    paper = Paper()
    asyncio.run(send_body(paper, pieces, body_bytes))
    assert pieces.closed
    return paper


def test_without_a_length_there_are_chunks() -> None:
    """Each piece is a chunk; an empty one would end the body, and is left out."""
    paper = send(Pieces(b"abc", b"", b"d" * 16), None)
    assert paper.written == b"3\r\nabc\r\n10\r\n" + b"d" * 16 + b"\r\n0\r\n\r\n"
    assert paper.whole


def test_with_a_length_the_pieces_come_as_they_are() -> None:
    """Content-Length is the framing."""
    paper = send(Pieces(b"abc", b"de"), 5)
    assert (paper.written, paper.whole) == (b"abcde", True)


@pytest.mark.parametrize("body_bytes", [4, 6])
def test_a_body_of_another_length_is_no_request(body_bytes: int) -> None:
    """Not one octet more is written than the head says, and fewer are a failure (U-04)."""
    paper = send(Pieces(b"abc", b"de"), body_bytes)
    assert len(paper.written) <= body_bytes
    assert (paper.whole, paper.fault and paper.fault[0]) == (False, Failure.MALFORMED)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (CallFailed(Failure.REFUSED, "broke off", sent=True), Failure.REFUSED),
        (KeyError("a name"), Failure.MALFORMED),
    ],
)
def test_a_body_that_breaks_off_has_no_end(error: Exception, failure: Failure) -> None:
    """The last chunk is not written, and nothing of an error's text is told."""
    paper = send(Pieces(b"abc", error=error), None)
    assert paper.written == b"3\r\nabc\r\n"
    assert paper.fault is not None
    assert paper.fault[0] is failure
    assert "a name" not in paper.fault[1]
