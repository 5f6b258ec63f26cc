"""The octets of a request head: where it ends, and its lines, strictly by RFC 9112."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.errors import ProblemCode
from gateway.exchange.messages import FrontRefusal

HEAD_BYTES_MAX: Final = 32 * 1024
"""Request line and header fields together: room for a token of 16 KiB and its proof."""
HEADER_COUNT_MAX: Final = 100
HEADER_NAME_BYTES_MAX: Final = 128

CRLF: Final = b"\r\n"
HEAD_END: Final = b"\r\n\r\n"
PRINTABLE: Final = bytes(range(0x20, 0x7F))
"""The octets of a line. HTAB and octets above ASCII are legal in field values, but only attacks
send them in fields that matter, so a head that has them is refused."""
TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""The octets of a token (RFC 9110, section 5.6.2)."""
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")


class RawHead(NamedTuple):
    """The parts of a head whose syntax holds and whose meaning is not judged yet.

    Field names are in lower case; values have no space around them.
    """

    method: bytes
    target: bytes
    version: bytes
    headers: list[tuple[bytes, bytes]]


def find_head_end(received: bytes) -> int:
    """Return where the empty line after the head begins, or -1 if it has not arrived.

    One empty line before the request line is passed over (RFC 9112, section 2.2).
    """
    return received.find(HEAD_END, len(CRLF) if received.startswith(CRLF) else 0)


def unfinished_fault(received: bytes, bytes_max: int = HEAD_BYTES_MAX) -> FrontRefusal | None:
    """Say why no further octets can make a good head of `received`, or None if they can.

    The verdict is that of the whole head, however it is cut: octets are judged before length, and
    none beyond `bytes_max` is looked at.
    """
    window = received[:bytes_max]
    strange = len(window.translate(None, PRINTABLE)) - window.endswith(b"\r")
    if strange != 2 * window.count(CRLF):
        return _malformed("The head has a control character, or a line that ends in no CRLF.")
    if len(received) <= bytes_max:
        return None
    if CRLF in window.removeprefix(CRLF):
        return FrontRefusal(
            code=ProblemCode.HEADERS_TOO_LARGE, detail="The header fields exceed 32 KiB."
        )
    return FrontRefusal(code=ProblemCode.URI_TOO_LONG, detail="The request line exceeds 32 KiB.")


def split_head(raw: bytes, *, header_count_max: int = HEADER_COUNT_MAX) -> RawHead | FrontRefusal:
    """Split a head, without its last empty line, into request line and fields; total.

    Refused are octets beyond printable ASCII, bare CR and LF, folded lines, a space around a
    field name (RFC 9112, sections 2.2, 3, 5.1 and 5.2) and more fields than `header_count_max`.
    """
    raw = raw.removeprefix(CRLF)
    lines = raw.split(CRLF)
    if len(raw.translate(None, PRINTABLE)) != 2 * (len(lines) - 1):
        return _malformed("The head has a control character, or a line that ends in no CRLF.")
    request_line = lines[0].split(b" ")
    if len(request_line) != 3 or not all(request_line):
        return _malformed("The request line is not a method, a target and a version.")
    method, target, version = request_line
    if method.translate(None, TOKEN) or not _VERSION.fullmatch(version):
        return _malformed("The request line is not a method, a target and a version.")
    if len(lines) - 1 > header_count_max:
        return FrontRefusal(
            code=ProblemCode.HEADERS_TOO_LARGE, detail="There are too many header fields."
        )
    headers = _split_fields(lines)
    if isinstance(headers, FrontRefusal):
        return headers
    return RawHead(method, target, version, headers)


def _split_fields(lines: list[bytes]) -> list[tuple[bytes, bytes]] | FrontRefusal:
    headers = []
    for line in lines[1:]:
        raw_name, colon, value = line.partition(b":")
        if len(raw_name) > HEADER_NAME_BYTES_MAX:
            return FrontRefusal(
                code=ProblemCode.HEADERS_TOO_LARGE, detail="A field name is too long."
            )
        name = _field_name(raw_name)
        if not colon or name is None:
            return _malformed("A header line is not a field name, a colon and a value.")
        headers.append((name, value.strip(b" ")))
    return headers


@lru_cache(maxsize=512)
def _field_name(raw: bytes) -> bytes | None:
    """Return a field name in lower case, None if it is no token; names repeat, so this is kept."""
    return raw.lower() if raw and not raw.translate(None, TOKEN) else None


def _malformed(detail: str) -> FrontRefusal:
    return FrontRefusal(code=ProblemCode.MALFORMED_REQUEST, detail=detail)
