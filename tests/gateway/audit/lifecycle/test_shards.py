"""Ending a shard and beginning the next: what is carried over, and the way out of a frozen log."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from gateway.audit.disk.doubt import is_in_doubt, set_doubt
from gateway.audit.disk.locks import FileLock
from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.freeze import frozen_reason
from gateway.audit.holds import adding, new_hold, read_holds
from gateway.audit.lifecycle.opened import open_log
from gateway.audit.lifecycle.shards import (
    LOCK_NAME,
    Retired,
    ShardBusy,
    _next_name,
    _seal,
    list_shards,
    retire,
)
from gateway.audit.log import AuditLog
from gateway.audit.note import open_checkpoint
from gateway.audit.place import PostgresLog
from gateway.audit.privacy.erasable import Selection
from gateway.audit.privacy.erase import erase
from gateway.audit.privacy.keyed import core_of
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.publishing.published import published_head
from gateway.audit.reading.reader import find_log, find_shards, shard_name, snapshot, verify_log
from gateway.audit.seal import Sealer
from gateway.audit.search.access import LogReader
from gateway.audit.store import (
    Claim,
    ClaimTaken,
    CounterChange,
    CounterExceeded,
    LogFrozen,
    LogUnavailable,
)
from gateway.audit.tree import read_sealed_head, write_sealed_head
from gateway.clock import new_uuid7, system_time_us
from tests.gateway.audit.erasing import ANN, BOB, ORDER, with_exchanges
from tests.gateway.audit.records import (
    ORIGIN,
    each_store,
    filled,
    home_of,
    intent,
    keys_in,
    opened,
    record,
    selected,
    tampered,
    using,
)

HOST = ORIGIN.partition("/")[0]
LATER_US = system_time_us() + 3_600_000_000
ACTOR = {"principal": "an.operator", "via": "console"}


def retired(
    directory: Path, reason: str = "the year has ended", *, without_holds: bool = False
) -> Retired:
    """End the newest shard of a test's log."""
    return asyncio.run(
        retire(
            home_of(directory),
            host=HOST,
            keys=keys_in(directory),
            reason=reason,
            actor=ACTOR,
            without_holds=without_holds,
        )
    )


def newest(directory: Path) -> AuditLog:
    """Open the newest shard."""
    origin = f"{HOST}/audit/{shard_name(find_log(home_of(directory)))}"
    return open_log(home_of(directory), origin=origin, instance="t", keys=keys_in(directory))


def first_record(directory: Path) -> dict[str, object]:
    """Return the first record of the newest shard."""
    path = find_log(home_of(directory))
    ((identifier,),) = selected(path, "SELECT record_id FROM audit_record WHERE leaf_index = 0")
    found = LogReader(directory=home_of(directory), keys=keys_in(directory)).show(identifier)
    assert found is not None
    return found


@each_store
def test_a_shard_ends_sealed_and_the_next_begins_with_its_checkpoint(tmp_path: Path) -> None:
    """The last record is `log.seal` under the last checkpoint, which `log.open` carries (I5)."""
    old = filled(tmp_path, 3)
    ended = retired(tmp_path)
    assert ended.contradiction is None
    assert ended.origin == ORIGIN
    new = find_log(home_of(tmp_path))
    assert [old, new] == find_shards(home_of(tmp_path))
    rows = selected(old, "SELECT kind FROM audit_record ORDER BY leaf_index")
    assert rows[-1] == (KIND_CODES[Kind.SEAL],)
    assert selected(old, "SELECT state, next_index FROM audit_head") == [("sealed", 8)]
    verifier = keys_in(tmp_path).signer(ORIGIN).verifier
    opening = first_record(tmp_path)
    head = open_checkpoint(str(opening["previous"]), verifier)
    assert (head, head.size) == (ended.head, 8)
    assert opening["reason"] == "the year has ended"
    assert opening["sections"] == {"actor": ACTOR}
    assert not (tmp_path / "audit" / "next").exists()


@each_store
def test_a_death_before_the_first_head_of_a_shard_is_made_good(tmp_path: Path) -> None:
    """F18: signed and stored, but not published: the next start goes on, and publishes it (I5)."""
    filled(tmp_path, 3)
    ended = retired(tmp_path)
    audit, path = tmp_path / "audit", find_log(home_of(tmp_path))
    head_before = read_sealed_head(audit)
    assert head_before is not None
    grow(tmp_path, ended.next_origin)
    write_sealed_head(audit, head_before)  # as whoever dies after the commit leaves it
    if isinstance(path, PostgresLog):
        tampered(path, "DELETE FROM audit_host")

    assert published_head(path) is None
    vkey = keys_in(tmp_path).signer(ended.next_origin).verifier.vkey()
    assert verify_log(path, vkey=vkey).ok
    asyncio.run(newest(tmp_path).stop())
    grow(tmp_path, ended.next_origin)
    assert published_head(path) is not None
    assert (read_sealed_head(audit) or "").startswith(f"{ended.next_origin}\n")


def grow(directory: Path, origin: str) -> None:
    """Integrate and publish what a shard holds."""
    integrator = Integrator(home_of(directory), origin=origin, keys=keys_in(directory))
    while integrator.step():
        pass
    integrator.close()


@each_store
def test_both_shards_verify_and_each_has_its_published_head(tmp_path: Path) -> None:
    """The sealed head is the newest shard's from its first checkpoint on; both verify (I5)."""
    old = filled(tmp_path, 3)
    ended = retired(tmp_path)
    new = find_log(home_of(tmp_path))
    vkeys = {
        path: keys_in(tmp_path).signer(origin).verifier.vkey()
        for path, origin in ((old, ORIGIN), (new, ended.next_origin))
    }
    for path, vkey in vkeys.items():
        assert verify_log(path, vkey=vkey, keys=keys_in(tmp_path)).ok

    async def use() -> None:
        log = newest(tmp_path)
        await log.start()
        assert (await log.append(intent())).index == 1
        await log.stop()

    asyncio.run(use())
    grown = retired(tmp_path, "again")  # integrates the second, and seals it in its turn
    assert (read_sealed_head(new.parent) or "").startswith(f"{ended.next_origin}\n")
    assert grown.origin == ended.next_origin
    for path, vkey in vkeys.items():
        report = verify_log(path, vkey=vkey, keys=keys_in(tmp_path))
        assert report.ok, report.faults
        head = published_head(path)
        assert head is not None
        assert head.size == report.size
    assert [one.state for one in list_shards(home_of(tmp_path))] == ["sealed", "sealed", "open"]


@each_store
def test_a_new_shard_makes_nothing_possible_again(tmp_path: Path) -> None:
    """One-time keys stay used and counts go on (I4)."""

    async def before(log: AuditLog) -> None:
        await log.append(
            intent(), claims=[Claim(b"form", LATER_US)], counters=[CounterChange(b"day", 8, 10)]
        )

    using(tmp_path, before)
    retired(tmp_path)

    async def after() -> None:
        log = newest(tmp_path)
        await log.start()
        with pytest.raises(ClaimTaken):
            await log.append(intent(), claims=[Claim(b"form", LATER_US)])
        with pytest.raises(CounterExceeded):
            await log.append(intent(), counters=[CounterChange(b"day", 3, 10)])
        await log.stop()

    asyncio.run(after())


@each_store
def test_legal_holds_and_erasure_reach_over_the_shards(tmp_path: Path) -> None:
    """What is held stays held in a new shard; an ended one is erased from the new (I9)."""
    ended, (about_ann, held) = with_exchanges(tmp_path, [ANN], [BOB])
    keys, hold = keys_in(tmp_path), new_hold(held, "LITIGATION")

    async def before(log: AuditLog) -> None:
        change = adding(hold, keys.state_key())
        await log.append(record(Kind.CHANGE, None, core={"verb": "hold"}), counters=change)

    using(tmp_path, before)
    retired(tmp_path)

    async def after() -> list[int]:
        log = newest(tmp_path)
        await log.start()
        try:
            selections = [Selection(exchange=one) for one in (about_ann, held)]
            return [
                (await erase(log, keys, one, ORDER, agreements=(), shard=ended)).records
                for one in selections
            ]
        finally:
            await log.stop()

    assert asyncio.run(after()) == [2, 0]
    with snapshot(find_log(home_of(tmp_path))) as db:
        assert read_holds(db, keys.state_key()).holds == (hold,)
        rows = "SELECT sections FROM audit_record WHERE kind = ?"
        ((told,),) = db.execute(rows, (KIND_CODES[Kind.ERASURE],)).fetchall()
    assert core_of(told)["shard"] == shard_name(ended)
    left = selected(ended, "SELECT leaf_index FROM audit_key ORDER BY leaf_index")
    assert left == [(3,), (4,), (6,)]  # those of the held exchange, and of who ended the shard
    assert verify_log(ended, keys=keys).ok


@each_store
def test_open_exchanges_are_closed_before_a_shard_ends(tmp_path: Path) -> None:
    """What a dead process left open gets its terminal record in the shard it began in (I4, I8)."""

    async def use(log: AuditLog) -> None:
        await log.append(intent())

    using(tmp_path, use)
    old = find_log(home_of(tmp_path))
    retired(tmp_path)
    kinds = [row[0] for row in selected(old, "SELECT kind FROM audit_record ORDER BY leaf_index")]
    expected = (Kind.OPEN, Kind.INTENT, Kind.INDETERMINATE, Kind.SEAL)
    assert kinds == [KIND_CODES[kind] for kind in expected]
    assert selected(old, "SELECT count(*) FROM audit_open") == [(0,)]


@each_store
def test_a_shard_in_use_is_not_ended(tmp_path: Path) -> None:
    """While any process has the log open, nothing is changed."""
    path = filled(tmp_path, 1)

    async def use(log: AuditLog) -> None:
        with pytest.raises(ShardBusy, match="stop the gateway"):
            await retire(
                home_of(tmp_path), host=HOST, keys=keys_in(tmp_path), reason="r", actor=ACTOR
            )
        await log.append(intent())

    using(tmp_path, use)
    assert selected(path, "SELECT state FROM audit_head") == [("open",)]


@each_store
def test_of_two_that_end_a_shard_at_once_one_is_refused(tmp_path: Path) -> None:
    """I3: the second would make the next shard anew, over what was appended to it since."""
    path = filled(tmp_path, 1)
    lock = FileLock(path.parent / LOCK_NAME)
    with lock, pytest.raises(ShardBusy, match="another command"):
        retired(tmp_path)
    lock.close()
    assert selected(path, "SELECT state FROM audit_head") == [("open",)]
    assert retired(tmp_path).contradiction is None


@each_store
def test_what_was_cut_short_is_carried_on(tmp_path: Path) -> None:
    """A shard that was sealed and got no successor takes no records; the next call makes one.

    It is sealed once only, and a half-made successor is thrown away.
    """
    old = filled(tmp_path, 2)
    _seal(old, Sealer(ORIGIN, keys_in(tmp_path)), reason="first", actor=ACTOR)
    (old.parent / "next").mkdir()
    (old.parent / "next" / "audit-2026-2.db").write_bytes(b"half")
    with pytest.raises(LogFrozen, match="is sealed"):
        opened(tmp_path)
    ended = retired(tmp_path, "second")
    assert ended.head is not None
    assert ended.head.size == 6
    seals = selected(old, "SELECT count(*) FROM audit_record WHERE kind = ?", KIND_CODES[Kind.SEAL])
    assert seals == [(1,)]
    assert frozen_reason(old.parent) is None


def test_an_error_after_the_seal_is_told_by_the_next_shard(tmp_path: Path) -> None:
    """F3: a sealed shard takes no record of its recovery; the next one's first has it (I5)."""
    old = filled(tmp_path, 2)
    _seal(old, Sealer(ORIGIN, keys_in(tmp_path)), reason="first", actor=ACTOR)
    set_doubt(old.parent)
    ended = retired(tmp_path, "second")
    assert ended.head is not None
    assert ended.head.size == 6
    assert first_record(tmp_path)["incident"] == "io_error"
    assert not is_in_doubt(old.parent)


def test_a_log_that_nobody_has_opened_here_can_be_ended(tmp_path: Path) -> None:
    """A copy without the folder of who has it open has nobody who has."""
    path = filled(tmp_path, 1)
    shutil.rmtree(path.parent / "instances")
    assert retired(tmp_path).contradiction is None


@each_store
def test_without_any_log_there_is_nothing_to_end(tmp_path: Path) -> None:
    """No shard and no sealed head: the gateway has never run."""
    with pytest.raises(LogUnavailable, match="no audit log"):
        retired(tmp_path)


def test_shards_are_named_after_the_year_they_begin_in() -> None:
    """A second one in a year has a number; a clock that fell behind makes no older name."""
    assert _next_name("1999") > "2025"
    assert _next_name("9998") == "9998-2"
    assert _next_name("9998-9") == "9998-10"


@each_store
def test_an_exchange_of_an_older_shard_is_still_shown(tmp_path: Path) -> None:
    """Whoever has an exchange's id finds it, whichever shard it is in."""
    exchange = new_uuid7()

    async def use(log: AuditLog) -> None:
        await log.append(intent(exchange))

    using(tmp_path, use)
    retired(tmp_path)
    reader = LogReader(directory=home_of(tmp_path), keys=keys_in(tmp_path))
    found = reader.show(exchange)
    assert found is not None
    assert found["agreement"] == "DSA-2026-0003"
    assert reader.show(new_uuid7()) is None
