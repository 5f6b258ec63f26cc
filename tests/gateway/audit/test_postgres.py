"""The PostgreSQL driver: lost answers, lost connections, fences, locks and rollbacks."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.audit import log as log_module
from gateway.audit import postgres as postgres_module
from gateway.audit.log import AuditLog
from gateway.audit.place import PostgresLog
from gateway.audit.postgresql.link import PostgresLink
from gateway.audit.postgresql.session import open_session
from gateway.audit.store import (
    Append,
    Claim,
    ClaimTaken,
    CounterChange,
    LogBusy,
    LogFrozen,
    LogUnavailable,
    Position,
)
from gateway.clock import monotonic_s, new_uuid7, system_time_us
from tests.gateway.audit.cutting import Cut, store_of, told_too_late, wired
from tests.gateway.audit.records import (
    intent,
    opened,
    outcome,
    place_in,
    selected,
    tampered,
    use_postgres,
    using,
)  # fmt: skip
from tests.postgres import Postgres

LATER_US = system_time_us() + 3_600_000_000
EXCHANGE = "SELECT count(*) FROM audit_record WHERE exchange = ?"


@pytest.mark.parametrize("cut", [Cut.AFTER, Cut.BEFORE])
def test_a_lost_answer_is_resolved(tmp_path: Path, place: PostgresLog, cut: Cut) -> None:
    """F6, F7: committed or not, the record is stored once, and its caller told then (I3, I4)."""

    async def use(log: AuditLog) -> None:
        async with wired(log) as wire:
            wire.cut = cut
            kept, claim = new_uuid7(), Claim(b"once", LATER_US)
            first = await log.append(intent(kept), claims=[claim])
            assert wire.cuts == 1
            with pytest.raises(ClaimTaken):
                await log.append(intent(), claims=[claim])
            assert (first.index, (await log.append(outcome(kept))).index) == (2, 3)
            assert log.failure is None

    using(tmp_path, use)
    assert selected(place, "SELECT next_index FROM audit_head") == [(4,)]
    assert selected(place, "SELECT n FROM audit_barrier") == [(1,)]


def test_a_refusal_whose_answer_is_lost_is_a_refusal(tmp_path: Path, place: PostgresLog) -> None:
    """F6: of a batch that was committed in part, each record gets its own answer."""

    async def use(log: AuditLog) -> None:
        async with wired(log) as wire:
            await log.append(intent(), claims=[Claim(b"once", LATER_US)])
            store, seal = store_of(log), log._sealer.seal
            batch = [Append(seal(intent())), Append(seal(intent()), [Claim(b"once", LATER_US)])]
            late = Append(seal(intent()), deadline_s=monotonic_s() + 3_600)
            store._epoch, wire.cut = 1, Cut.AFTER
            answers = await store.append([*batch, late])
            assert wire.cuts == 1
            assert [type(one) for one in answers] == [Position, ClaimTaken, Position]

    using(tmp_path, use)
    assert selected(place, "SELECT next_index FROM audit_head") == [(5,)]


def test_a_backend_that_is_killed_loses_nothing(tmp_path: Path, place: PostgresLog) -> None:
    """F9: the connection is made anew, what was acknowledged is there, and the log goes on (I3)."""

    async def use(log: AuditLog) -> None:
        places = []
        for _ in range(5):
            places.append(await log.append(intent()))
            selected(place, "SELECT pg_terminate_backend(?)", store_of(log)._backend[0])
            places += await asyncio.gather(*[log.append(intent()) for _ in range(20)])
        assert sorted(one.index for one in places) == list(range(1, 106))
        stored = dict(selected(place, "SELECT leaf_index, leaf_hash FROM audit_record"))
        assert {one.index: one.leaf_hash for one in places}.items() <= stored.items()
        assert log.failure is None

    using(tmp_path, use)


def test_a_fenced_process_stores_nothing(tmp_path: Path, place: PostgresLog) -> None:
    """F12: once another epoch has begun, a process of the last one inserts no row (I4)."""

    async def use(log: AuditLog) -> None:
        await log.append(intent())
        tampered(place, "UPDATE audit_head SET epoch = epoch + 1")
        with pytest.raises(LogUnavailable, match="fenced"):
            await log.append(intent())
        assert type(log.failure) is LogUnavailable

    using(tmp_path, use)
    assert selected(place, "SELECT max(leaf_index) FROM audit_record") == [(1,)]

    async def again(log: AuditLog) -> None:
        assert (await log.append(intent())).index == 2

    using(tmp_path, again)


def test_a_frozen_log_takes_nothing(tmp_path: Path, place: PostgresLog) -> None:
    """What one process has frozen is frozen for all (I10)."""

    async def use(log: AuditLog) -> None:
        await log.append(intent())
        tampered(place, "UPDATE audit_head SET state = 'frozen'")
        with pytest.raises(LogFrozen, match="frozen"):
            await log.append(intent())

    using(tmp_path, use)


def holding_the_head(place: PostgresLog) -> Callable[[], None]:
    """Hold the head's row as a process that hangs would; return what lets it go."""
    holder = open_session(place)
    holder.execute("SET idle_in_transaction_session_timeout = 0")
    holder.execute("BEGIN")
    holder.execute("SELECT * FROM audit_head FOR UPDATE").fetchall()
    return holder.close


def test_a_head_that_is_held_is_busy_and_not_fatal(
    tmp_path: Path, place: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F13: after `lock_timeout` nothing was written, and a later append succeeds (I10)."""

    monkeypatch.setattr(log_module, "APPEND_DEADLINE_S", 60.0)

    async def use(log: AuditLog) -> None:
        await log.append(intent())
        let_go = holding_the_head(place)
        with pytest.raises(LogBusy, match="lock timeout"):
            await log.append(intent())
        let_go()
        assert (await log.append(intent())).index == 2
        assert log.failure is None

    using(tmp_path, use)


def test_what_was_answered_late_is_not_stored(
    tmp_path: Path, place: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server holds to deadlines too: who waits for a lock too long burns no claim (I8)."""
    monkeypatch.setattr(log_module, "WATCH_INTERVAL_S", 0.02)

    async def use(log: AuditLog) -> None:
        await log.append(intent())
        monkeypatch.setattr(log_module, "APPEND_DEADLINE_S", 0.2)
        let_go = holding_the_head(place)
        claim, kept = Claim(b"once", LATER_US), new_uuid7()
        with pytest.raises(LogBusy, match="in time"):
            await log.append(intent(), claims=[claim])
        log.leave(intent(kept))
        let_go()
        monkeypatch.setattr(log_module, "APPEND_DEADLINE_S", 60.0)
        await log.append(outcome(kept))
        assert not await log.is_claimed(claim.key)

    using(tmp_path, use)
    assert selected(place, "SELECT next_index FROM audit_head") == [(4,)]


def test_an_intent_that_is_stored_too_late_is_closed_and_gives_back(
    tmp_path: Path, place: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F6: the caller was told "no" while its commit was in doubt; the log says so (I1, I8)."""
    monkeypatch.setattr(log_module, "WATCH_INTERVAL_S", 0.02)

    async def use(log: AuditLog) -> None:
        async with wired(log) as wire:
            kept = new_uuid7()
            claims, counters = [Claim(b"once", LATER_US)], [CounterChange(b"d", 2, 9)]
            async with told_too_late(log, wire, monkeypatch):
                await log.append(intent(kept), claims=claims, counters=counters)
            await log.append(intent())  # behind what closes the exchange
            await log.append(intent(), claims=claims, counters=counters)
            assert selected(place, EXCHANGE, kept) == [(2,)]
            assert selected(place, "SELECT value FROM audit_counter") == [(2,)]
            assert log.failure is None

    using(tmp_path, use)
    ((sections,),) = selected(place, "SELECT sections FROM audit_record WHERE kind = 2")
    assert b"AUDIT_UNAVAILABLE" in sections


def test_what_ends_something_waits_for_a_busy_server(
    tmp_path: Path, place: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F13: nothing begins meanwhile, and no outcome is lost, waited for or left (I2, I8)."""
    monkeypatch.setattr(log_module, "APPEND_DEADLINE_S", 60.0)

    async def use(log: AuditLog) -> None:
        left, awaited = new_uuid7(), new_uuid7()
        await asyncio.gather(*[log.append(intent(one)) for one in (left, awaited)])
        let_go = holding_the_head(place)
        log.leave(outcome(left))
        ending = asyncio.create_task(log.append(outcome(awaited)))
        with pytest.raises(LogBusy, match="lock timeout"):
            await log.append(intent())
        let_go()
        assert (await ending).index == 4
        assert selected(place, "SELECT count(*) FROM audit_open") == [(0,)]

    using(tmp_path, use)


@pytest.mark.parametrize("held_after", ["_resolve", "_store"])
def test_what_a_batch_has_stored_is_not_called_busy_with_the_rest(
    tmp_path: Path, place: PostgresLog, monkeypatch: pytest.MonkeyPatch, held_after: str
) -> None:
    """F6, F13: a server that takes the rest no more unsays nothing that it has taken (I3).

    The rest is a record that was refused, or an outcome that is to be stored as a late one.
    """

    async def use(log: AuditLog) -> None:
        async with wired(log) as wire:
            store, seal, closed = store_of(log), log._sealer.seal, new_uuid7()
            await log.append(intent(closed), claims=[Claim(b"once", LATER_US)])
            await log.append(outcome(closed))
            with pytest.raises(ClaimTaken):  # whose statement is prepared from here on
                await log.append(intent(), claims=[Claim(b"once", LATER_US)])
            step, let_go = getattr(store, held_after), list[Callable[[], None]]()

            async def and_hold(*values: object) -> object:
                found = await step(*values)
                if not let_go:
                    let_go.append(holding_the_head(place))
                return found

            async def and_lose(link: PostgresLink, sql: str, *values: object) -> list[object]:
                if "audit_append_singly" in sql and held_after == "_resolve" and not wire.cuts:
                    wire.cut = Cut.AFTER
                return await fetch(link, sql, *values)

            fetch = PostgresLink.fetch
            monkeypatch.setattr(PostgresLink, "fetch", and_lose)
            monkeypatch.setattr(store, held_after, and_hold)
            refused = Append(seal(intent()), [Claim(b"once", LATER_US)])
            rest = refused if held_after == "_resolve" else Append(seal(outcome(closed)))
            try:
                answers = await store.append([Append(seal(intent())), rest])
            finally:
                let_go[0]()
            assert [type(one) for one in answers] == [Position, LogBusy]

    using(tmp_path, use)
    assert selected(place, "SELECT next_index FROM audit_head") == [(5,)]


def test_a_rolled_back_server_freezes_the_log(tmp_path: Path, place: PostgresLog) -> None:
    """F10: whoever knows of a record that the server has lost appends no more (I5)."""

    async def use(log: AuditLog) -> None:
        for _ in range(3):
            await log.append(intent())
        # What a failover to a standby that lags behind comes to.
        tampered(
            place,
            "DELETE FROM audit_record WHERE leaf_index = 3",
        )
        tampered(
            place,
            "DELETE FROM audit_recent WHERE leaf_index = 3",
        )
        tampered(place, "UPDATE audit_head SET next_index = 3")
        selected(place, "SELECT pg_terminate_backend(?)", store_of(log)._backend[0])
        with pytest.raises(LogFrozen, match="lost the record 3"):
            await log.append(intent())
        assert isinstance(log.failure, LogFrozen)

    using(tmp_path, use)
    assert selected(place, "SELECT state, next_index FROM audit_head") == [("frozen", 3)]


async def eventually(act: Callable[[], Awaitable[Position]]) -> Position:
    """Try again and again, as callers do who get 503."""
    while True:
        try:
            return await act()
        except LogBusy:
            await asyncio.sleep(0.05)


def test_a_server_that_crashes_under_load_is_waited_for(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F9: busy while it is away, no restart once it is back, nothing lost, no gap (I3, I4, I10).

    An outcome that was left while it was away is stored once it is back (I8).
    """
    monkeypatch.setattr(postgres_module, "RETRY_S", 0.05)
    use_postgres(tmp_path, postgres.new_database())
    acknowledged: dict[int, bytes] = {}
    left = new_uuid7()

    async def write(log: AuditLog, stop: asyncio.Event) -> None:
        while not stop.is_set():
            place = await eventually(lambda: log.append(intent()))
            acknowledged[place.index] = place.leaf_hash

    async def use(log: AuditLog) -> None:
        stop = asyncio.Event()
        writers = [asyncio.create_task(write(log, stop)) for _ in range(8)]
        await eventually(lambda: log.append(intent(left)))
        await asyncio.to_thread(postgres.stop, "immediate")
        with pytest.raises(LogUnavailable):
            await log.is_claimed(b"anything")
        log.leave(outcome(left))
        await asyncio.to_thread(postgres.start)
        await eventually(lambda: log.append(intent()))
        assert postgres.process is not None
        os.kill(newest_backend(place_of_log(log)), signal.SIGKILL)  # crashes and recovers by itself
        await eventually(lambda: log.append(intent()))
        stop.set()
        await asyncio.gather(*writers)
        assert log.failure is None

    using(tmp_path, use)
    rows = selected(place_in(tmp_path), "SELECT leaf_index, leaf_hash FROM audit_record")
    stored = dict(rows)
    assert sorted(stored) == list(range(len(stored)))
    assert acknowledged.items() <= stored.items()
    assert selected(place_in(tmp_path), EXCHANGE, left) == [(2,)]


def place_of_log(log: AuditLog) -> PostgresLog:
    """Return the place of a log in PostgreSQL."""
    assert isinstance(log.path, PostgresLog)
    return log.path


def newest_backend(place: PostgresLog) -> int:
    """Return the process of the session that asks."""
    with closing(open_session(place)) as session:
        pid: int = session.execute(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND application_name = 'concordat' LIMIT 1"
        ).fetchone()[0]
        return pid


def test_two_processes_share_one_log(tmp_path: Path, place: PostgresLog) -> None:
    """Their indices interleave without a gap, and one's claim is the other's (I4)."""

    async def run() -> None:
        logs = [opened(tmp_path, name) for name in ("one", "other")]
        for log in logs:
            await log.start()
        try:
            answers = await asyncio.gather(
                *[logs[n % 2].append(intent(), claims=[Claim(b"%d" % (n // 2), LATER_US)])
                  for n in range(40)],
                return_exceptions=True,
            )  # fmt: skip
            places = [one.index for one in answers if isinstance(one, Position)]
            assert sorted(places) == list(range(1, 21))
            assert sum(isinstance(one, ClaimTaken) for one in answers) == 20
            assert await logs[0].is_claimed(b"7")
        finally:
            for log in logs:
                await log.stop()

    asyncio.run(run())
