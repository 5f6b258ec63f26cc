"""The request target: one canonical spelling, read once, or a refusal."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.errors import ProblemCode
from gateway.exchange.messages import FrontRefusal, Target

TARGET_BYTES_MAX: Final = 8 * 1024
"""The longest target; RFC 9110, section 4.1, asks for at least 8000 octets."""
SEGMENTS_MAX: Final = 64
PARAMETERS_MAX: Final = 128

_PLAIN_PATH: Final = re.compile(rb"(?:/[A-Za-z0-9\-._~!$&'()*+,=:@]*+)++")
"""A path whose octets stand for themselves: pchar of RFC 3986, section 3.3, but no ``;``."""
_PATH: Final = re.compile(rb"/(?:[A-Za-z0-9\-._~!$&'()*+,=:@/]++|%[0-9A-F]{2})*+")
_PATH_FAULTS: Final = (
    (re.compile(rb"^(?!/)"), "The target must begin with a slash."),
    (re.compile(rb"#"), "A target has no fragment."),
    (re.compile(rb"\\|%5[Cc]"), "The path has a backslash."),
    (re.compile(rb";|%3[Bb]"), "The path has a semicolon; path parameters are not used here."),
    (re.compile(rb"%2[Ff]"), "The path has an encoded slash."),
    (re.compile(rb"%(?:[01][0-9A-Fa-f]|7[Ff])"), "The path has a control character."),
    (
        re.compile(rb"%(?:2[DEde]|5[Ff]|7[Ee]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa])"),
        "The path encodes a character that stands for itself (RFC 3986, section 6.2.2.2).",
    ),
    (re.compile(rb"%25[0-9A-Fa-f]{2}"), "The path is percent-encoded twice."),
    (re.compile(rb"%(?![0-9A-F]{2})"), "A percent sign needs two upper-case hex digits."),
)
"""What each refusal tells the developer, in the order of asking; `_PATH` itself decides."""

_PLAIN_QUERY: Final = re.compile(rb"[A-Za-z0-9\-._~!$'()*,:@/?=&]*+")
_QUERY: Final = re.compile(rb"(?:[A-Za-z0-9\-._~!$'()*+,:@/?=&]++|%[0-9A-Fa-f]{2})*+")
_QUERY_CONTROL: Final = re.compile(rb"%(?:[01][0-9A-Fa-f]|7[Ff])")

_Parameters = tuple[tuple[str, str], ...]


def read_target(raw: bytes) -> Target | FrontRefusal:
    """Read an origin-form target (RFC 9112, section 3.2.1); total, for any octets.

    Nothing is normalised: a target that two systems could read differently is refused, so that
    routing, policy, record and service judge the same octets. The path has no dot segments in any
    encoding, no empty segment but the last, no encoded slash, no backslash, no semicolon, no
    control or invisible character, no escape that is not needed, and its text is NFKC (which
    leaves no look-alikes of ``/`` and ``.``). In the query ``+`` and ``%20`` are a space, ``&``
    alone separates, duplicates are kept in order, and every pair counts.
    """
    if len(raw) > TARGET_BYTES_MAX:
        return FrontRefusal(code=ProblemCode.URI_TOO_LONG, detail="The target exceeds 8 KiB.")
    raw_path, _, raw_query = raw.partition(b"?")
    segments = _read_path(raw_path)
    if isinstance(segments, FrontRefusal):
        return segments
    parameters = _read_query(raw_query) if raw_query else ()
    if isinstance(parameters, FrontRefusal):
        return parameters
    return Target(raw=raw, path="/" + "/".join(segments), segments=segments, parameters=parameters)


def _read_path(raw: bytes) -> tuple[str, ...] | FrontRefusal:
    if _PLAIN_PATH.fullmatch(raw):
        text = raw.decode("ascii")
    else:
        decoded = _decode_path(raw)
        if isinstance(decoded, FrontRefusal):
            return decoded
        text = decoded
    if text == "/":
        return ()
    if "//" in text:
        return _not_canonical("The path has an empty segment.")
    segments = tuple(text[1:].split("/"))
    if len(segments) > SEGMENTS_MAX:
        return FrontRefusal(code=ProblemCode.URI_TOO_LONG, detail="The path has too many segments.")
    if "/." in text and any(segment and not segment.strip(".") for segment in segments):
        return _not_canonical("The path has a dot segment.")
    return segments


def _decode_path(raw: bytes) -> str | FrontRefusal:
    for pattern, detail in _PATH_FAULTS:
        if pattern.search(raw):
            return _not_canonical(detail)
    if not _PATH.fullmatch(raw):
        return _not_canonical("The path has a character that must be percent-encoded.")
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        return _not_canonical("The path is not valid UTF-8.")
    if not text.isprintable():
        return _not_canonical("The path has an invisible character.")
    if not unicodedata.is_normalized("NFKC", text):
        return _not_canonical("The path is not in Unicode normalisation form KC.")
    if any(segment != segment.strip(" ") for segment in text.split("/")):
        return _not_canonical("A path segment begins or ends with a space.")
    return text


def _read_query(raw: bytes) -> _Parameters | FrontRefusal:
    if raw.count(b"&") >= PARAMETERS_MAX:
        return FrontRefusal(
            code=ProblemCode.URI_TOO_LONG, detail="The query has too many parameters."
        )
    if b"&&" in raw or raw.startswith(b"&") or raw.endswith(b"&"):
        return _malformed("The query has an empty parameter.")
    if _PLAIN_QUERY.fullmatch(raw):
        texts = [pair.partition("=") for pair in raw.decode("ascii").split("&")]
        return tuple([(name, value) for name, _, value in texts])
    if not _QUERY.fullmatch(raw):
        return _malformed("The query has a character that must be percent-encoded.")
    if _QUERY_CONTROL.search(raw):
        return _malformed("The query has a control character.")
    pairs = [pair.partition(b"=") for pair in raw.split(b"&")]
    try:
        return tuple([(_decode_form(name), _decode_form(value)) for name, _, value in pairs])
    except UnicodeDecodeError:
        return _malformed("The query is not valid UTF-8.")


def _decode_form(raw: bytes) -> str:
    """Read one name or value as HTML forms write it: ``+`` is a space, then percent-encoding."""
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")


def _not_canonical(detail: str) -> FrontRefusal:
    return FrontRefusal(code=ProblemCode.PATH_NOT_CANONICAL, detail=detail)


def _malformed(detail: str) -> FrontRefusal:
    return FrontRefusal(code=ProblemCode.MALFORMED_REQUEST, detail=detail)
