"""Answers that only the end of their connection ends, which look the same where they were cut.

A service that declares no length and sends no chunks answers so, as all do that speak HTTP/1.0.
HTTP takes such an answer for whole (RFC 9112, section 8), and so it is passed on, but both the
record and the consumer are told that nobody knows. A table that ends inside a row was surely cut,
or may have been: a cell of 150 may read 15, and a mark of protection may be gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from connectors.base import CallFailed, Failure, Reply
from gateway.exchange.duties.media import CSV, JSON, PARQUET, read_media
from gateway.exchange.facts import Ending
from gateway.exchange.handling import AnswerHead, Handling, read_head

RESET_CONTENT: Final = 205
"""It has no content (RFC 9110, section 15.3.6), but is framed as if it could: what a service sends
with it all the same is left unread, and no consumer takes it for the next answer."""
UNPROVED: Final = (b"answer-end", b"unproved")
"""Tells the consumer that nobody knows whether the service's answer was whole."""

_END_THEMSELVES: Final = frozenset({JSON, PARQUET})
"""Formats of which no beginning can be taken for the whole: who reads one finds its end."""
_CUT: Final = "the table ends inside a row, or without a line end, and its length is not declared"


def unproved(ending: Ending, reply: Reply, handling: Handling) -> Ending:
    """Return the ending of an answer that its connection ended, marked where nothing proves it.

    A service's error is replaced, long or short, a 205 leaves without a body, and what duties have
    read of a format that ends itself was whole.
    """
    if not reply.delimited_by_close or reply.status >= 300 or reply.status == RESET_CONTENT:
        return ending
    if ending.problem is not None:
        return replace(ending, end_unproved=True)
    if handling.reads and ending.body:
        media_type = read_head(reply.headers, handling).media_type
        if read_media(media_type).format in _END_THEMSELVES:
            return ending
    return replace(ending, headers=(*ending.headers, UNPROVED), end_unproved=True)


def to_its_end(reply: Reply, head: AnswerHead, handling: Handling) -> Reply:
    """Return `reply`, which fails where it is a table that duties read and that may be cut."""
    if not (reply.delimited_by_close and handling.reads) or head.coded:
        return reply
    return WholeRows(reply) if read_media(head.media_type).format is CSV else reply


class WholeRows:
    """A reply with a table that has to end with a row's line end, or counts as cut short."""

    def __init__(self, reply: Reply) -> None:
        """Read the table off `reply`."""
        self._reply = reply
        self.status: int = reply.status
        self.headers = reply.headers
        self.delimited_by_close: bool = reply.delimited_by_close

    async def read(self, bytes_max: int) -> bytes:
        """Read the whole body (`Reply.read`)."""
        body = await self._reply.read(bytes_max)
        _check(body, body.count(b'"'))
        return body

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives (`Reply.chunks`)."""
        last, quotes = b"", 0
        async for piece in self._reply.chunks():
            last = piece
            quotes += piece.count(b'"')
            yield piece
        _check(last, quotes)

    async def release(self) -> None:
        """Give the connection back (`Reply.release`)."""
        await self._reply.release()


def _check(last: bytes, quotes: int) -> None:
    """Refuse what may be cut: a quote that is open, of all that there are, or no line end."""
    if quotes % 2 or not last.endswith(b"\n"):
        raise CallFailed(Failure.MALFORMED, _CUT, sent=True)
