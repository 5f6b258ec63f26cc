"""What a connector is: one verb, a probe, and the five ways in which a call can fail."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

Headers = tuple[tuple[bytes, bytes], ...]
"""Header fields in order, names in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to a service, after the decision: a connector sees no token, policy or log.

    `target` is the canonical origin-form request target (path and query), sent byte for byte.
    `headers` are end-to-end fields only; the connector adds Host, framing and its own credentials.

    `body` is whole, or arrives in pieces, which are asked for no faster than the service takes
    them; `body_bytes` is their sum where it is known, and chunks are sent where it is not. Pieces
    are asked for once and never sent again. An iterable whose body breaks off raises CallFailed,
    which then ends the call: the service sees an incomplete request.

    Times are in seconds. `deadline_s` bounds the call up to the answer's head, and to the end of
    an answer that is read whole: from the call's start, or from the end of a body in pieces.
    Where a body comes in pieces, either way, `idle_s` bounds each wait for the service, and
    `stream_s` the whole call from its start.
    """

    method: str
    target: bytes
    headers: Headers = ()
    body: bytes | AsyncIterable[bytes] | None = None
    body_bytes: int | None = None
    deadline_s: float = 30.0
    idle_s: float = 30.0
    stream_s: float = 3600.0


class Reply(Protocol):
    """A service's answer whose body is still to be read; release it exactly once, read or not."""

    @property
    def status(self) -> int:
        """HTTP status, 200 to 599 (interim answers never show)."""

    @property
    def headers(self) -> Headers:
        """End-to-end header fields: hop-by-hop and framing fields are gone."""

    @property
    def delimited_by_close(self) -> bool:
        """Whether only the end of the connection ends the body, so that a cut cannot be told."""

    async def read(self, bytes_max: int) -> bytes:
        """Read the whole body.

        Raises:
            CallFailed: MALFORMED where it is cut short, breaks its framing or exceeds `bytes_max`;
                TIMED_OUT at the deadline; UNREACHABLE where the connection breaks.
        """

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, with back-pressure; raises CallFailed like `read`."""

    async def release(self) -> None:
        """Give the connection back, or close it where the body was not read to its end."""


class Failure(StrEnum):
    """The only failures that leave a connector."""

    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed-out"
    REFUSED = "refused"
    MALFORMED = "malformed"
    OVERLOADED = "overloaded"


class CallFailed(Exception):
    """A call that brought no usable answer.

    `sent` tells whether any byte may have reached the service: False means that it surely did not,
    so that a one-time claim may be released and the call repeated elsewhere.
    """

    def __init__(self, failure: Failure, detail: str, *, sent: bool) -> None:
        """Keep `detail` free of request content: it is shown to operators."""
        super().__init__(f"{failure}: {detail}")
        self.failure: Final = failure
        self.detail: Final = detail
        self.sent: Final = sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a probe found; `detail` is one sentence for an operator."""

    healthy: bool
    detail: str


class Connector(Protocol):
    """A way to reach one service. Open it as an async context manager of its kind."""

    async def call(self, call: Call) -> Reply:
        """Carry out `call` and return the answer's head.

        Raises:
            CallFailed: the only exception that leaves a connector.
        """

    async def probe(self) -> Health:
        """Tell whether the service can be reached, without asking it for data."""
