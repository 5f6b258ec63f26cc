"""The octets of a response: status line, fields, framing; nothing is copied that could split it."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace
from http import HTTPStatus
from typing import Final

import orjson

from gateway.clock import new_uuid7, uuid_text
from gateway.errors import ProblemCode
from gateway.exchange.front.rules import METHODS
from gateway.exchange.messages import FrontRefusal, Response
from gateway.problems import MEDIA_TYPE, PROBLEMS

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"

FRAMING_FIELDS: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"date",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Response fields that the front alone writes; those of a handler are left out."""

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_BODILESS: Final = frozenset({204, 304})
_ALLOW: Final = (b"allow", ", ".join(METHODS.values()).encode())


class ResponseMalformed(Exception):
    """A handler's response holds an octet that could split it, or an interim status."""


def has_content(method: str, status: int) -> bool:
    """Tell whether a response has content at all (RFC 9110, section 6.4.1)."""
    return method != "HEAD" and status not in _BODILESS


def whole_reply(response: Response, method: str, *, date: bytes, close: bool) -> bytes:
    """Return a response whose body is known, ready to be written in one piece.

    Raises:
        ResponseMalformed: a header field or the status cannot be written.
    """
    body = response.body
    assert isinstance(body, bytes)  # noqa: S101 - the programmer's error
    if has_content(method, response.status):
        return reply_head(response, b"content-length: %d\r\n" % len(body), date, close) + body
    if method == "HEAD" and body:
        # RFC 9110, section 9.3.2: what the same GET would have said.
        return reply_head(response, b"content-length: %d\r\n" % len(body), date, close)
    return reply_head(response, b"", date, close)


def streamed_head(response: Response, method: str, *, date: bytes, close: bool) -> bytes:
    """Return the head of a response whose body comes in chunks; raises `ResponseMalformed`."""
    framing = b""
    if has_content(method, response.status):
        framing = b"transfer-encoding: chunked\r\n"
    return reply_head(response, framing, date, close)


def reply_head(response: Response, framing: bytes, date: bytes, close: bool) -> bytes:
    """Return status line and fields with their last empty line; raises `ResponseMalformed`."""
    lines = [b": ".join(pair) for pair in response.headers if pair[0] not in FRAMING_FIELDS]
    lines.append(b"date: " + date)
    fields = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if fields.count(b"\n") != breaks or fields.count(b"\r") != breaks or b"\0" in fields:
        raise ResponseMalformed
    if response.status < 200:
        raise ResponseMalformed
    status_line = _STATUS_LINES.get(response.status) or b"HTTP/1.1 %d \r\n" % response.status
    end = b"connection: close\r\n\r\n" if close else b"\r\n"
    return b"".join((status_line, fields, b"\r\n", framing, end))


def internal_error(error: Exception, log: logging.Logger) -> Response:
    """Return the answer to a fault of ours, and log its type and place.

    Never its text: that may hold personal data, or tell a stranger how the gateway works.
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
    log.error("The handler failed: %s at %s", type(error).__name__, place)
    refusal = FrontRefusal(code=ProblemCode.INTERNAL_ERROR, detail="The gateway failed.")
    response = refusal_response(refusal)
    exchange_id = (b"exchange-id", uuid_text(new_uuid7()).encode())
    return replace(response, headers=(*response.headers, exchange_id))


def refusal_response(refusal: FrontRefusal) -> Response:
    """Return the answer to a refused request: problem+json (RFC 9457), then the connection ends."""
    problem = PROBLEMS[refusal.code]
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")]
    if refusal.code is ProblemCode.METHOD_NOT_ALLOWED:
        headers.append(_ALLOW)
    return Response(
        status=problem.status,
        headers=tuple(headers),
        body=orjson.dumps(
            {
                "type": f"/problems/{problem.code}",
                "title": problem.title,
                "status": problem.status,
                "detail": refusal.detail,
                "origin": problem.origin,
            }
        ),
        close=True,
    )


@contextlib.asynccontextmanager
async def closing(body: AsyncIterator[bytes]) -> AsyncIterator[None]:
    """Close `body` at the end, where it can be closed, so that its own end is reached."""
    try:
        yield
    finally:
        close = getattr(body, "aclose", None)
        if close is not None:
            await close()
