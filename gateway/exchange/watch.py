"""What a long exchange is held against while it lasts: the stop-list, the log, its caller."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from connectors.base import CallFailed, Failure
from gateway.audit.entry import EntryInvalid
from gateway.audit.log import AuditLog
from gateway.audit.store import LogUnavailable, Position
from gateway.clock import monotonic_s
from gateway.errors import ProblemCode
from gateway.exchange import records
from gateway.exchange.facts import Exchange, Flow
from gateway.exchange.inquiry import stopped
from gateway.exchange.messages import ClientGone, Presence
from gateway.exchange.snapshot import STOP_LIST_AGE_S_MAX, StopList
from gateway.problems import code_of
from policies.decision import ReasonCode

WINDOW_BYTES: Final = 16 * 1024 * 1024
"""Octets, of both bodies together, that may pass before their number is on record."""
WINDOW_S: Final = 30.0
"""Seconds after which the next octets wait until those before them are on record."""
T = TypeVar("T")


class Cut(Exception):
    """Why a long exchange does not go on: `cause` goes on record, `reason` if the list has one.

    `failure` is there where it was the service that failed.
    """

    def __init__(
        self,
        cause: str,
        reason: ReasonCode = ReasonCode.OK,
        failure: Failure | None = None,
    ) -> None:
        """Say why."""
        super().__init__(cause)
        self.cause: Final = cause
        self.reason: Final = reason
        self.failure: Final = failure


class Watch:
    """Counts what passes through one exchange, and says before each piece whether it may pass.

    What has passed without being on record is bounded by one window. The stop-list is read before
    every piece.
    """

    def __init__(
        self,
        exchange: Exchange,
        intent: Position,
        *,
        log: AuditLog,
        instance: str,
        stop_list: Callable[[], StopList],
    ) -> None:
        """Watch over `exchange`, whose intent lies at `intent`."""
        self.cut: Cut | None = None
        self.request = Passed()
        self.answer = Passed()
        self._exchange = exchange
        self._intent = intent
        self._log = log
        self._instance = instance
        self._stop_list = stop_list
        self._window_bytes = 0
        self._window_began_s = monotonic_s()

    async def let_pass(self, body: Passed, piece: bytes) -> None:
        """Count `piece` as passed, after the window before it is on record.

        Raises:
            Cut: it may not pass, nor anything after it.
        """
        self.check()
        self._window_bytes += len(piece)
        now_s = monotonic_s()
        if self._window_bytes > WINDOW_BYTES or now_s - self._window_began_s > WINDOW_S:
            await self._record_progress()
            self._window_bytes, self._window_began_s = len(piece), now_s
        body.add(piece)

    def check(self) -> None:
        """Raise `Cut` where it broke off, what it rests on was stopped, or nobody can tell."""
        if self.cut is not None:
            raise self.cut
        stops = self._stop_list()
        if monotonic_s() - stops.read_at_s > STOP_LIST_AGE_S_MAX:
            raise self.cutting(Cut(ProblemCode.STOP_LIST_STALE))
        reason = stopped(self._exchange, stops)
        if reason is not None:
            raise self.cutting(Cut(code_of(reason), reason))

    def cutting(self, cut: Cut) -> Cut:
        """Keep the first reason for which the exchange breaks off, and return `cut`."""
        self.cut = self.cut or cut
        return cut

    def flow(self, *, cut: Cut | None = None) -> Flow:
        """Return what has passed so far, for the record; digests only of bodies that ended."""
        streamed = self._exchange.unread
        return Flow(
            answer_bytes=self.answer.bytes if self.answer.began else None,
            answer_digest=self.answer.digest(),
            request_bytes=self.request.bytes if streamed else None,
            request_digest=self.request.digest(),
            cut=cut.cause if cut is not None else None,
        )

    async def _record_progress(self) -> None:
        record = records.progress(
            self._exchange, self.flow(), self._intent, instance=self._instance
        )
        try:
            await self._log.append(record)
        except (LogUnavailable, EntryInvalid) as failure:
            cut = Cut("audit-unavailable", ReasonCode.AUDIT_UNAVAILABLE)
            raise self.cutting(cut) from failure


class Passed:
    """What has passed of one body."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.bytes = 0
        self.began = False
        self.ended = False
        self._sha256 = hashlib.sha256()

    def add(self, piece: bytes) -> None:
        """Count `piece`."""
        self.began = True
        self.bytes += len(piece)
        self._sha256.update(piece)

    def digest(self) -> str | None:
        """Return the digest of a body that ended."""
        return records.digest_text(self._sha256.digest()) if self.ended else None


class Upload:
    """A request body on its way to the service, unread: an iterable of pieces, asked for once.

    Where it may not go on it raises `CallFailed`, as bodies of calls do, and `watch.cut` says why.
    """

    def __init__(self, chunks: AsyncIterator[bytes], watch: Watch) -> None:
        """Pass on `chunks` under `watch`."""
        self._chunks = chunks
        self._watch = watch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces as they come."""
        watch = self._watch
        try:
            async for piece in self._chunks:
                await watch.let_pass(watch.request, piece)
                yield piece
            watch.request.ended = True
        except ClientGone:
            watch.cutting(Cut(ProblemCode.CLIENT_GONE))
            raise CallFailed(Failure.REFUSED, "the caller has gone", sent=True) from None
        except Cut:
            detail = "the exchange may not go on"
            raise CallFailed(Failure.REFUSED, detail, sent=True) from None


async def while_present(presence: Presence, waiting: Awaitable[T]) -> T:
    """Wait for what is done for a caller who is there, and give it up when the caller leaves.

    Raises:
        ClientGone: the caller has left.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    presence.when_left(task.cancel)
    try:
        return await waiting
    except asyncio.CancelledError:
        if not presence.left():
            raise
        task.uncancel()
        raise ClientGone from None
    finally:
        presence.when_left(None)
