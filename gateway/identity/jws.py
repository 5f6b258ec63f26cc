"""Strict reading of a compact JWS, before any library or key sees it (RFC 7515, RFC 8725)."""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

JSON_DEPTH_MAX: Final = 16

_BASE64URL: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_TO_BASE64: Final = bytes.maketrans(b"-_", b"+/")


class NotJws(Exception):
    """The bytes are no compact JWS of JSON objects; the message quotes nothing from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedJws:
    """A compact JWS taken apart. Nothing in it may be believed before its signature holds."""

    header: Mapping[str, object]
    payload: Mapping[str, object]
    signing_input: bytes
    signature: bytes


def read_jws(unverified: bytes, *, bytes_max: int, header_bytes_max: int) -> UnverifiedJws:
    """Take a compact JWS apart, accepting only the canonical spelling.

    1. It has at most `bytes_max` bytes.
    2. It has three segments in canonical base64url (`decode_segments`).
    3. The header has at most `header_bytes_max` bytes once decoded.
    4. Header and payload are JSON objects in the sense of `read_json_object`.

    Raises:
        NotJws: for anything else; no other exception leaves this function.
    """
    # 1.
    if len(unverified) > bytes_max:
        raise NotJws(f"longer than {bytes_max} bytes")
    # 2.
    header, payload, signature = decode_segments(unverified)
    # 3.
    if len(header) > header_bytes_max:
        raise NotJws(f"header longer than {header_bytes_max} bytes")
    # 4.
    return UnverifiedJws(
        header=read_json_object(header),
        payload=read_json_object(payload),
        signing_input=unverified[: unverified.rindex(b".")],
        signature=signature,
    )


def decode_segments(unverified: bytes) -> tuple[bytes, bytes, bytes]:
    """Decode header, payload and signature (RFC 7515, section 7.1), so that one has one spelling.

    Raises:
        NotJws: unless there are three segments (five are a JWE, which nobody has agreed with us),
            each in canonical base64url.
    """
    segments = unverified.split(b".")
    if len(segments) != 3:
        raise NotJws("not three segments")
    header, payload, signature = (decode_base64url(segment) for segment in segments)
    return header, payload, signature


def decode_base64url(segment: bytes) -> bytes:
    """Decode canonical base64url: no padding, no other alphabet, no stray bits at the end.

    Raises:
        NotJws: for any other spelling (RFC 4648, section 3.5 leaves the stray bits to us).
    """
    if not _BASE64URL.issuperset(segment):
        raise NotJws("not base64url")
    try:
        decoded = binascii.a2b_base64(segment.translate(_TO_BASE64) + b"=" * (-len(segment) % 4))
    except binascii.Error:
        raise NotJws("not base64url") from None
    if encode_base64url(decoded) != segment:
        raise NotJws("not canonical base64url")
    return decoded


def encode_base64url(decoded: bytes) -> bytes:
    """Encode as base64url without padding (RFC 7515, section 2)."""
    return (
        binascii.b2a_base64(decoded, newline=False)
        .replace(b"+", b"-")
        .replace(b"/", b"_")
        .rstrip(b"=")
    )


def read_json_object(raw: bytes) -> dict[str, object]:
    """Parse `raw` as one JSON object in UTF-8 (RFC 8725, section 3.7; RFC 7519, section 4).

    Refused besides what JSON refuses: a byte order mark, duplicate members at any depth, NaN and
    Infinity, numbers too large to hold, lone surrogates, and more than `JSON_DEPTH_MAX` levels.

    Raises:
        NotJws: for anything else than such an object.
    """
    try:
        parsed = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_such_number,
        )
    except (ValueError, RecursionError):
        raise NotJws("not JSON in UTF-8") from None
    if not isinstance(parsed, dict):
        raise NotJws("not a JSON object")
    _check_levels(parsed, JSON_DEPTH_MAX)
    return parsed


def is_type(header: Mapping[str, object], expected: str) -> bool:
    """Tell whether `typ` is `expected`, a media type without its ``application/`` prefix.

    Media types are compared without regard to case, the prefix may be there or not (RFC 7515,
    section 4.1.9).
    """
    typ = header.get("typ")
    return isinstance(typ, str) and typ.lower().removeprefix("application/") == expected


def _without_duplicates(members: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(members)
    if len(found) != len(members):
        raise NotJws("duplicate member")
    return found


def _no_such_number(_: str) -> NoReturn:
    raise NotJws("not a JSON number")


def _check_levels(value: object, levels: int) -> None:
    """Walk `value`: bounded depth, and only text that UTF-8 can write."""
    if isinstance(value, str):
        if not value.isascii() and not _is_scalar_text(value):
            raise NotJws("lone surrogate")
        return
    if not isinstance(value, dict | list):
        return
    if levels == 0:
        raise NotJws(f"nested deeper than {JSON_DEPTH_MAX} levels")
    if isinstance(value, dict):
        for name, member in value.items():
            _check_levels(name, levels)
            _check_levels(member, levels - 1)
    else:
        for element in value:
            _check_levels(element, levels - 1)


def _is_scalar_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
