"""The sweeper: exchanges of the dead are closed, those of the living are not."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from gateway.audit.lifecycle.sweep import Sweeper
from gateway.audit.log import AuditLog
from gateway.audit.store import Claim, LogUnavailable
from gateway.clock import new_uuid7, system_time_us
from tests.gateway.audit.records import each_store, intent, outcome, provisioned, selected, using


def test_exchanges_of_a_killed_process_become_indeterminate(tmp_path: Path) -> None:
    """After kill -9 every intent gets its terminal record (I8)."""
    provisioned(tmp_path)
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.gateway.audit.writer", str(tmp_path)],
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()

    async def use(log: AuditLog) -> None:
        alive = new_uuid7()
        await log.append(intent(alive))
        count = "SELECT count(*) FROM audit_record WHERE kind = ?"
        orphans = selected(log.path, count, 1)[0][0] - 1
        sweeper = Sweeper(log)
        assert await sweeper.sweep() == orphans >= 1
        assert await sweeper.sweep() == 0
        sweeper.close()
        assert selected(log.path, count, 3) == [(orphans,)]
        assert selected(log.path, "SELECT exchange FROM audit_open") == [(alive,)]
        assert selected(log.path, "SELECT instance FROM audit_open")[0][0] in {
            path.name for path in (log.directory / "instances").iterdir()
        }
        assert len(list((log.directory / "instances").iterdir())) == 1
        await log.append(outcome(alive))

    using(tmp_path, use)


@each_store
def test_a_sweeper_that_is_stopped_sweeps_a_last_time(tmp_path: Path) -> None:
    """What the last workers left open is closed before the gateway has ended (I8)."""
    provisioned(tmp_path)

    async def begin(log: AuditLog) -> None:
        await log.append(intent())

    async def use(log: AuditLog) -> None:
        reported: list[object] = []
        sweeper, stop = Sweeper(log), asyncio.Event()
        stop.set()
        await sweeper.run(stop, reported.append)
        sweeper.close()
        assert reported == [None]
        assert selected(log.path, "SELECT count(*) FROM audit_open") == [(0,)]

    using(tmp_path, begin)
    using(tmp_path, use)


def test_a_sweeper_goes_on_after_whatever_fails(tmp_path: Path) -> None:
    """A folder that cannot be read is reported, and does not end the sweeper."""

    async def use(log: AuditLog) -> None:
        reported: list[LogUnavailable | None] = []
        sweeper, stop = Sweeper(log), asyncio.Event()
        stop.set()
        instances = log.directory / "instances"
        instances.rename(instances.with_name("mislaid"))
        await sweeper.run(stop, reported.append)
        sweeper.close()
        instances.with_name("mislaid").rename(instances)
        assert "cannot be looked for" in str(reported[0])

    using(tmp_path, use)


@each_store
def test_an_overdue_exchange_is_closed_though_its_process_lives(tmp_path: Path) -> None:
    """An exchange older than any may be has lost its end (I8)."""

    async def use(log: AuditLog) -> None:
        exchange = new_uuid7()
        await log.append(intent(exchange))
        sweeper = Sweeper(log)
        sweeper._db.execute("UPDATE audit_open SET started = 1")
        assert await sweeper.sweep() == 1
        sweeper.close()
        late = await log.append(outcome(exchange))
        of_index = "SELECT kind FROM audit_record WHERE leaf_index = ?"
        assert selected(log.path, of_index, late.index) == [(4,)]

    using(tmp_path, use)


@each_store
def test_expired_claims_are_forgotten_and_others_kept(tmp_path: Path) -> None:
    """The table of claims does not grow for ever."""

    async def use(log: AuditLog) -> None:
        later_us = system_time_us() + 3_600_000_000
        await log.append(intent(), claims=[Claim(b"old", 1), Claim(b"new", later_us)])
        sweeper = Sweeper(log)
        await sweeper.sweep()
        sweeper.close()
        assert selected(log.path, "SELECT key FROM audit_claim") == [(b"new",)]

    using(tmp_path, use)


def test_a_sweep_that_failed_holds_up_nobody(tmp_path: Path) -> None:
    """Its transaction ends with it: the log takes records, and the next sweep forgets."""

    async def use(log: AuditLog) -> None:
        await log.append(intent(), claims=[Claim(b"old", 1)])
        sweeper = Sweeper(log)
        refusing = "CREATE TEMP TRIGGER refuse BEFORE DELETE ON main.audit_claim BEGIN SELECT"
        sweeper._db.execute(refusing + " raise(ABORT, 'not now'); END")
        with pytest.raises(sqlite.Error, match="not now"):
            await sweeper.sweep()
        await log.append(intent())
        sweeper._db.execute("DROP TRIGGER refuse")
        await sweeper.sweep()
        sweeper.close()
        assert selected(log.path, "SELECT key FROM audit_claim") == []

    using(tmp_path, use)
