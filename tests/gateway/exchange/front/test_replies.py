"""The octets of responses: our framing, and nothing that could split one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import orjson
import pytest

from gateway.errors import ProblemCode
from gateway.exchange.front.replies import (
    ResponseMalformed,
    closing,
    has_content,
    internal_error,
    refusal_response,
    streamed_head,
    whole_reply,
)
from gateway.exchange.messages import FrontRefusal, Headers, Response

_DATE = b"Tue, 15 Nov 1994 08:12:31 GMT"


def _whole(status: int, method: str, body: bytes, headers: Headers = ()) -> bytes:
    response = Response(status=status, headers=headers, body=body)
    return whole_reply(response, method, date=_DATE, close=False)


def test_a_whole_reply_is_one_piece() -> None:
    """Status line, fields, date, length and body come in order."""
    assert _whole(200, "GET", b"hello", ((b"content-type", b"text/plain"),)) == (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ndate: " + _DATE + b"\r\n"
        b"content-length: 5\r\n\r\nhello"
    )


@pytest.mark.parametrize(
    ("status", "method", "length", "content"),
    [
        (200, "HEAD", b"content-length: 5\r\n", b""),
        (204, "GET", b"", b""),
        (304, "GET", b"", b""),
        (200, "POST", b"content-length: 5\r\n", b"hello"),
        (599, "GET", b"content-length: 5\r\n", b"hello"),
    ],
)
def test_f_21_some_replies_have_no_content(
    status: int, method: str, length: bytes, content: bytes
) -> None:
    """F16: HEAD, 204 and 304 never carry content (RFC 9110, section 6.4.1)."""
    head, _, body = _whole(status, method, b"hello").partition(b"\r\n\r\n")
    assert body == content
    assert (length.strip() in head.split(b"\r\n")) == bool(length)
    assert (b"content-length" in head) == bool(length)


def test_an_empty_answer_to_head_tells_no_length() -> None:
    """Nothing is known about what GET would have said."""
    assert b"content-length" not in _whole(200, "HEAD", b"")


def test_framing_is_ours_alone() -> None:
    """A handler's framing fields are left out, and `close` is written by us."""
    fields = ((b"content-length", b"9"), (b"transfer-encoding", b"x"), (b"connection", b"upgrade"))
    response = Response(status=200, headers=fields, body=b"")
    reply = whole_reply(response, "GET", date=_DATE, close=True)
    assert reply.count(b"content-length: 0") == 1
    assert reply.count(b"connection: close") == 1
    assert b"transfer-encoding" not in reply


def test_a_stream_is_chunked_where_it_has_content() -> None:
    """A body of unknown length is chunked, unless there is none."""
    response = Response(status=200, headers=())
    chunked = b"transfer-encoding: chunked\r\n"
    assert chunked in streamed_head(response, "GET", date=_DATE, close=False)
    assert chunked not in streamed_head(response, "HEAD", date=_DATE, close=False)
    assert has_content("GET", 200)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, ((b"x", b"a\r\nset-cookie: b"),)),
        (200, ((b"x", b"a\nb"),)),
        (200, ((b"x\r", b"a"),)),
        (200, ((b"x", b"a\x00"),)),
        (101, ()),
    ],
)
def test_a_reply_cannot_be_split(status: int, headers: Headers) -> None:
    """A field with a line break or NUL, or an interim status, is a fault of ours."""
    with pytest.raises(ResponseMalformed):
        _whole(status, "GET", b"", headers)


def test_a_refusal_is_a_problem() -> None:
    """It has type, title, status, detail and origin, and asks to close (RFC 9457)."""
    refusal = FrontRefusal(code=ProblemCode.METHOD_NOT_ALLOWED, detail="No.")
    response = refusal_response(refusal)
    assert isinstance(response.body, bytes)
    problem = orjson.loads(response.body)
    assert problem.pop("title")
    assert problem == {
        "type": "/problems/method-not-allowed",
        "status": 405,
        "detail": "No.",
        "origin": "client",
    }
    assert response.close
    assert dict(response.headers)[b"allow"] == b"GET, HEAD, POST, PUT, PATCH, DELETE"


def _look_up(empty: dict[str, str], key: str) -> str:
    return empty[key]


def test_a_fault_of_ours_is_told_by_type_and_place_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither the caller nor the log sees an exception's text."""
    with pytest.raises(KeyError) as caught:
        _look_up({}, "999 000 0018")
    response = internal_error(caught.value, logging.getLogger("test"))
    assert isinstance(response.body, bytes)
    assert orjson.loads(response.body)["status"] == 500
    assert "KeyError at" in caplog.text
    assert "test_replies.py" in caplog.text
    assert "999 000" not in caplog.text + response.body.decode()


def test_a_body_is_closed() -> None:
    """A generator that is left early still reaches its end."""
    ended = []

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            ended.append(True)

    async def leave() -> None:
        chunks = body()
        async with closing(chunks):
            assert await anext(chunks) == b"a"

    asyncio.run(leave())
    assert ended == [True]
