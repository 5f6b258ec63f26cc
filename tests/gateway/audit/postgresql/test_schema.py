"""A shard's schema: made once, guarded, partitioned ahead of need, used with few rights."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from gateway.audit.entry import Kind
from gateway.audit.holds import adding, new_hold, releasing
from gateway.audit.lifecycle.opened import open_log
from gateway.audit.lifecycle.sweep import Sweeper
from gateway.audit.log import AuditLog
from gateway.audit.merkle import EMPTY_ROOT
from gateway.audit.place import PostgresFailed, PostgresHome, PostgresLog
from gateway.audit.postgresql.schema import SCHEMA_VERSION, postgres_ddl, provision, rights_for
from gateway.audit.postgresql.session import open_session, quoted
from gateway.audit.privacy.erasable import Selection
from gateway.audit.privacy.erase import Order, erase
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.reading.reader import find_shards, shard_name, verify_log
from gateway.audit.seal import Sealer
from gateway.audit.store import Change, Claim, CounterChange, LogUnavailable, PeopleChange
from gateway.clock import new_uuid7
from tests.gateway.audit.records import (
    ORIGIN,
    filled,
    home_of,
    integrated,
    intent,
    keys_in,
    outcome,
    provisioned,
    record,
    selected,
    using,
)  # fmt: skip

ROLE = "concordat_gateway_of_tests"


@pytest.fixture
def place(empty_place: PostgresLog) -> PostgresLog:
    """Return a place for the log of `tmp_path`, where nothing is yet."""
    return empty_place


def test_of_many_that_make_it_one_does(tmp_path: Path, place: PostgresLog) -> None:
    """Processes that start together share one log with one first record (I4)."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: provisioned(tmp_path), range(4)))

    assert selected(place, "SELECT leaf_index, kind FROM audit_record") == [(0, 9)]
    assert [shard_name(it) for it in find_shards(home_of(tmp_path))] == ["2026"]


def test_a_schema_of_another_log_is_not_opened(tmp_path: Path, place: PostgresLog) -> None:
    """Two origins never share a schema."""
    provisioned(tmp_path)
    with pytest.raises(LogUnavailable, match="belongs to"):
        open_log(
            home_of(tmp_path), origin="other.example/audit/2026", instance="x",
            keys=keys_in(tmp_path),
        )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_record SET t = 0",
        "DELETE FROM audit_record",
        "TRUNCATE audit_record",
        "UPDATE audit_tile SET root = ''",
        "DELETE FROM audit_tile",
        "TRUNCATE audit_tile",
    ],
)
def test_what_is_stored_is_never_changed(tmp_path: Path, place: PostgresLog, change: str) -> None:
    """Even the owner of the tables is refused, as long as the guards stand (I3)."""
    filled(tmp_path, 130)
    session = open_session(place)
    with pytest.raises(PostgresFailed, match="never changed"):
        session.execute(change)
    session.close()


def test_an_older_schema_is_brought_up_to_date(tmp_path: Path, place: PostgresLog) -> None:
    """A log that was made before holds were kept in PostgreSQL gets their tables; records stay."""
    filled(tmp_path, 1)
    session = open_session(place)
    session.execute("DROP TABLE audit_hold, audit_hold_version, audit_host")
    session.execute("DROP FUNCTION audit_erase(bigint[], bytea[], bytea[])")
    session.execute(
        "CREATE FUNCTION audit_erase(bigint[], bytea[]) RETURNS bigint LANGUAGE sql AS 'SELECT 0'"
    )
    session.execute("UPDATE audit_schema SET version = 1")
    session.close()

    using(tmp_path, _append_one)
    assert selected(place, "SELECT version FROM audit_schema") == [(SCHEMA_VERSION,)]
    assert selected(place, "SELECT version FROM audit_hold_version") == [(0,)]
    erasing = "SELECT audit_erase(ARRAY[1], ARRAY[NULL]::bytea[])"
    assert selected(place, erasing) == [(1,)]
    assert verify_log(place, keys=keys_in(tmp_path)).ok


@pytest.mark.parametrize("role", [ROLE, "gateway-2 of ours"])
def test_who_had_a_gateways_rights_has_them_on_what_is_new(
    tmp_path: Path, place: PostgresLog, role: str
) -> None:
    """An owner who brings a log up to date need not remember whom the rights were given to.

    They may have been given by hand, to a role of any name.
    """
    provisioned(tmp_path)
    owner, name = open_session(place), quoted(role)
    owner.execute(f"DROP ROLE IF EXISTS {name}")
    owner.execute(f"CREATE ROLE {name}")
    owner.raw.execute(rights_for(place, ROLE).replace(f'"{ROLE}"', name))
    owner.execute("DROP TABLE audit_day_person")
    owner.execute("UPDATE audit_schema SET version = 2")
    using(tmp_path, _append_one)
    for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
        allowed = "SELECT has_table_privilege(?, 'audit_day_person', ?)"
        assert owner.execute(allowed, (role, right)).fetchone() == (True,), right
    owner.execute(f"DROP OWNED BY {name}")
    owner.execute(f"DROP ROLE {name}")
    owner.close()


async def _append_one(log: AuditLog) -> None:
    await log.append(intent())


def test_partitions_are_made_before_they_are_needed(tmp_path: Path, place: PostgresLog) -> None:
    """Indices run on over their borders, whoever makes them, and all of it verifies (I4, I5)."""
    opening = record(Kind.OPEN, None, core={"origin": ORIGIN})
    first = Sealer(ORIGIN, keys_in(tmp_path)).seal(opening)
    provision(place, ORIGIN, first, EMPTY_ROOT, partition_records=32)
    borders = "SELECT first FROM audit_partition ORDER BY first"
    assert selected(place, borders) == [(0,), (32,)]

    async def use(log: AuditLog) -> None:
        ids = [new_uuid7() for _ in range(40)]
        await asyncio.gather(*[log.append(intent(item)) for item in ids])  # beyond what is there
        places = await asyncio.gather(*[log.append(outcome(item)) for item in ids])
        assert sorted(one.index for one in places) == list(range(41, 81))

    using(tmp_path, use)
    integrated(tmp_path)
    assert selected(place, "SELECT max(first) >= 96 FROM audit_partition") == [(True,)]
    assert verify_log(place, keys=keys_in(tmp_path)).ok


def test_a_role_needs_few_rights(tmp_path: Path, place: PostgresLog) -> None:
    """The gateway's role can append, sign, sweep and forget keys, and change nothing else (I9)."""
    provisioned(tmp_path)
    owner = open_session(place)
    owner.execute(f"DROP ROLE IF EXISTS {ROLE}")
    owner.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'synthetic'")
    owner.raw.execute(rights_for(place, ROLE))
    netloc = f"{ROLE}:synthetic@{urlsplit(place.url).netloc.rpartition('@')[2]}"
    url = urlunsplit(urlsplit(place.url)._replace(netloc=netloc))
    home = PostgresHome(url, place.directory)
    hold, exchange = new_hold("DSA-2026-0003", "LITIGATION"), new_uuid7()

    async def use() -> None:
        log = open_log(home, origin=ORIGIN, instance="few", keys=keys_in(tmp_path))
        await log.start()
        claims = [Claim(b"old", 1)]
        people = PeopleChange(b"day", [b"person"], 1, 5, until_us=1)
        given_back = people._replace(add=-1)
        counters: list[Change] = [CounterChange(b"day", 1, 5), people, given_back]
        await log.append(intent(), claims=claims, counters=counters)
        sweeper = Sweeper(log)
        await sweeper.sweep()
        sweeper.close()
        for change in (adding(hold, keys_in(tmp_path).state_key()), releasing(hold)):
            told = record(Kind.CHANGE, None, core={"verb": "hold"})
            await log.append(told, counters=change)
        await log.append(intent(exchange))
        selection, order = Selection(exchange=exchange), Order(reason="RIGHT_TO_ERASURE")
        tally = await erase(log, keys_in(tmp_path), selection, order, agreements=())
        assert tally.records == 1
        await log.stop()

    asyncio.run(use())
    integrator = Integrator(home, origin=ORIGIN, keys=keys_in(tmp_path))
    assert not integrator.step()
    integrator.close()
    few = open_session(PostgresLog(url, place.schema, place.directory))
    for forbidden in (
        "DELETE FROM audit_key", "UPDATE audit_key SET kek_id = 1", "DELETE FROM audit_checkpoint",
        "UPDATE audit_record SET t = 0", "DELETE FROM audit_record", "TRUNCATE audit_open",
        "DELETE FROM audit_host", "DROP TABLE audit_open", "CREATE TABLE mine (n bigint)",
    ):  # fmt: skip
        with pytest.raises(PostgresFailed) as refused:
            few.execute(forbidden)
        assert refused.value.sqlstate == "42501", forbidden  # insufficient_privilege
    assert few.execute("SELECT audit_erase(ARRAY[1], ARRAY[NULL]::bytea[])").fetchone() == (1,)
    assert few.execute("SELECT count(*) FROM audit_key").fetchone() == (0,)
    few.close()
    owner.raw.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
    owner.close()
    assert verify_log(place, keys=keys_in(tmp_path)).erased == 2


def test_a_role_has_a_name() -> None:
    """No other SQL can be smuggled in."""
    with pytest.raises(ValueError, match="no name"):
        rights_for(PostgresLog("", "audit_2026", Path()), 'x"; DROP')


def test_definitions_for_sqlite_are_translated() -> None:
    """A new table is written once: INTEGER is int64, BLOB is bytes, TEXT sorts by its bytes."""
    made = postgres_ddl(
        "CREATE TABLE IF NOT EXISTS audit_x (a INTEGER PRIMARY KEY, b BLOB, c TEXT) STRICT,"
        " WITHOUT ROWID"
    )
    assert made == (
        'CREATE TABLE IF NOT EXISTS audit_x (a bigint PRIMARY KEY, b bytea, c text COLLATE "C")'
    )
