"""Ending a shard in PostgreSQL: hosts that were away, the dead, rights, and what is lost."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.freeze import frozen_reason
from gateway.audit.lifecycle import postgres_shards
from gateway.audit.lifecycle.opened import open_even_frozen, open_log
from gateway.audit.lifecycle.postgres_shards import PostgresDriver
from gateway.audit.lifecycle.shards import ShardBusy, list_shards, retire
from gateway.audit.log import AuditLog
from gateway.audit.merkle import EMPTY_ROOT
from gateway.audit.place import PostgresHome, PostgresLog, place_of
from gateway.audit.postgresql.schema import rights_for
from gateway.audit.postgresql.session import open_session, quoted
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.reading.reader import find_log, verify_log
from gateway.audit.seal import Sealed
from gateway.audit.store import LogFrozen, LogUnavailable
from gateway.audit.tree import read_sealed_head
from tests.gateway.audit.lifecycle.test_shards import (
    ACTOR,
    HOST,
    first_record,
    grow,
    newest,
    retired,
)
from tests.gateway.audit.records import (
    ORIGIN,
    filled,
    home_of,
    integrated,
    intent,
    keys_in,
    selected,
    tampered,
    using,
)

ROLE = "concordat_gateway_of_shards"


def other_host(directory: Path, name: str) -> PostgresHome:
    """Return the log of a test's directory as another host has it, with the head of this moment."""
    home = home_of(directory)
    assert isinstance(home, PostgresHome)
    other = PostgresHome(home.url, directory / name)
    shutil.copytree(home.directory, other.directory)
    return other


def start(directory: Path, home: PostgresHome, origin: str) -> int:
    """Start a gateway's log on a host, append to it, and return the record's index."""

    async def run() -> int:
        log = open_log(home, origin=origin, instance="t", keys=keys_in(directory))
        await log.start()
        place = await log.append(intent())
        await log.stop()
        return place.index

    return asyncio.run(run())


def test_a_host_that_was_away_goes_on_in_the_next_shard(tmp_path: Path, place: PostgresLog) -> None:
    """Its head is older than the last of the shard that ended; then it has one of the new (I5)."""
    filled(tmp_path, 1)
    other = other_host(tmp_path, "other")

    async def use(log: AuditLog) -> None:
        await log.append(intent())

    using(tmp_path, use)
    ended = retired(tmp_path)
    before = read_sealed_head(other.directory)
    assert before is not None
    assert before != read_sealed_head(place.directory)
    assert start(tmp_path, other, ended.next_origin) == 1
    grow(tmp_path, ended.next_origin)  # by the host that was there
    keys = keys_in(tmp_path)
    assert verify_log(find_log(other), keys=keys).ok
    with closing(Integrator(other, origin=ended.next_origin, keys=keys)) as integrator:
        integrator.step()
    assert (read_sealed_head(other.directory) or "").startswith(f"{ended.next_origin}\n")
    assert start(tmp_path, other, ended.next_origin) == 2
    assert verify_log(find_log(other), keys=keys).ok
    # Whoever comes back with the old head although it has sealed a new one was taken back in time.
    (other.directory / "sealed-head").write_text(before)
    with pytest.raises(LogFrozen, match="sealed head is missing"):
        start(tmp_path, other, ended.next_origin)


def test_a_host_whose_head_the_ended_shard_contradicts_is_frozen(
    tmp_path: Path, place: PostgresLog
) -> None:
    """F10: a shard that was ended after a rollback does not fit what another host saw (I5)."""
    filled(tmp_path, 2)
    integrated(tmp_path)
    other = other_host(tmp_path, "other")
    for statement in (
        "DELETE FROM audit_record WHERE leaf_index > 0",
        "DELETE FROM audit_recent WHERE leaf_index > 0",
        "DELETE FROM audit_key",
        "DELETE FROM audit_tile",
        "DELETE FROM audit_checkpoint",
        "DELETE FROM audit_host",
        "UPDATE audit_head SET next_index = 1",
    ):
        tampered(place, statement)
    tampered(place, "UPDATE audit_tree SET size = 0, root = ?, published_size = 0", EMPTY_ROOT)
    (place.directory / "sealed-head").unlink()
    ended = retired(tmp_path)
    assert ended.contradiction is None
    with pytest.raises(LogFrozen, match="rolled back"):
        start(tmp_path, other, ended.next_origin)
    assert frozen_reason(other.directory) is not None


def test_the_dead_are_waited_for_and_their_exchanges_closed(
    tmp_path: Path, place: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F9: a process that was killed has its row still; that must be seen to stand still (I8)."""
    monkeypatch.setattr(postgres_shards, "SILENCE_S_MAX", 0.5)
    monkeypatch.setattr(postgres_shards, "BEAT_S", 0.1)

    async def use(log: AuditLog) -> None:
        await log.append(intent())

    using(tmp_path, use)
    tampered(place, "INSERT INTO audit_instance SELECT instance, 7 FROM audit_open")
    retired(tmp_path)
    kinds = [row[0] for row in selected(place, "SELECT kind FROM audit_record ORDER BY leaf_index")]
    expected = (Kind.OPEN, Kind.INTENT, Kind.INDETERMINATE, Kind.SEAL)
    assert kinds == [KIND_CODES[kind] for kind in expected]
    assert [one.state for one in list_shards(home_of(tmp_path))] == ["sealed", "open"]


def test_who_may_append_may_go_on_and_make_no_shard(tmp_path: Path, place: PostgresLog) -> None:
    """The gateway's role has the same rights on the next schema, and cannot end one itself."""
    owner = open_session(place)
    owner.execute(f"DROP ROLE IF EXISTS {ROLE}")
    owner.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'synthetic'")
    owner.raw.execute(rights_for(place, ROLE))
    netloc = f"{ROLE}:synthetic@{urlsplit(place.url).netloc.rpartition('@')[2]}"
    url = urlunsplit(urlsplit(place.url)._replace(netloc=netloc))
    home = PostgresHome(url, place.directory)
    try:
        with pytest.raises(LogUnavailable, match="may not make"):
            asyncio.run(retire(home, host=HOST, keys=keys_in(tmp_path), reason="r", actor=ACTOR))
        assert selected(place, "SELECT state FROM audit_head") == [("open",)]
        ended = retired(tmp_path)
        assert start(tmp_path, home, ended.next_origin) == 1
    finally:
        owner.raw.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
        owner.close()


def test_a_gateway_that_only_says_it_is_frozen_has_the_log_open(
    tmp_path: Path, place: PostgresLog
) -> None:
    """It counts in no table, and is stopped first all the same: it would go on to refuse all."""
    tampered(place, "UPDATE audit_head SET state = 'frozen'")

    async def run() -> None:
        keys = keys_in(tmp_path)
        log = open_even_frozen(home_of(tmp_path), origin=ORIGIN, instance="t", keys=keys)
        assert isinstance(log.failure, LogFrozen)
        with pytest.raises(ShardBusy):
            await retire(home_of(tmp_path), host=HOST, keys=keys, reason="r", actor=ACTOR)
        await log.stop()

    asyncio.run(run())
    assert retired(tmp_path).contradiction == "the log was frozen earlier"


@pytest.mark.parametrize("lost", ["the schema", "a table", "a record"])
def test_there_is_a_way_out_of_every_loss(tmp_path: Path, place: PostgresLog, lost: str) -> None:
    """F10, F11: whatever is gone, a new shard begins with what is still known, and says so (I5)."""
    filled(tmp_path, 2)
    head = read_sealed_head(place.directory)
    damage = {
        "the schema": f"DROP SCHEMA {quoted(place.schema)} CASCADE",
        "a table": "DROP TABLE audit_tree",
        "a record": "DELETE FROM audit_record WHERE leaf_index = 2",
    }
    tampered(place, damage[lost])
    ended = retired(tmp_path, "a disk died")
    assert ended.contradiction is not None
    assert first_record(tmp_path)["previous"] == head
    assert bool(ended.lost) == (lost == "the schema")
    asyncio.run(newest(tmp_path).stop())
    grow(tmp_path, ended.next_origin)
    assert verify_log(find_log(home_of(tmp_path)), keys=keys_in(tmp_path)).ok


def test_a_server_that_does_not_answer_changes_nothing(tmp_path: Path, place: PostgresLog) -> None:
    """What cannot be told now is no contradiction: nothing is begun, and nothing given up."""
    away = replace(place, url="postgresql://u:secret@127.0.0.1:1/none")
    verifier = keys_in(tmp_path).signer(ORIGIN).verifier
    with pytest.raises(LogUnavailable) as failed:
        PostgresDriver(away).contradiction(None, verifier)
    with pytest.raises(LogUnavailable):
        PostgresDriver(away).is_in_use()
    assert "secret" not in str(failed.value)


def test_of_two_that_end_a_shard_one_begins_the_next(tmp_path: Path, place: PostgresLog) -> None:
    """The second finds it there, and leaves it as it is."""
    ended = retired(tmp_path)

    def first(lost: Sequence[str]) -> Sealed:
        pytest.fail(f"there is one already: {lost}")

    with pytest.raises(LogUnavailable, match="begun meanwhile"):
        PostgresDriver(place).begin(ended.next_origin, first, frozen=False)
    following = place_of(home_of(tmp_path), ended.next_origin.rpartition("/")[2])
    assert selected(following, "SELECT next_index FROM audit_head") == [(1,)]
