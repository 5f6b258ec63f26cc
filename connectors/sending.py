"""Sends a request body that comes in pieces, no faster than the service takes them."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Protocol

from connectors.base import CallFailed, Failure


class Line(Protocol):
    """What sending asks of a connection."""

    def write(self, *parts: bytes) -> None:
        """Write `parts` together; raises CallFailed where the connection is gone."""

    async def drained(self) -> None:
        """Wait until the service has taken enough of what was written."""

    def sent(self) -> None:
        """Note that the whole body is written."""

    def fail(self, failure: Failure, detail: str) -> None:
        """End the call with a failure."""


async def send_body(line: Line, body: AsyncIterable[bytes], body_bytes: int | None) -> None:
    """Send `body` behind its head, with the framing that the head says; never raises.

    Where it breaks off, or is not as long as `body_bytes` says, the connection is closed, so that
    the service sees an incomplete request (RFC 9112, section 8).
    """
    try:
        await _send(line, body, body_bytes)
    except CallFailed as failed:
        line.fail(failed.failure, failed.detail)
    except Exception as error:  # noqa: BLE001 - whatever it is, only the five failures leave
        line.fail(Failure.MALFORMED, f"{type(error).__name__} in the body of the request")
    else:
        line.sent()


async def _send(line: Line, body: AsyncIterable[bytes], body_bytes: int | None) -> None:
    sent_bytes = 0
    pieces = aiter(body)
    try:
        async for piece in pieces:
            if not piece:
                continue
            sent_bytes += len(piece)
            if body_bytes is None:
                line.write(b"%x\r\n" % len(piece), piece, b"\r\n")
            elif sent_bytes <= body_bytes:
                line.write(piece)
            else:
                break
            await line.drained()
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()
    if body_bytes is None:
        line.write(b"0\r\n\r\n")
    elif sent_bytes != body_bytes:
        raise CallFailed(Failure.MALFORMED, "the body is not as long as it says", sent=True)
