"""A request that passed the strict front, and the response that the data listener writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.errors import ProblemCode
from policies.hot import hot_value

Turn = Callable[[], Awaitable[bool]]
"""Waits until an answer is due; false where that was not waited for."""
Headers = tuple[tuple[bytes, bytes], ...]
"""Header fields in order, names in lower case."""


@hot_value(frozen=True, slots=True, kw_only=True)
class Target:
    """The one canonical path and query that routing, policy, record and upstream all use.

    `raw` is the origin-form target to send upstream, byte for byte; `path` its path as text;
    `segments` the decoded path segments; `parameters` the decoded query parameters in order,
    duplicates kept.
    """

    raw: bytes
    path: str
    segments: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]


class RequestBody(Protocol):
    """The body of a request, still to be read."""

    async def read(self, bytes_max: int) -> bytes:
        """Read it whole; raises BodyTooLarge beyond `bytes_max`, ClientGone if it breaks off."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield it as it arrives, with back-pressure; raises `ClientGone` if it breaks off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontRefusal:
    """Why the strict front refuses a request: counted by `code`, never logged one by one.

    `detail` is a constant sentence for the developer of the client: no content of the request.
    """

    code: ProblemCode
    detail: str


class BodyTooLarge(Exception):
    """The body is larger than the gateway takes for this operation."""


class ClientGone(Exception):
    """The caller closed the connection before the exchange was over."""


class AnswerCut(Exception):
    """The rest of an answer may not be released; why is on record."""


class Presence(Protocol):
    """Whether the caller of a request is still there."""

    def left(self) -> bool:
        """Whether the connection is gone or closing, so that no answer can reach the caller."""

    def when_left(self, callback: Callable[[], object] | None) -> None:
        """Call `callback` once, when the connection is lost; None calls nobody any more."""


class _AlwaysThere:
    """The presence of a caller of whom nobody can tell."""

    def left(self) -> bool:
        """Believe that it is there."""
        return False

    def when_left(self, callback: Callable[[], object] | None) -> None:
        """Call nobody."""


ALWAYS_THERE: Final = _AlwaysThere()
"""The presence of a caller of whom nobody can tell."""


@hot_value(frozen=True, slots=True, kw_only=True)
class Request:
    """One request whose framing, host, path and header fields the strict front has accepted.

    `headers` are the fields as received, allow-listed. `source` is the peer's address;
    `certificate_der` its client certificate, if TLS was terminated here and one was shown.
    `secure` tells whether the connection is TLS. `has_body` is false for a request without one,
    `body_bytes` its length where the request says it, None for chunks. `presence` tells that the
    caller has left.
    """

    method: str
    target: Target
    headers: Headers
    host: str
    source: str
    secure: bool = False
    certificate_der: bytes | None = None
    has_body: bool = False
    body_bytes: int | None = None
    body: RequestBody
    presence: Presence = ALWAYS_THERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What the front writes: it adds the framing, never the headers' content.

    `body` is whole, or arrives in chunks; `close` asks for the connection to be closed after it.
    Chunks are always asked for at least once, even if the caller has gone, and closed with
    `aclose` where they have it, so that what must happen at their end does happen. If they raise,
    the connection is cut, and the caller sees an incomplete message. `turn` is there where the
    answer has to wait: whoever hands it to the front waits, so that the exchange is forgotten then.
    """

    status: int
    headers: Headers
    body: bytes | AsyncIterator[bytes] = b""
    close: bool = False
    turn: Turn | None = None
