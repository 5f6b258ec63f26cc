"""Answers that are longer than memory: released while they come, their end after their record."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from connectors.base import CallFailed, Failure, Reply
from gateway.errors import ProblemCode
from gateway.exchange.duties.streamed import StreamedDuties, Unfit
from gateway.exchange.facts import Ending
from gateway.exchange.messages import AnswerCut, ClientGone, Presence, Response
from gateway.exchange.watch import Cut, Watch, while_present
from gateway.problems import code_of
from policies.decision import ReasonCode
from policies.hot import hot_value

HELD_BYTES_MAX: Final = 1024 * 1024
"""The longest answer that is whole before any of it is released."""

LONG_PER_CALLER_MAX: Final = 16
"""Long answers of one service under way to one client, or to strangers at one address."""
LONG_PUBLIC_MAX: Final = 64
"""Those to strangers together: half of the connections that a worker has to one service."""

STEP_BYTES: Final = 16 * 1024
"""Octets of an answer that duties are applied to before other exchanges have their turn: CSV takes
1 to 10 ms for so many, by the length of its rows."""
STOPPING: Final = "gateway-stopping"
"""Why an answer broke off that had not ended when the gateway's time to stop was over."""

_SERVICE_CUTS: Final = {
    Failure.TIMED_OUT: ProblemCode.SERVICE_TIMEOUT,
    Failure.MALFORMED: ProblemCode.SERVICE_MALFORMED,
}
"""Why an answer broke off, by how its call failed; the service is unreachable in other cases."""

Finish = Callable[[Ending], Awaitable[Ending]]
"""Records how the exchange ended and returns what may be released, as `conclude` does."""


@hot_value(frozen=True, slots=True, kw_only=True)
class LongAnswer(Ending):
    """An answer whose beginning has come: `start` is what may leave of it, `more` will come.

    How it ends cannot be told yet. Whoever has one releases `reply`.
    """

    reply: Reply
    duties: StreamedDuties
    start: bytes
    more: AsyncIterator[bytes]


class LongAnswers:
    """Gives each caller its share of a service's connections; a long answer has one to its end.

    Whoever reads slowly, or not at all, then takes the service from nobody else.
    """

    def __init__(self) -> None:
        """Begin with none under way."""
        self._callers: Counter[tuple[str, str]] = Counter()
        self._public: Counter[str] = Counter()

    def begin(self, service: str, caller: str, *, public: bool) -> bool:
        """Tell whether `caller` may have another one of `service`; then `end` it once."""
        if self._callers[service, caller] >= LONG_PER_CALLER_MAX:
            return False
        if public and self._public[service] >= LONG_PUBLIC_MAX:
            return False
        self._callers[service, caller] += 1
        self._public[service] += public
        return True

    def end(self, service: str, caller: str, *, public: bool) -> None:
        """Note that one is over."""
        self._callers[service, caller] -= 1
        self._public[service] -= public
        self._callers += Counter()  # forgets who has none
        self._public += Counter()


async def read_start(reply: Reply, *, seconds: float) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """Read an answer whole, or its beginning where it is longer than `HELD_BYTES_MAX`.

    Returns the octets read, and what will come after them, None at the end.

    Raises:
        CallFailed: like `Reply.chunks`; TIMED_OUT also where this takes longer than `seconds`.
    """
    more = reply.chunks()
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for piece in more:
                pieces.append(piece)
                size += len(piece)
                if size > HELD_BYTES_MAX:
                    return b"".join(pieces), more
    except TimeoutError:
        detail = "neither the answer's end nor enough of it came before the deadline"
        raise CallFailed(Failure.TIMED_OUT, detail, sent=True) from None
    return b"".join(pieces), None


async def fed(duties: StreamedDuties, piece: bytes) -> bytes:
    """Return what may leave after `piece`, in steps that hold up no other exchange for long.

    Raises:
        Unfit: from here on nothing may leave.
    """
    fit = [duties.feed(piece[:STEP_BYTES])]
    for at in range(STEP_BYTES, len(piece), STEP_BYTES):
        await asyncio.sleep(0)
        fit.append(duties.feed(piece[at : at + STEP_BYTES]))
    return fit[0] if len(fit) == 1 else b"".join(fit)


class LongBody:
    """The body of a long answer, as `Response` wants it: an iterator that ends on record.

    The last piece, and the end of the message, are kept back until the outcome is durable
    (invariant I2). Where the outcome cannot be recorded, or the body breaks off, iterating raises,
    so that the consumer sees an incomplete message. However it ends, `finish` is called once.
    """

    def __init__(self, long: LongAnswer, watch: Watch, presence: Presence, finish: Finish) -> None:
        """Release `long` under `watch`; `finish` records the ending."""
        self._long = long
        self._watch = watch
        self._presence = presence
        self._finish = finish
        self._pieces = self._release()
        self._began = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return itself: the body is asked for once."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece; raises `AnswerCut` or `ClientGone` where there is no more."""
        self._began = True
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """End it: whoever closes it before its end has lost the caller."""
        await self._pieces.aclose()
        if not self._began:
            self._began = True
            await self._end(self._given_up())

    async def _release(self) -> AsyncGenerator[bytes, None]:
        """Yield the pieces that may leave, each when the next one is there."""
        cut: Cut | None = None
        held = b""
        try:
            async for piece in self._fit():
                await self._watch.let_pass(self._watch.answer, piece)
                if held:
                    yield held
                held = piece
            self._watch.check()
        except (GeneratorExit, asyncio.CancelledError):
            cut = self._given_up()
            raise
        except Exception as error:
            cut = self._watch.cut or _cut_by(error)
            raise AnswerCut from error
        finally:
            ending = await self._end(cut)
        if ending.flow is None or ending.flow.cut is not None:
            raise AnswerCut
        if held:
            yield held

    def _given_up(self) -> Cut:
        """Return why nobody asks for more: the caller has gone, or our own time is over."""
        return Cut(ProblemCode.CLIENT_GONE if self._presence.left() else STOPPING)

    async def _fit(self) -> AsyncIterator[bytes]:
        """Yield what the duties let pass."""
        duties = self._long.duties
        if self._long.start:
            yield self._long.start
        while not self._presence.left():
            try:
                piece = await while_present(self._presence, anext(self._long.more))
            except StopAsyncIteration:
                break
            fit = await fed(duties, piece)
            if fit:
                yield fit
        else:
            raise ClientGone
        fit = duties.finish()
        if fit:
            yield fit

    async def _end(self, cut: Cut | None) -> Ending:
        """Give the service's connection back and record how the exchange ended."""
        with suppress(CallFailed):  # the answer is over, whatever becomes of the connection
            await self._long.reply.release()
        watch = self._watch
        watch.answer.began = True
        watch.answer.ended = cut is None
        applied = self._long.duties.applied()
        return await self._finish(
            Ending(
                status=self._long.status,
                reason=ReasonCode.OK if cut is None else cut.reason,
                failure=None if cut is None else cut.failure,
                service_status=self._long.status,
                records=applied.records,
                records_dropped=applied.records_dropped,
                subjects=applied.subjects,
                subjects_counted=applied.subjects_counted,
                redacted_subjects=applied.redacted_subjects,
                fields_sent=applied.fields_sent,
                fields_withheld=applied.fields_withheld,
                leaked=applied.leaked,
                flow=watch.flow(cut=cut),
                end_unproved=self._long.end_unproved,
            )
        )


def long_response(long: LongAnswer, watch: Watch, presence: Presence, finish: Finish) -> Response:
    """Return the response that releases a long answer; `finish` is called once at its end."""
    body = LongBody(long, watch, presence, finish)
    return Response(status=long.status, headers=long.headers, body=body)


def with_flow(ending: Ending, watch: Watch) -> Ending:
    """Return the ending of an exchange whose request was streamed and whose answer was whole."""
    flow = watch.flow(cut=watch.cut)
    if ending.flow is not None and flow.cut is None:
        flow = replace(flow, cut=ending.flow.cut)
    return replace(ending, flow=flow)


def _cut_by(error: Exception) -> Cut:
    """Return why an answer broke off, by what was raised."""
    if isinstance(error, ClientGone):
        return Cut(ProblemCode.CLIENT_GONE)
    if isinstance(error, Cut):
        return error
    if isinstance(error, Unfit):
        return Cut(code_of(error.withheld.reason), error.withheld.reason)
    if isinstance(error, CallFailed):
        cause = _SERVICE_CUTS.get(error.failure, ProblemCode.SERVICE_UNREACHABLE)
        return Cut(cause, ReasonCode.CONNECTOR_UNAVAILABLE, error.failure)
    return Cut(ProblemCode.INTERNAL_ERROR, ReasonCode.CONNECTOR_UNAVAILABLE)
