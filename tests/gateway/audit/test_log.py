"""AuditLog: groups, limits, cancellation, and what happens once the store has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.audit import log as log_module
from gateway.audit import under_way
from gateway.audit.disk.instances import Instance
from gateway.audit.disk.locks import FileLock
from gateway.audit.entry import EntryInvalid, Kind
from gateway.audit.grants import Tagger
from gateway.audit.log import AuditLog
from gateway.audit.seal import Sealer
from gateway.audit.sqlite import LOCK_NAME
from gateway.audit.store import (
    Append,
    AppendRefused,
    Claim,
    Grant,
    LogBusy,
    LogUnavailable,
    Position,
)
from gateway.clock import new_uuid7, system_time_us
from tests.gateway.audit.records import (
    ORIGIN,
    each_store,
    intent,
    keys_in,
    outcome,
    record,
    selected,
    using,
)


class HeldStore:
    """A store whose answer waits until a test lets it go, or that fails."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = asyncio.Event()
        self.failure: Exception | None = None

    async def append(self, batch: Sequence[Append]) -> list[Position | AppendRefused]:
        self.batches.append(len(batch))
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return [Position(number, item.sealed.leaf_hash) for number, item in enumerate(batch)]

    async def find_grant(self, holder: bytes, words: bytes) -> Grant | None:
        return None

    async def is_claimed(self, key: bytes) -> bool:
        return False

    def close(self) -> None:
        self.gate.set()


def held(directory: Path) -> tuple[AuditLog, HeldStore]:
    """Return a log over a store that waits."""
    store = HeldStore()
    sealer = Sealer(ORIGIN, keys_in(directory))
    instance = Instance(directory, label="held")
    tagger = Tagger(keys_in(directory).state_key())
    path = directory / "none"
    receipts = keys_in(directory).receipt_signer(ORIGIN)
    log = AuditLog(store, sealer, path=path, instance=instance, tagger=tagger, receipts=receipts)
    return log, store


@each_store
def test_what_comes_while_a_commit_runs_is_one_group(tmp_path: Path) -> None:
    """Thirty-two exchanges cost a few commits, and each record has its own index (I3, I4)."""

    async def use(log: AuditLog) -> None:
        ids = [new_uuid7() for _ in range(32)]
        places = await asyncio.gather(*[log.append(intent(item)) for item in ids])
        ends = await asyncio.gather(*[log.append(outcome(item)) for item in ids])
        assert sorted(place.index for place in [*places, *ends]) == list(range(1, 65))
        assert log.figures.records == 64
        assert log.figures.commits <= 6

    using(tmp_path, use)


@each_store
def test_a_lone_record_waits_for_nobody(tmp_path: Path) -> None:
    """One append alone is one commit, at once."""

    async def use(log: AuditLog) -> None:
        await log.append(record(Kind.DENY, new_uuid7(), core={"decision": "deny"}))
        assert log.figures.commits == 1

    using(tmp_path, use)


@each_store
def test_a_cancelled_caller_does_not_cancel_its_record(tmp_path: Path) -> None:
    """The client may go; the record stays and the log goes on (I3)."""

    async def use(log: AuditLog) -> None:
        caller = asyncio.create_task(log.append(intent(agreement="GONE")))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        place = await log.append(intent())
        assert place.index == 2
        blocks = selected(log.path, "SELECT sections FROM audit_record WHERE leaf_index = 1")
        assert b"GONE" in blocks[0][0]

    using(tmp_path, use)


@each_store
def test_poison_harms_no_batch_mate(tmp_path: Path) -> None:
    """A record that cannot be stored fails alone, before it is queued (F23)."""

    async def use(log: AuditLog) -> None:
        answers = await asyncio.gather(
            log.append(intent()),
            log.append(intent(weight=0.5)),
            log.append(intent()),
            return_exceptions=True,
        )
        assert isinstance(answers[1], EntryInvalid)
        places = [answer.index for answer in answers if isinstance(answer, Position)]
        assert places == [1, 2]

    using(tmp_path, use)


def test_after_a_failure_nothing_is_accepted(tmp_path: Path) -> None:
    """Those waiting and all that come later get LogUnavailable (I10)."""

    async def run() -> None:
        log, store = held(tmp_path)
        await log.start()
        store.failure = LogUnavailable("the disk is gone")
        first = asyncio.create_task(log.append(intent()))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(log.append(intent()))
        await asyncio.sleep(0)
        store.gate.set()
        for waiting in (first, second, log.append(intent())):
            with pytest.raises(LogUnavailable, match="the disk is gone"):
                await waiting
        assert isinstance(log.failure, LogUnavailable)
        await log.stop()

    asyncio.run(run())


def test_a_mistake_in_a_driver_fails_closed(tmp_path: Path) -> None:
    """Even an error that no driver should raise leaves nobody waiting (I10)."""

    async def run() -> None:
        log, store = held(tmp_path)
        await log.start()
        store.failure = ZeroDivisionError()
        store.gate.set()
        with pytest.raises(LogUnavailable, match="committer ended"):
            await log.append(intent())
        with pytest.raises(LogUnavailable):
            await log.append(intent())
        await log.stop()

    asyncio.run(run())


def test_a_stop_that_is_cut_off_leaves_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether what hangs in the store became durable is not known, and its caller hears so."""
    monkeypatch.setattr(log_module, "APPEND_DEADLINE_S", 0.1)
    monkeypatch.setattr(log_module, "WATCH_INTERVAL_S", 60.0)

    async def run() -> None:
        log, _ = held(tmp_path)
        await log.start()
        waiting = asyncio.create_task(log.append(intent()))
        await asyncio.sleep(0.01)
        await log.stop()
        async with asyncio.timeout(5):
            with pytest.raises(LogUnavailable, match="closed"):
                await waiting

    asyncio.run(run())


def test_a_full_queue_and_a_passed_deadline_are_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Load is shed early, and nobody waits longer than the deadline (I10)."""
    monkeypatch.setattr(log_module, "QUEUE_RECORDS_MAX", 2)
    monkeypatch.setattr(log_module, "APPEND_DEADLINE_S", 0.05)
    monkeypatch.setattr(log_module, "WATCH_INTERVAL_S", 0.02)

    async def run() -> None:
        log, _ = held(tmp_path)
        await log.start()
        first = asyncio.create_task(log.append(intent()))
        await asyncio.sleep(0.01)
        waiting = [asyncio.create_task(log.append(intent())) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(LogBusy, match="too many"):
            await log.append(intent())
        for task in (first, *waiting):
            with pytest.raises(LogBusy, match="in time"):
                await task
        assert log.figures.busy == 4
        await log.stop()

    asyncio.run(run())


def test_what_was_answered_late_is_never_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour that hangs with the lock burns no claim, and opens no exchange (I3, I8)."""
    monkeypatch.setattr(log_module, "APPEND_DEADLINE_S", 0.05)
    monkeypatch.setattr(log_module, "WATCH_INTERVAL_S", 0.02)

    async def use(log: AuditLog) -> None:
        claim = Claim(b"once:key", system_time_us() + 3_600_000_000)
        neighbour = FileLock(log.directory / LOCK_NAME)
        with neighbour:
            for _ in range(2):  # one is with the store, one in the queue
                with pytest.raises(LogBusy, match="in time"):
                    await log.append(intent(), claims=[claim])
            kept = new_uuid7()
            log.leave(intent(kept))
        neighbour.close()
        monkeypatch.setattr(log_module, "APPEND_DEADLINE_S", 60.0)
        assert (await log.append(outcome(kept))).index == 2
        assert not await log.is_claimed(claim.key)
        assert selected(log.path, "SELECT count(*) FROM audit_open") == [(0,)]
        assert log.figures.busy == 2

    using(tmp_path, use)


@each_store
def test_an_outcome_that_fails_is_waited_for_by_no_commit(tmp_path: Path) -> None:
    """What is under way is what may still come: a lone record finds its company at once."""

    async def use(log: AuditLog) -> None:
        ids = [new_uuid7() for _ in range(4)]
        await asyncio.gather(*[log.append(intent(item)) for item in ids])
        ends = [log.append(outcome(item, weight=0.5)) for item in ids]
        answers = await asyncio.gather(*ends, return_exceptions=True)
        assert [type(answer) for answer in answers] == [EntryInvalid] * 4
        await _finds_company(log)

    using(tmp_path, use)


@each_store
def test_what_is_closed_as_not_known_is_waited_for_by_no_commit(tmp_path: Path) -> None:
    """The sweeper closes what has lost its end, which will then not come."""

    async def use(log: AuditLog) -> None:
        ids = [new_uuid7() for _ in range(4)]
        await asyncio.gather(*[log.append(intent(item)) for item in ids])
        for index, exchange in enumerate(ids, start=1):
            core: dict[str, object] = {"intent": index, "reason": "OVERDUE"}
            await log.append(record(Kind.INDETERMINATE, exchange, core=core))
        await _finds_company(log)

    using(tmp_path, use)


def test_what_another_process_closed_is_waited_for_by_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells the one that began it; after an hour it knows."""
    monkeypatch.setattr(log_module, "WATCH_INTERVAL_S", 0.02)

    async def use(log: AuditLog) -> None:
        await asyncio.gather(*[log.append(intent()) for _ in range(4)])
        monkeypatch.setattr(under_way, "UNDER_WAY_S", -1.0)
        await asyncio.sleep(0.2)
        await _finds_company(log)

    using(tmp_path, use)


async def _finds_company(log: AuditLog) -> None:
    """Append a lone record, which waits for nobody."""
    alone = asyncio.create_task(log.append(record(Kind.DENY, new_uuid7(), core={})))
    await asyncio.sleep(0)
    assert log._has_company()
    await alone
