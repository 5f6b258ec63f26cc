"""The gateways that a request has passed (RFC 9110, section 7.6.3), so that a loop is noticed."""

from __future__ import annotations

import re
from typing import Final

GATEWAYS_MAX: Final = 8
"""Gateways that a request may pass before this one; organisations share with each other directly,
so that a longer way is a circle which somebody on it does not notice."""

_PROTOCOL: Final = b"1.1 "
_NOT_OF_A_TOKEN: Final = re.compile(r"[^a-z0-9._-]+")
_PASSED: Final = re.compile(rb"(?:^|,) *[!-+.-~-]{1,32} +(concordat-[a-z0-9._-]{1,270})(?=[ ,]|$)")


def pseudonym_of(public_base_url: str) -> bytes:
    """Return the name of a gateway in `Via`: the same on all its hosts, and no other gateway's.

    It is not the host itself, which a proxy before the gateway could put there as its own.
    """
    authority = public_base_url.partition("://")[2].lower()
    return b"concordat-" + _NOT_OF_A_TOKEN.sub("-", authority).strip("-").encode()


def via_of(*pseudonyms: bytes) -> bytes:
    """Return the field's value for gateways that a request has passed, the first one first."""
    return b", ".join([_PROTOCOL + name for name in pseudonyms])


def gateways_passed(via: bytes) -> tuple[bytes, ...]:
    """Return the gateways that a value of the field names; total. Other proxies are left out."""
    return tuple(_PASSED.findall(via.lower()))
