"""Who minds the log records what befalls its disk and the machine's clock, and nothing twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.audit.disk.room import RESERVE_BYTES, RESERVE_NAME, Limits
from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.lifecycle.clock_watch import ClockWatch
from gateway.audit.lifecycle.minding import Minder
from gateway.audit.lifecycle.opened import open_log
from gateway.audit.log import AuditLog
from gateway.audit.reading.reader import find_log, snapshot, verify_log
from gateway.audit.search.opening import COLUMNS, found
from gateway.clock import monotonic_us, system_time_us
from tests.gateway.audit.records import ORIGIN, integrated, intent, keys_in, using

HOUR_US = 3_600_000_000


def incidents(directory: Path) -> list[tuple[object, object]]:
    """Return the incidents on record, the oldest first, with the step of a clock."""
    with snapshot(find_log(directory / "audit")) as db:
        rows = db.execute(
            f"SELECT {COLUMNS} FROM audit_record WHERE kind = ? ORDER BY leaf_index",  # noqa: S608 - constants
            (KIND_CODES[Kind.INCIDENT],),
        ).fetchall()
    cores = [found(row).core() for row in rows]
    return [(core["incident"], core.get("step_us")) for core in cores]


def test_a_step_of_the_clock_is_on_record_and_order_does_not_suffer(tmp_path: Path) -> None:
    """F14: the wall clock goes back an hour; indices go on, and the log verifies (I4)."""
    ahead_us = HOUR_US

    async def use(log: AuditLog) -> None:
        nonlocal ahead_us
        minder = Minder(log, ClockWatch(lambda: system_time_us() + ahead_us, monotonic_us))
        await minder.look()
        late = intent()
        late.at_us += HOUR_US
        first = await log.append(late)
        ahead_us = 0
        await minder.look()
        await minder.look()
        assert (await log.append(intent())).index == first.index + 2

    using(tmp_path, use)
    ((what, step_us),) = incidents(tmp_path)
    assert what == "clock_step"
    assert isinstance(step_us, int)
    assert abs(step_us + HOUR_US) < 1_000_000
    assert verify_log(integrated(tmp_path)).ok


def test_the_reserve_is_kept_while_the_log_is_minded(tmp_path: Path) -> None:
    """It is made at the start, and given up at the end."""

    async def use(log: AuditLog) -> None:
        reserve = log.directory / RESERVE_NAME
        minding = asyncio.get_running_loop().create_task(Minder(log).run())
        while not reserve.exists():  # noqa: ASYNC110 - the minder makes it
            await asyncio.sleep(0.01)
        assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES
        minding.cancel()
        await asyncio.gather(minding, return_exceptions=True)
        assert not reserve.exists()

    using(tmp_path, use)


def test_a_disk_that_runs_full_is_on_record_once(tmp_path: Path) -> None:
    """F5: the incident is written though nothing else is (I10)."""

    async def play() -> None:
        log = open_log(
            tmp_path / "audit", origin=ORIGIN, instance="t", keys=keys_in(tmp_path),
            limits=Limits(soft_bytes=1 << 60, hard_bytes=1 << 59, reserve_bytes=0),
        )  # fmt: skip
        await log.start()
        minder = Minder(log)
        await minder.look()
        await minder.look()
        await log.stop()

    asyncio.run(play())
    assert incidents(tmp_path) == [("disk_full", None)]
