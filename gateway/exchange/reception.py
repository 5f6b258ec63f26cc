"""Taking in a request: a body that the decision reads has arrived whole before it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Final

from gateway.errors import ProblemCode
from gateway.exchange.answers import ErrorAnswer, answer
from gateway.exchange.inquiry import open_exchange, turned_away
from gateway.exchange.messages import BodyTooLarge, Headers, Request, Response
from gateway.exchange.pipeline import Ports, exchange, turn_away
from gateway.exchange.request_body import REQUEST_BODY_BYTES_MAX, is_read
from gateway.exchange.snapshot import Snapshot

BODY_S_MAX: Final = 30.0
"""Seconds in which a request's body has to arrive whole."""

_MIRRORED: Final = frozenset({b"x-request-id", b"x-correlation-id"})
"""Request fields that every answer repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedBody:
    """A body that has arrived; `content` is None for one that is too large."""

    content: bytes | None

    async def read(self, bytes_max: int) -> bytes:
        """Return it; raises BodyTooLarge."""
        if self.content is None or len(self.content) > bytes_max:
            raise BodyTooLarge
        return self.content

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield it in one piece; raises BodyTooLarge."""
        yield await self.read(REQUEST_BODY_BYTES_MAX)


async def serve(request: Request, current: Callable[[], Snapshot], ports: Ports) -> Response:
    """Answer one request under the Snapshot that is in force when it has arrived whole.

    A body may come slowly. Time, Snapshot, stop-list and credentials are those of its end: what
    was suspended or has expired meanwhile stops it. A body that no decision reads is not waited
    for: it is decided about before, and watched while it passes.

    Raises:
        ClientGone: the caller left before its request was whole; nothing was called or recorded.
    """
    if not request.has_body or not is_read(request):
        answered: Request | Response = request
    else:
        answered = await _receive(request, current(), ports)
    if isinstance(answered, Request):
        answered = await exchange(answered, current(), ports)
    # From here on nothing holds the body, nor what was read of it: an answer may wait for seconds.
    if answered.turn is not None:
        answered = replace(answered, turn=None, close=not await answered.turn())
    return _mirrored(request, answered)


async def _receive(request: Request, now: Snapshot, ports: Ports) -> Request | Response:
    """Wait for the body of a caller who may be served; strangers are turned away before it."""
    opened = open_exchange(request, ports.clock)
    refused = await turned_away(opened, request, now, ports.stop_list(), ports.authenticator)
    if refused is not None:
        return await turn_away(refused, opened, request, now, ports)
    content: bytes | None = None
    try:
        async with asyncio.timeout(BODY_S_MAX):
            content = await request.body.read(REQUEST_BODY_BYTES_MAX)
    except BodyTooLarge:
        pass  # decided like any other request, so that its refusal is on record
    except TimeoutError:
        late = ErrorAnswer(
            code=ProblemCode.REQUEST_TIMEOUT,
            detail=f"The body did not arrive within {BODY_S_MAX:.0f} seconds.",
        )
        error_format = now.error_format(request.target.segments)
        return replace(answer(late, opened.id, error_format=error_format), close=True)
    return replace(request, body=ReceivedBody(content=content))


def _mirrored(request: Request, response: Response) -> Response:
    mirrored: Headers = tuple([pair for pair in request.headers if pair[0] in _MIRRORED])
    if not mirrored:
        return response
    return replace(response, headers=response.headers + mirrored)
