"""Upkeep in PostgreSQL: one leader a step, heads on every host, the dead and the forgotten."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gateway.audit.lifecycle.sweep import Sweeper
from gateway.audit.log import AuditLog
from gateway.audit.place import PostgresFailed, PostgresHome, PostgresLog
from gateway.audit.postgresql import presence as postgres_presence
from gateway.audit.postgresql.upkeep import PostgresUpkeep
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.reading.reader import verify_log
from gateway.audit.store import LogFrozen, LogUnavailable
from gateway.audit.tree import read_sealed_head
from gateway.clock import new_uuid7
from tests.gateway.audit.records import (
    ORIGIN,
    home_of,
    intent,
    keys_in,
    outcome,
    selected,
    tampered,
    using,
)  # fmt: skip


def integrator(directory: Path) -> Integrator:
    """Return an integrator of the test's log."""
    return Integrator(home_of(directory), origin=ORIGIN, keys=keys_in(directory))


def test_of_two_leaders_one_works_at_a_time(tmp_path: Path, place: PostgresLog) -> None:
    """F18: whoever comes in the middle of a step does nothing, and goes on after it (I5)."""
    with closing(PostgresUpkeep(place)) as leader, closing(integrator(tmp_path)) as second:
        assert leader.lead()
        second.step()
        assert second.published_size == 0
        leader.rest()
        second.step()
        assert second.published_size == 1
    assert verify_log(place).ok


def test_a_leader_that_hangs_loses_the_lead(tmp_path: Path, place: PostgresLog) -> None:
    """F13: its transaction is ended by the server, and its next step begins anew."""
    with closing(integrator(tmp_path)) as hanging, closing(integrator(tmp_path)) as second:
        upkeep = hanging._upkeep
        assert isinstance(upkeep, PostgresUpkeep)
        upkeep.db.execute("SET idle_in_transaction_session_timeout = 50")
        assert upkeep.lead()
        while second.published_size == 0:
            second.step()
        with pytest.raises(PostgresFailed, match="idle-in-transaction"):
            upkeep.db.execute("SELECT 1")
        hanging.step()
        assert hanging.published_size == 1


def test_each_host_keeps_the_newest_head(tmp_path: Path, place: PostgresLog) -> None:
    """Whoever signed it, a rollback shows on every host that has seen it (I5)."""
    other = PostgresHome(place.url, tmp_path / "other")
    other.directory.mkdir()
    with (
        closing(integrator(tmp_path)) as first,
        closing(Integrator(other, origin=ORIGIN, keys=keys_in(tmp_path))) as second,
    ):
        first.step()
        second.step()
        assert read_sealed_head(place.directory) == read_sealed_head(other.directory) is not None
        tampered(place, "UPDATE audit_tree SET size = 0")
        with pytest.raises(LogFrozen, match="shrunk"):
            second.step()
    assert selected(place, "SELECT state FROM audit_head") == [("frozen",)]


def test_exchanges_of_a_killed_process_become_indeterminate(
    tmp_path: Path, place: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kill -9, on whatever host, every intent gets its terminal record (I8)."""
    monkeypatch.setattr(postgres_presence, "SILENCE_S_MAX", 3.0)
    monkeypatch.setattr(postgres_presence, "BEAT_S", 0.1)  # so that the living are not missed
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.gateway.audit.writer", str(tmp_path)], stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()

    async def use(log: AuditLog) -> None:
        alive = new_uuid7()
        await log.append(intent(alive))
        count = "SELECT count(*) FROM audit_record WHERE kind = ?"
        sweeper, closed = Sweeper(log), 0
        while not closed:  # the counts are watched until they have stood still for long enough
            closed = await sweeper.sweep()
            await asyncio.sleep(0.1)
        assert await sweeper.sweep() == 0
        sweeper.close()
        assert closed == selected(place, count, 1)[0][0] - 1
        assert selected(place, count, 3) == [(closed,)]
        assert selected(place, "SELECT exchange FROM audit_open") == [(alive,)]
        assert len(selected(place, "SELECT name FROM audit_instance")) == 1
        await log.append(outcome(alive))

    using(tmp_path, use)


def test_a_sweeper_goes_on_after_a_restart_of_the_server(
    tmp_path: Path, place: PostgresLog
) -> None:
    """F9: the sweep that loses its session fails, and the next one opens another (I8)."""

    async def use(log: AuditLog) -> None:
        await log.append(intent())
        with closing(Sweeper(log)) as sweeper:
            assert await sweeper.sweep() == 0
            pid = sweeper._db.raw.info.backend_pid
            assert selected(place, "SELECT pg_terminate_backend(?, 30000)", pid) == [(True,)]
            with pytest.raises(PostgresFailed):
                await sweeper.sweep()
            tampered(place, "UPDATE audit_open SET started = 1")
            assert await sweeper.sweep() == 1

    using(tmp_path, use)


def test_half_a_transaction_is_not_gone_on_with_in_another(place: PostgresLog) -> None:
    """A step whose session was lost fails: its commit would be one of nothing (I5)."""

    def lose_the_session(upkeep: PostgresUpkeep) -> None:
        with upkeep.writing() as db:
            db.execute("UPDATE audit_tree SET published_size = 7")
            selected(place, "SELECT pg_terminate_backend(?, 30000)", db.raw.info.backend_pid)
            with pytest.raises(PostgresFailed):
                upkeep.db.execute("SELECT 1")
            assert upkeep.db.broken

    with closing(PostgresUpkeep(place)) as upkeep:
        with pytest.raises(PostgresFailed):
            lose_the_session(upkeep)
        assert upkeep.db.execute("SELECT published_size FROM audit_tree").fetchone() == (0,)


def test_identifiers_are_kept_for_a_retry_and_then_forgotten(
    tmp_path: Path, place: PostgresLog
) -> None:
    """The table of recent identifiers does not grow for ever; a day of them stays (I4)."""
    tampered(place, "INSERT INTO audit_recent VALUES (?, 0)", bytes(16))
    with closing(PostgresUpkeep(place)) as upkeep:
        upkeep.tidy(())

    first = "SELECT record_id FROM audit_record WHERE leaf_index = 0"
    assert selected(place, "SELECT record_id FROM audit_recent") == selected(place, first)


def test_a_commit_in_doubt_is_not_published(tmp_path: Path, place: PostgresLog) -> None:
    """F8: the server's warning is heard, whatever else it says (I5)."""
    warned = "DO $$ BEGIN RAISE WARNING USING ERRCODE = '01000', MESSAGE = 'not replicated'; END $$"
    with closing(PostgresUpkeep(place)) as upkeep:
        with pytest.raises(LogUnavailable, match="standby"), upkeep.writing() as db:
            db.execute(warned)
        upkeep.confirm()
