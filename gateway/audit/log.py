"""AuditLog: what the gateway appends to; a record is durable when `append` returns."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from gateway.audit.attach import Present
from gateway.audit.day_people import costs_of
from gateway.audit.disk.room import ESSENTIAL, Limits, Room
from gateway.audit.entry import Kind, Record
from gateway.audit.freeze import found_elsewhere
from gateway.audit.grants import Tagger
from gateway.audit.overdue import Overdue, Settlement, given_back, not_attempted, without_limits
from gateway.audit.place import Place, directory_of
from gateway.audit.receipts import ReceiptSigner
from gateway.audit.seal import Sealer
from gateway.audit.store import (
    Append,
    AppendRefused,
    Change,
    Claim,
    Grant,
    LogBusy,
    LogFull,
    LogStore,
    LogUnavailable,
    Position,
    not_sealed,
)
from gateway.audit.under_way import UnderWay
from gateway.clock import monotonic_s

BATCH_RECORDS_MAX: Final = 256
BATCH_BYTES_MAX: Final = 1 << 20
"""Bytes of one commit, people who are counted in it included (`costs_of`)."""
QUEUE_RECORDS_MAX: Final = 4_096
APPEND_DEADLINE_S: Final = 5.0
WATCH_INTERVAL_S: Final = 0.5
# A commit waits for company while fewer than this share of what is under way has come, and never
# longer than the window: alone, a record waits for nobody (performance.md, finding 1).
COMPANY_SHARE: Final = 0.5
COMPANY_WINDOW_S: Final = 0.002


# Each look at a member of an enumeration is a call in Python 3.11.
_INTENT: Final = Kind.INTENT


@dataclass(slots=True)
class LogFigures:
    """Counts since the start, for metrics and for the test that counts commits."""

    records: int = 0
    commits: int = 0
    refused: int = 0
    busy: int = 0


class _Waiting(NamedTuple):
    """A record that waits to become durable, with the arguments of its `append`."""

    record: Record
    claims: Sequence[Claim]
    releases: Sequence[bytes]
    counters: Sequence[Change]
    future: asyncio.Future[Position]
    deadline_s: float


class AuditLog:
    """Appends records in groups: while one commit runs, the next group gathers.

    A caller that is cancelled does not cancel its record. After a failure of the store every
    append raises LogUnavailable until the process is started anew: what was written last is then
    in doubt, and only a fresh start can tell (audit-log.md, section 2.6).
    """

    def __init__(
        self,
        store: LogStore,
        sealer: Sealer,
        *,
        path: Place,
        instance: Present,
        tagger: Tagger,
        receipts: ReceiptSigner,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        """Join the parts; use `open_log`."""
        self.path = path
        self.room = Room(directory_of(path), limits)
        self.tagger = tagger
        self.receipts = receipts
        self.figures = LogFigures()
        self._store = store
        self._sealer = sealer
        self._instance = instance
        self._queue: deque[_Waiting] = deque()
        self._storing: Sequence[_Waiting] = ()
        self._under_way = UnderWay()
        self._overdue = Overdue()
        self._wake: asyncio.Future[None] | None = None
        self._window: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: LogUnavailable | None = None

    @property
    def directory(self) -> Path:
        """Return where the log's files lie on this host, sealed head included."""
        return directory_of(self.path)

    @property
    def failure(self) -> LogUnavailable | None:
        """Return why nothing can be appended any more, if so; `/readyz` tells it."""
        return self._failure

    async def append(
        self,
        record: Record,
        *,
        claims: Sequence[Claim] = (),
        releases: Sequence[bytes] = (),
        counters: Sequence[Change] = (),
    ) -> Position:
        """Return the record's place once it is durable (invariant I3).

        In the same transaction `releases` frees claims, `claims` takes them and `counters` adds;
        ClaimTaken, CounterExceeded or GrantExhausted then refuses this record alone. Raises
        EntryInvalid for a record that cannot be stored, LogBusy if it came too late and never will
        be, or LogUnavailable. An outcome whose exchange was closed meanwhile is stored as
        `exchange.late_outcome`.
        """
        deadline_s = monotonic_s() + APPEND_DEADLINE_S
        return await self._enqueue(record, claims, releases, counters, deadline_s)

    def leave(
        self, record: Record, *, releases: Sequence[bytes] = (), counters: Sequence[Change] = ()
    ) -> None:
        """Have an outcome stored as soon as that can be, however late; nobody waits for it.

        No counter refuses it. If it cannot be stored at all, its exchange is closed as
        indeterminate in the end.
        """
        with suppress(LogUnavailable):
            left = self._enqueue(record, (), releases, without_limits(counters), math.inf)
            left.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _enqueue(
        self,
        record: Record,
        claims: Sequence[Claim],
        releases: Sequence[bytes],
        counters: Sequence[Change],
        deadline_s: float,
    ) -> asyncio.Future[Position]:
        if self._failure is not None:
            raise type(self._failure)(*self._failure.args)
        full = self.room.refuses and record.kind not in ESSENTIAL
        if full or len(self._queue) >= QUEUE_RECORDS_MAX:
            self.figures.busy += 1
            self._under_way.end(record.exchange)
            if full:
                raise LogFull("the disk of the audit log has no room to begin anything")
            raise LogBusy("too many records wait for the audit log")
        future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(record, claims, releases, counters, future, deadline_s))
        if record.kind is _INTENT:
            self._under_way.begin(record.exchange)
        if self._wake is not None:
            self._rouse()
        return future

    async def find_grant(self, holder: bytes, words: bytes) -> Grant | None:
        """Return the latest urgent grant of a holder (`tagger` makes both tags), or None.

        Raises LogUnavailable where it cannot be told.
        """
        self._check()
        return await self._store.find_grant(holder, words)

    async def is_claimed(self, key: bytes) -> bool:
        """Tell whether a claim is taken now; raises LogUnavailable where it cannot be told."""
        self._check()
        return await self._store.is_claimed(key)

    async def start(self) -> None:
        """Begin to commit; the log belongs to the running event loop from now on."""
        loop = asyncio.get_running_loop()
        self.room.look()
        self._tasks = [
            loop.create_task(self._commit_groups(), name="committer"),
            loop.create_task(self._watch(), name="watch"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._task_ended)

    async def stop(self) -> None:
        """Commit what is queued, then close; later appends raise LogUnavailable."""
        deadline_s = monotonic_s() + APPEND_DEADLINE_S
        while (self._queue or self._storing) and self._failure is None:
            if monotonic_s() > deadline_s:
                break
            self._wake_committer()
            await asyncio.sleep(COMPANY_WINDOW_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._give_up(self._failure or LogUnavailable("the audit log is closed"))
        self._store.close()
        self._instance.close()

    def _check(self) -> None:
        """Raise the failure after which nothing is done any more (invariant I10)."""
        if self._failure is not None:
            raise type(self._failure)(*self._failure.args)

    async def _commit_groups(self) -> None:
        """Store group after group; whatever comes while one is stored is the next one."""
        loop = asyncio.get_running_loop()
        while self._failure is None:
            if not self._has_company():
                self._wake = wake = loop.create_future()
                if self._queue:
                    self._rouse()
                await wake
            await self._commit(*self._take())

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """Let nobody wait for a committer, or rely on a watch, that is no more."""
        if self._failure is None and not task.cancelled():
            failure = LogUnavailable(f"the audit {task.get_name()} ended: {task.exception()!r}")
            self._give_up(failure)

    def _has_company(self) -> bool:
        """Tell whether enough have come that a commit is worth its sync."""
        waiting = len(self._queue)
        return waiting >= BATCH_RECORDS_MAX or waiting > len(self._under_way) * COMPANY_SHARE

    def _rouse(self) -> None:
        """Wake the idle committer at once, or at the end of the window that the first opens."""
        if self._has_company():
            self._wake_committer()
        elif self._window is None:
            loop = asyncio.get_running_loop()
            self._window = loop.call_later(COMPANY_WINDOW_S, self._wake_committer)

    def _wake_committer(self) -> None:
        if self._window is not None:
            self._window.cancel()
            self._window = None
        wake, self._wake = self._wake, None
        if wake is not None and not wake.done():
            wake.set_result(None)

    def _take(self) -> tuple[list[_Waiting], list[Append]]:
        """Seal the next group: one record after another, which keeps code and keys in the caches.

        A record that cannot be sealed is refused here, alone.
        """
        group: list[_Waiting] = []
        appends: list[Append] = []
        room = BATCH_BYTES_MAX
        overdue = bool(self._overdue)
        while self._queue and len(group) < BATCH_RECORDS_MAX and room > 0:
            waiting = self._queue.popleft()
            if overdue:
                wanted = Settlement(waiting.releases, waiting.counters)
                left = self._overdue.remaining(waiting.record.exchange, wanted)
                waiting = waiting._replace(**left._asdict())
            record, claims, releases, counters, _, deadline_s = waiting
            try:
                sealed = self._sealer.seal(record)
            except Exception as fault:  # noqa: BLE001 - whatever it is, it is this record's alone
                self._answer([waiting], [not_sealed(fault)])
                continue
            room -= sealed.stored_bytes + (costs_of(counters) if counters else 0)
            group.append(waiting)
            appends.append(Append(sealed, claims, releases, counters, deadline_s))
        return group, appends

    async def _commit(self, group: Sequence[_Waiting], appends: Sequence[Append]) -> None:
        """Store a group; what ends something waits for a busy store until it is late."""
        if not group:
            return
        self._storing, pause_s = group, WATCH_INTERVAL_S
        answers: Sequence[Position | Exception]
        try:
            answers = await self._store.append(appends)
        except LogFull as full:
            answers = [full] * len(group)
            pause_s = 0.0 if self.room.run_out() else pause_s
        except LogBusy as busy:
            answers = [busy] * len(group)
        except LogUnavailable as failure:
            answers = [failure] * len(group)
            self.refuse(failure)
        else:
            self.figures.commits += 1
            self.figures.records += len(group)
        self._storing = ()
        if self._answer(group, answers):
            await asyncio.sleep(pause_s)

    async def _watch(self) -> None:
        """Answer what has waited past its deadline: it is not stored, nor will be.

        What the store holds at that moment waits for the lock, after which it looks at the
        deadlines again; a commit, once begun, is over before this runs.
        """
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            self._look_around()
            now_s = monotonic_s()
            late = [
                item
                for item in (*self._storing, *self._queue)
                if item.deadline_s < now_s and not item.future.done()
            ]
            if late:
                self._queue = deque(item for item in self._queue if item.deadline_s >= now_s)
                self.figures.busy += len(late)
                busy = LogBusy("the audit log did not answer in time")
                self._answer(late, [busy] * len(late))

    def _look_around(self) -> None:
        """See what other processes found of the log, how much room there is, and who is lost."""
        self._under_way.forget_lost()
        self.room.look()
        found = found_elsewhere(self.directory) if self._failure is None else None
        if found is not None:
            self.refuse(found)

    def _answer(
        self,
        group: Sequence[_Waiting],
        answers: Sequence[Position | Exception],
    ) -> bool:
        """Tell callers what became of their records; tell whether some are to be tried again."""
        again = []
        for waiting, answer in zip(group, answers, strict=True):
            record, future = waiting.record, waiting.future
            if isinstance(answer, Position):
                self._under_way.answered(record, stored=True)
                if not future.done():
                    future.set_result(answer)
                elif not future.cancelled():  # its caller was told that it came too late
                    self._put_right(waiting, answer)
            elif isinstance(answer, LogBusy) and _may_wait(waiting):
                again.append(waiting)
            else:
                self.figures.refused += isinstance(answer, AppendRefused)
                self._under_way.answered(record, stored=False)
                if not future.done():
                    future.set_exception(answer)
        self._queue.extendleft(reversed(again))
        return bool(again)

    def _put_right(self, waiting: _Waiting, place: Position) -> None:
        """Make good for a record that became durable after its caller was told "too late".

        Nothing was sent for an intent, so that it is closed, and what it took is given back. An
        outcome will be replaced by one that says so, which then settles the difference only.
        """
        record = waiting.record
        if record.kind is Kind.INTENT and self._failure is None:
            back = given_back(waiting.claims, waiting.counters)
            self.leave(not_attempted(record.exchange, place.index), **back._asdict())
        elif record.kind is Kind.OUTCOME:
            self._overdue.note(record.exchange, Settlement(waiting.releases, waiting.counters))

    def refuse(self, failure: LogUnavailable) -> None:
        """Refuse everything from now on (invariant I10)."""
        self._failure = failure
        group = list(self._queue)
        self._queue.clear()
        self._answer(group, [failure] * len(group))

    def _give_up(self, failure: LogUnavailable) -> None:
        """Refuse everything, also what the store was handed: nobody will answer for it."""
        self._answer(self._storing, [failure] * len(self._storing))
        self.refuse(failure)


def _may_wait(waiting: _Waiting) -> bool:
    """Tell whether a record that a busy store did not take is to be tried again.

    What begins something is refused at once; what ends something waits until its caller is told
    that it came too late, or for as long as it takes where nobody waits for it.
    """
    told = waiting.future.done() and not waiting.future.cancelled()
    in_time = waiting.deadline_s >= monotonic_s()
    return waiting.record.kind in ESSENTIAL and in_time and not told
