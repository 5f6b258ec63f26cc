"""The way out of a frozen log: the next shard, and what it carries over."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from gateway.audit.entry import Kind
from gateway.audit.holds import adding, new_hold
from gateway.audit.lifecycle.shards import (
    HoldsLost,
)
from gateway.audit.log import AuditLog
from gateway.audit.place import Place
from gateway.audit.reading.reader import find_log, find_shards, verify_log
from gateway.audit.store import (
    Claim,
    CounterChange,
    LogFrozen,
    LogUnavailable,
)
from gateway.audit.tree import read_sealed_head
from tests.gateway.audit.lifecycle.test_shards import (
    LATER_US,
    first_record,
    grow,
    newest,
    retired,
)
from tests.gateway.audit.records import (
    each_store,
    filled,
    home_of,
    integrated,
    intent,
    keys_in,
    lose,
    opened,
    record,
    selected,
    tampered,
    using,
)


def test_a_frozen_log_is_left_and_the_next_shard_says_why(tmp_path: Path) -> None:
    """F11: after a rollback the next shard carries the head that proves the loss (I5)."""
    old = filled(tmp_path, 3)
    backup = tmp_path / "backup.db"
    shutil.copy(old, backup)

    async def use(log: AuditLog) -> None:
        await log.append(intent())

    using(tmp_path, use)
    integrated(tmp_path)
    proof = read_sealed_head(old.parent)
    shutil.copy(backup, old)
    with pytest.raises(LogFrozen):
        opened(tmp_path)
    before = old.read_bytes()
    ended = retired(tmp_path, "records were lost in a restore")
    assert ended.contradiction is not None
    assert "rolled back" in ended.contradiction
    assert ended.head is not None
    assert ended.head.size == 8
    opening = first_record(tmp_path)
    assert opening["previous"] == proof
    assert opening["contradiction"] == ended.contradiction
    assert old.read_bytes() == before
    asyncio.run(newest(tmp_path).stop())


@pytest.mark.parametrize("lost", ["the file", "the head", "the database", "both"])
def test_there_is_a_way_out_of_every_loss(tmp_path: Path, lost: str) -> None:
    """F4, F11: whatever is unreadable or gone, a new shard begins with what is still known.

    A head that nobody can trust is kept aside.
    """
    old = filled(tmp_path, 3)
    if lost == "the file":
        old.unlink()
    if lost in ("the database", "both"):
        old.write_bytes(b"no database" * 1000)
    if lost in ("the head", "both"):
        (old.parent / "sealed-head").write_text("forged")
    ended = retired(tmp_path, "a disk died")
    assert ended.contradiction is not None
    assert (ended.head is None) == (lost == "both")
    kept = list(old.parent.glob("sealed-head-untrusted-*"))
    assert len(kept) == (lost in ("the head", "both"))
    asyncio.run(newest(tmp_path).stop())


@each_store
def test_a_log_that_was_lost_whole_is_followed_by_a_shard_of_another_name(tmp_path: Path) -> None:
    """F11: two logs of one name would contradict each other; what was lost is told for ever (I5).

    The folder need not be there: the gateway may not have been started since.
    """
    filled(tmp_path, 2)
    lose(tmp_path)
    ended = retired(tmp_path, "the disk died")
    assert ended.contradiction == "the log is gone, though this gateway has had one"
    assert (ended.head, ended.next_origin) == (None, f"{ended.origin}-2")
    assert first_record(tmp_path)["contradiction"] == ended.contradiction
    asyncio.run(newest(tmp_path).stop())
    assert verify_log(find_log(home_of(tmp_path)), keys=keys_in(tmp_path)).ok
    assert keys_in(tmp_path).begun() == ended.next_origin.rpartition("/")[2]


def test_a_name_that_cannot_be_read_is_no_name(tmp_path: Path) -> None:
    """Nothing is begun under a name that is guessed."""
    filled(tmp_path, 1)
    lose(tmp_path)
    keys_in(tmp_path).note_begun("spoilt")
    with pytest.raises(LogUnavailable, match="what it was called cannot be read"):
        retired(tmp_path)


@each_store
def test_a_shard_without_a_head_leaves_that_of_the_one_before(tmp_path: Path) -> None:
    """I5: it is no forgery, and the next shard carries it, so that the chain has no gap."""
    filled(tmp_path, 1)
    retired(tmp_path)
    audit, path = tmp_path / "audit", find_log(home_of(tmp_path))
    head = read_sealed_head(audit)
    assert head is not None
    tampered(path, "UPDATE audit_head SET state = 'frozen'")
    ended = retired(tmp_path, "a disk died")
    assert (ended.contradiction, ended.head) == ("the log was frozen earlier", None)
    assert list(audit.glob("sealed-head-untrusted-*")) == []
    assert read_sealed_head(audit) == first_record(tmp_path)["previous"] == head
    asyncio.run(newest(tmp_path).stop())
    grow(tmp_path, ended.next_origin)
    assert verify_log(find_log(home_of(tmp_path)), keys=keys_in(tmp_path)).ok


def frozen_with_a_hold(directory: Path) -> Place:
    """Make a frozen log in which something is held, counted and used up."""

    async def use(log: AuditLog) -> None:
        change = adding(new_hold("DSA-2026-0003", "LITIGATION"), keys_in(directory).state_key())
        await log.append(record(Kind.CHANGE, None, core={"verb": "hold"}), counters=change)
        await log.append(
            intent(), claims=[Claim(b"form", LATER_US)], counters=[CounterChange(b"day", 8, 10)]
        )

    using(directory, use)
    path = find_log(home_of(directory))
    tampered(path, "UPDATE audit_head SET state = 'frozen'")
    return path


@each_store
def test_what_one_table_lost_loses_no_other(tmp_path: Path) -> None:
    """F4: legal holds and one-time keys of a frozen shard are carried past a broken table (I9)."""
    tampered(frozen_with_a_hold(tmp_path), "DROP TABLE audit_counter")
    ended = retired(tmp_path, "a disk died")
    assert ended.lost == ("audit_counter",)
    assert first_record(tmp_path)["lost"] == ["audit_counter"]
    new = find_log(home_of(tmp_path))
    assert selected(new, "SELECT count(*) FROM audit_hold") == [(1,)]
    assert selected(new, "SELECT key FROM audit_claim") == [(b"form",)]


@each_store
def test_no_shard_goes_on_without_its_legal_holds_unless_told_to(tmp_path: Path) -> None:
    """I9: what was held could expire in the next shard; whoever wants that says so, on record."""
    path = frozen_with_a_hold(tmp_path)
    tampered(path, "ALTER TABLE audit_hold DROP COLUMN since")
    with pytest.raises(HoldsLost):
        retired(tmp_path, "a disk died")
    assert find_shards(home_of(tmp_path)) == [path]
    assert not (path.parent / "next").exists()
    assert retired(tmp_path, "a disk died", without_holds=True).lost == ("audit_hold",)
    assert first_record(tmp_path)["lost"] == ["audit_hold"]
