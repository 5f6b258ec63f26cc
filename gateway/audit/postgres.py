"""The PostgreSQL driver: appends from as many processes and hosts as like, one statement a batch.

A commit whose answer is lost is never guessed at: the connection that may still be at it is ended,
the records are looked up, and a write of our own must be acknowledged before they are (decision
10; audit-log.md, section 2.7).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.place import PostgresFailed, PostgresLog
from gateway.audit.postgresql.link import LinkLost, PostgresLink, is_rolled_back, open_link
from gateway.audit.store import (
    AlreadyClosed,
    Answer,
    Append,
    AppendRefused,
    Beside,
    ClaimTaken,
    CounterChange,
    CounterExceeded,
    Grant,
    GrantExhausted,
    GrantUse,
    HoldAdded,
    HoldsUnchanged,
    KeyChange,
    LogBusy,
    LogFrozen,
    LogUnavailable,
    Overtaken,
    PeopleChange,
    Position,
    RecordRepeated,
)
from gateway.clock import monotonic_s

RETRY_S: Final = 0.25
"""How long a server that could not be reached is left alone."""
ENDED_MS_MAX: Final = 5_000
"""How long a lost connection's backend may take to end."""

BARRIER: Final = """
INSERT INTO audit_barrier VALUES ($1, 1)
ON CONFLICT (instance) DO UPDATE SET n = audit_barrier.n + 1"""
"""A write that is there for its acknowledgement alone; each instance has a row of its own."""

BATCH_REFUSED: Final = "CA000"
NOT_OURS: Final = "55000"
NO_PARTITION: Final = "23514"
UNIQUE: Final = "23505"
_FENCED: Final = "fenced"

_VALUES: Final = ", ".join(f"${at}" for at in range(1, 19))
_APPEND: Final = f"SELECT audit_append({_VALUES})"
_APPEND_SINGLY: Final = f"SELECT place, refusal, culprit FROM audit_append_singly({_VALUES})"  # noqa: S608 - numbers
_EXTEND: Final = "SELECT audit_extend()"
_WHO: Final = """
SELECT pid, backend_start, (SELECT epoch FROM audit_head)
FROM pg_stat_activity WHERE pid = pg_backend_pid()"""
_END: Final = """
SELECT pg_terminate_backend(pid, $3) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2"""
_STORED: Final = """
SELECT q.record_id, q.leaf_index, r.leaf_hash
FROM audit_recent AS q JOIN audit_record AS r USING (leaf_index) WHERE q.record_id = ANY ($1)"""
_KNOWN: Final = "SELECT leaf_hash FROM audit_record WHERE leaf_index = $1"
_FREEZE: Final = "UPDATE audit_head SET state = 'frozen'"
_GRANT: Final = """
SELECT started, ARRAY(SELECT subject FROM audit_grant_subject WHERE holder = $1) AS subjects,
       EXISTS (SELECT FROM audit_grant_words WHERE holder = $1 AND words = $2) AS said
FROM audit_grant WHERE holder = $1"""
_CLAIMED: Final = """
SELECT FROM audit_claim
WHERE key = $1 AND expires > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"""

_REFUSALS: Final[dict[str, Callable[[bytes], AppendRefused | LogBusy]]] = {
    "claim": ClaimTaken,
    "counter": CounterExceeded,
    "grant": GrantExhausted,
    "closed": lambda _: AlreadyClosed("the exchange has its terminal record"),
    "repeated": lambda _: RecordRepeated("the record or its open exchange is already in the log"),
    "late": lambda _: _late(),
    "overtaken": lambda _: Overtaken("what was to be changed has changed meanwhile"),
}


def _late() -> LogBusy:
    return LogBusy("the audit log did not answer in time")


class PostgresStore:
    """Appends batches, each in one statement, which is one transaction.

    A connection that breaks is made anew, and what was under way is resolved; meanwhile appends
    are refused as busy, and nothing is exchanged (invariant I10).
    """

    def __init__(self, place: PostgresLog, *, instance: str) -> None:
        """Use a provisioned shard; `instance` is who will have opened its exchanges."""
        self._place = place
        self._instance = instance
        self._link: PostgresLink | None = None
        self._lookups: PostgresLink | None = None
        self._looking = asyncio.Lock()
        self._backend: tuple[Any, ...] = ()
        self._lost: list[tuple[Any, ...]] = []
        self._epoch: int | None = None
        self._last: Position | None = None
        self._tried_s = -math.inf
        self._work: asyncio.Future[Sequence[Answer]] | None = None
        self._closed = False

    async def append(self, batch: Sequence[Append]) -> Sequence[Answer]:
        """Store a batch; see LogStore. Whoever gives up waiting cancels nothing."""
        loop = asyncio.get_running_loop()
        self._work = loop.create_task(self._append(batch))
        self._work.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._work)

    async def find_grant(self, holder: bytes, words: bytes) -> Grant | None:
        """Read a grant as the last commit of any process left it; see LogStore."""
        rows = await self._look_up(_GRANT, holder, words)
        if not rows:
            return None
        started_us, subjects, said = rows[0]
        return Grant(started_us=started_us, subjects=frozenset(subjects), said=said)

    async def is_claimed(self, key: bytes) -> bool:
        """Look for a claim as the last commit of any process left it; see LogStore."""
        return bool(await self._look_up(_CLAIMED, key))

    def close(self) -> None:
        """Drop the connections; what was sent is stored by the server, or it is not."""
        self._closed = True
        for link in (self._link, self._lookups):
            if link is not None:
                link.close()

    async def _append(self, batch: Sequence[Append]) -> Sequence[Answer]:
        answers = await self._store(batch)
        late = [
            at
            for at, (item, answer) in enumerate(zip(batch, answers, strict=True))
            if isinstance(answer, AlreadyClosed) and item.sealed.kind is Kind.OUTCOME
        ]
        if late:
            again = [batch[at]._replace(sealed=batch[at].sealed.as_late()) for at in late]
            try:
                found = await self._store(again)
            except LogBusy as busy:  # their batch mates are stored
                found = [busy] * len(again)
            for at, answer in zip(late, found, strict=True):
                answers[at] = answer
        return answers

    async def _store(self, batch: Sequence[Append]) -> list[Answer]:
        """Store a batch, over as many connections as that takes once one was lost in doubt."""
        answers: dict[int, Answer] = {}
        in_doubt = False
        while True:
            try:
                link = await self._linked(patient=in_doubt)
                if in_doubt:
                    answers |= await self._resolve(link, batch, answers)
                    in_doubt = False
                rest = [at for at in range(len(batch)) if at not in answers]
                if rest:
                    found = await self._send(link, [batch[at] for at in rest])
                    answers |= dict(zip(rest, found, strict=True))
            except LinkLost:
                self._drop()
                in_doubt = True
            except PostgresFailed as failure:
                refused = _failure(failure)
                if not isinstance(refused, LogBusy) or not (in_doubt or answers):
                    raise refused from failure
                if not in_doubt:  # some were stored before the connection was lost
                    return [answers.get(at, refused) for at in range(len(batch))]
                self._drop()
            else:
                return [answers[at] for at in range(len(batch))]

    async def _linked(self, *, patient: bool) -> PostgresLink:
        """Return the connection, made anew if it broke; the patient wait until there is one.

        Raises LogBusy for the others where the server cannot be reached now.
        """
        while self._link is None or not self._link.is_open:
            self._check_open()
            pause_s = self._tried_s + RETRY_S - monotonic_s()
            if pause_s > 0 and not patient:
                raise LogBusy("PostgreSQL does not answer")
            await asyncio.sleep(max(pause_s, 0))
            try:
                await self._connect()
            except (PostgresFailed, LinkLost) as failure:
                self._tried_s = monotonic_s()
                if not patient:
                    raise LogBusy(f"the audit log cannot be reached: {failure}") from failure
        return self._link

    async def _connect(self) -> None:
        """Connect, and make sure that it is still the log that this process has appended to."""
        link = await open_link(self._place)
        try:
            self._check_open()
            *backend, epoch = (await link.fetch(_WHO))[0]
            await self._check_kept(link)
        except BaseException:
            link.close()
            raise
        # The first epoch is the process's for life: whoever raised it meant to shut it out.
        self._epoch = epoch if self._epoch is None else self._epoch
        self._link, self._backend = link, tuple(backend)

    async def _check_kept(self, link: PostgresLink) -> None:
        """Freeze the log where the newest record that was acknowledged to us is not in it."""
        if self._last is None:
            return
        known = await link.fetch(_KNOWN, self._last.index)
        if known and known[0][0] == self._last.leaf_hash:
            return
        await link.fetch(_FREEZE)
        raise LogFrozen(
            f"the log has lost the record {self._last.index}, which was acknowledged:"
            " PostgreSQL was rolled back, perhaps by a failover to a stale standby"
        )

    async def _resolve(
        self, link: PostgresLink, batch: Sequence[Append], known: dict[int, Answer]
    ) -> dict[int, Answer]:
        """Find out what became of a batch whose answer was lost.

        The lost connection's backend may still be at it, so it is ended first. What is stored
        here may yet be lost with this server; WAL is in order, so that an acknowledged later
        write proves that the earlier one is where it must be.
        """
        for backend in self._lost:
            await link.fetch(_END, *backend, ENDED_MS_MAX)
        self._lost.clear()
        ids = [item.sealed.record_id for item in batch]
        stored = {row[0]: Position(row[1], row[2]) for row in await link.fetch(_STORED, ids)}
        await link.fetch(BARRIER, self._instance)
        now_s, answers = monotonic_s(), dict[int, Answer]()
        for at, item in enumerate(batch):
            place = stored.get(item.sealed.record_id)
            if at in known:
                continue
            if place is not None and place.leaf_hash == item.sealed.leaf_hash:
                answers[at] = self._acknowledge(place)
            elif item.deadline_s < now_s:
                answers[at] = _late()
        return answers

    async def _send(self, link: PostgresLink, batch: Sequence[Append]) -> list[Answer]:
        """Store a batch at once or, if a record of it is refused, each that can be."""
        assert self._epoch is not None  # noqa: S101 - set with the first connection
        try:
            values = _arguments(batch, self._epoch, self._instance)
            base = (await link.fetch(_APPEND, *values))[0][0]
        except PostgresFailed as failure:
            if failure.sqlstate == NO_PARTITION:
                await link.fetch(_EXTEND)
            elif failure.sqlstate not in (BATCH_REFUSED, UNIQUE):
                raise
            values = _arguments(batch, self._epoch, self._instance)
            rows = await link.fetch(_APPEND_SINGLY, *values)
            return [self._judge(item, row) for item, row in zip(batch, rows, strict=True)]
        return [
            self._acknowledge(Position(base + at, item.sealed.leaf_hash))
            for at, item in enumerate(batch)
        ]

    def _judge(self, item: Append, row: Any) -> Answer:
        place, refusal, culprit = row
        if refusal is None:
            return self._acknowledge(Position(place, item.sealed.leaf_hash))
        return _REFUSALS[refusal](culprit)

    def _acknowledge(self, place: Position) -> Position:
        if self._last is None or place.index > self._last.index:
            self._last = place
        return place

    async def _look_up(self, sql: str, *values: object) -> list[Any]:
        """Read on a connection of its own: the other may be waiting for a commit."""
        async with self._looking:
            for attempt in range(2):
                self._check_open()
                try:
                    if self._lookups is None or not self._lookups.is_open:
                        self._lookups = await open_link(self._place)
                    return await self._lookups.fetch(sql, *values)
                except LinkLost as lost:
                    if attempt:
                        raise LogUnavailable(f"the audit log cannot be read: {lost}") from lost
                except PostgresFailed as failure:
                    raise LogUnavailable(f"the audit log cannot be read: {failure}") from failure
        raise AssertionError("the second attempt returns or raises")

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
            self._lost.append(self._backend)

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("the audit log is closed")


def _failure(failure: PostgresFailed) -> LogUnavailable:
    """Return what a failed append means: busy if a later one may succeed, else the end."""
    state = failure.sqlstate or ""
    if state == NOT_OURS and str(failure) == _FENCED:
        return LogUnavailable("another epoch of the audit log has begun: this process is fenced")
    if state == NOT_OURS:
        return LogFrozen(f"the audit log is {failure}")
    if is_rolled_back(state):
        return LogBusy(f"the audit log took nothing: {failure}")
    return LogUnavailable(f"the audit store failed: {failure}")


def _arguments(batch: Sequence[Append], epoch: int, instance: str) -> list[object]:
    """Return the arguments of `audit_append`: a column each, and what the records change."""
    now_s = monotonic_s()
    sealed = [item.sealed for item in batch]
    changes = [(at, *change) for at, item in enumerate(batch, start=1) for change in _changes(item)]
    of, verbs, keys, others, first, second = (
        map(list, zip(*changes, strict=True)) if changes else ([], [], [], [], [], [])
    )
    return [
        epoch,
        instance,
        [one.record_id for one in sealed],
        [one.exchange for one in sealed],
        [KIND_CODES[one.kind] for one in sealed],
        [one.at_us for one in sealed],
        [one.leaf_hash for one in sealed],
        [one.entry for one in sealed],
        [one.sections for one in sealed],
        [one.day for one in sealed],
        [one.wrapped_keys for one in sealed],
        [_left_us(item.deadline_s, now_s) for item in batch],
        of, verbs, keys, others, first, second,
    ]  # fmt: skip


def _left_us(deadline_s: float, now_s: float) -> int | None:
    """Return how long a record may still wait, for the server's own clock to judge."""
    return None if deadline_s == math.inf else int((deadline_s - now_s) * 1_000_000)


_Step = tuple[str, bytes, bytes | None, int | None, int | None]


def _changes(item: Append) -> list[_Step]:
    """Return what a record changes in the log's state, as `audit_settle` takes it."""
    if not (item.releases or item.claims or item.counters):
        return []
    steps: list[_Step] = [("r", key, None, None, None) for key in item.releases]
    steps += [("c", claim.key, None, claim.expires_at_us, None) for claim in item.claims]
    for change in item.counters:
        if isinstance(change, GrantUse):
            verb = "b" if change.begins else "g"
            steps.append((verb, change.holder, change.words, change.seen_us, change.started_us))
            steps += [("p", change.holder, tag, None, None) for tag in change.subjects]
            steps.append(("h", change.holder, None, change.subjects_max, None))
        elif isinstance(change, PeopleChange):
            verb, tags = "d" if change.add > 0 else "f", [tag.hex() for tag in change.people]
            told = ",".join(tags).encode()
            steps.append((verb, change.key, told, change.until_us, change.maximum))
        elif isinstance(change, CounterChange):
            steps.append(("n", change.key, None, change.add, change.maximum))
        else:
            steps.append(_beside(change))
    return steps


def _beside(change: Beside) -> _Step:
    """Return a change of keys or holds as `audit_settle` takes it."""
    if isinstance(change, KeyChange):
        return ("k", change.wrapped, change.anew, change.leaf_index, None)
    if isinstance(change, HoldsUnchanged):
        return ("u", b"", None, change.version, None)
    if isinstance(change, HoldAdded):
        verb = f"hold {change.kind} {change.reason}"
        return (verb, change.hold, change.target, change.since_us, None)
    return ("e", change.hold, None, None, None)
