"""Writes a request's head: the target byte for byte, and framing that nobody else can influence."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Mapping
from typing import Final

from connectors.base import Call, CallFailed, Failure

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent again after a connection broke (RFC 9110, 9.2.2)."""

NOT_SENT: Final = frozenset(
    {
        b"authorization",
        b"connection",
        b"content-length",
        b"cookie",
        b"dpop",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields a call may not carry: framing and hop-by-hop fields, and a caller's credentials."""

_METHODS: Final[Mapping[str, tuple[bytes, bytes]]] = {
    "GET": (b"GET ", b"\r\n"),
    "HEAD": (b"HEAD ", b"\r\n"),
    "OPTIONS": (b"OPTIONS ", b"\r\n"),
    "DELETE": (b"DELETE ", b"\r\n"),
    # RFC 9110, 8.6: a method that expects content says so when there is none.
    "POST": (b"POST ", b"content-length: 0\r\n\r\n"),
    "PUT": (b"PUT ", b"content-length: 0\r\n\r\n"),
    "PATCH": (b"PATCH ", b"content-length: 0\r\n\r\n"),
}
"""The start of the head, and its end where there is no body."""

_NAMES_KEPT_MAX: Final = 256
_TARGET: Final = re.compile(rb"""/[!"$-~]*""")
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_TEXT: Final = bytes(byte for byte in range(256) if byte >= 0x20 and byte != 0x7F) + b"\t"
_LINES_OF_REQUEST: Final = 3
"""The request line, Host, and the blank line."""


class HeadWriter:
    """Writes heads of requests to one authority, below one path prefix."""

    __slots__ = ("_after_target", "_leads", "_lines", "_own_name", "_prefix", "_start")

    def __init__(self, authority: bytes, prefix: bytes) -> None:
        """`authority` is the Host to send; `prefix` goes before every target, without end slash."""
        self._prefix = prefix
        self._start = self._after_target = b" HTTP/1.1\r\nhost: " + authority + b"\r\n"
        self._lines = _LINES_OF_REQUEST
        self._own_name = b""
        self._leads: dict[bytes, bytes] = {}

    def authorize(self, name: bytes, value: bytes) -> None:
        """Send the gateway's own credential as one field of every request from now on.

        No call can bring a field of this `name` then. It costs a request nothing: it is part of
        what stands between its target and its own fields.
        """
        self._after_target = self._start + name + b": " + value + b"\r\n"
        self._lines = _LINES_OF_REQUEST + 1
        self._own_name = name
        self._leads.pop(name, None)

    def render(self, call: Call) -> bytes:
        """Return the head; raises CallFailed (REFUSED, nothing sent) where the call cannot be."""
        method = _METHODS.get(call.method)
        if method is None or _TARGET.fullmatch(call.target) is None:
            raise CallFailed(Failure.REFUSED, "the method or target cannot be sent", sent=False)
        parts = [method[0], self._prefix, call.target, self._after_target]
        leads = self._leads
        for name, value in call.headers:
            parts += (leads.get(name) or self._admit(name), value, b"\r\n")
        lines = self._lines + len(call.headers)
        if call.body is None:
            parts.append(method[1])
            lines += len(method[1]) > 2
        else:
            parts.append(_framing(call.body, call.body_bytes))
            lines += 1
        head = b"".join(parts)
        # One pass finds every control character: only our own line ends may be left.
        if head.translate(None, _TEXT) != b"\r\n" * lines:
            raise CallFailed(Failure.REFUSED, "a header value cannot be sent", sent=False)
        return head

    def _admit(self, name: bytes) -> bytes:
        if _NAME.fullmatch(name) is None or name in NOT_SENT or name == self._own_name:
            raise CallFailed(Failure.REFUSED, "a header field cannot be sent", sent=False)
        lead = name + b": "
        if len(self._leads) < _NAMES_KEPT_MAX:
            self._leads[name] = lead
        return lead


def _framing(body: bytes | AsyncIterable[bytes], body_bytes: int | None) -> bytes:
    """Return the framing field of a request with a body, and the blank line."""
    if isinstance(body, bytes):
        body_bytes = len(body)
    if body_bytes is None:
        return b"transfer-encoding: chunked\r\n\r\n"
    return b"content-length: %d\r\n\r\n" % body_bytes
