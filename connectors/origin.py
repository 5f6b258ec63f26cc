"""Where a service is: its base URL, taken apart and checked once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_PRINTABLE: Final = re.compile(r"[!-~]+")
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_DOT_SEGMENTS: Final = frozenset({".", ".."})
_PATH: Final = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*/?")
_PORTS: Final = {"https": 443, "http": 80}


class BaseUrlInvalid(ValueError):
    """A base URL that no connector may use; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The parts of a base URL. `prefix` is its path without a final slash."""

    secure: bool
    host: str
    port: int
    prefix: bytes = b""
    authority: bytes = field(repr=False)

    @staticmethod
    def parse(base_url: str, *, allow_loopback: bool) -> Origin:
        """Take `base_url` apart: https, or http to loopback where that is allowed.

        Raises:
            BaseUrlInvalid: for anything else, and for user names, queries and fragments.
        """
        # urlsplit drops line ends and tabs silently.
        if _PRINTABLE.fullmatch(base_url) is None:
            raise BaseUrlInvalid("the base URL has characters that no URL has")
        try:
            parts = urlsplit(base_url)
            port = parts.port
        except ValueError:
            raise BaseUrlInvalid("the base URL cannot be read") from None
        host = parts.hostname or ""
        if parts.scheme not in _PORTS:
            raise BaseUrlInvalid("the base URL is neither https nor http")
        if "@" in parts.netloc or "?" in base_url or "#" in base_url:
            raise BaseUrlInvalid("the base URL has a user name, a query or a fragment")
        if ":" not in host and _HOST.fullmatch(host) is None:
            raise BaseUrlInvalid("the base URL has no usable host name")
        if _PATH.fullmatch(parts.path) is None or _DOT_SEGMENTS & set(parts.path.split("/")):
            raise BaseUrlInvalid("the base URL's path is not in canonical form")
        if parts.scheme == "http" and not (allow_loopback and _names_loopback(host)):
            raise BaseUrlInvalid("plain http is allowed to loopback only, and only where told")
        return Origin(
            secure=parts.scheme == "https",
            host=host,
            port=port if port is not None else _PORTS[parts.scheme],
            prefix=parts.path.rstrip("/").encode("ascii"),
            authority=parts.netloc.lower().encode("ascii"),
        )


def _names_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
