"""Room on the disk: alarm, refusal, the reserve, and a disk that really is full."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.audit.disk.room import RESERVE_NAME, Limits, Room
from gateway.audit.entry import Kind
from gateway.audit.incident import Incident, incident_record
from gateway.audit.lifecycle.opened import open_log
from gateway.audit.log import AuditLog
from gateway.audit.reading.reader import verify_log
from gateway.audit.store import LogBusy, LogFull, Position
from gateway.clock import new_uuid7
from tests.gateway.audit.records import ORIGIN, intent, keys_in, outcome, record, selected

MIB = 1 << 20
SMALL = Limits(soft_bytes=6 * MIB, hard_bytes=2 * MIB, reserve_bytes=MIB)


@contextmanager
def small_disk(directory: Path, mib: int) -> Iterator[Path]:
    """Mount a disk of so many MiB; skip where that is not allowed."""
    place = directory / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "none", str(place)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def refuses(room: Room) -> bool:
    """Look anew whether a room refuses."""
    room.look()
    return room.refuses


def fill(place: Path, leave_bytes: int) -> Path:
    """Fill a disk but for so many octets; return the file that does."""
    filler = place / "filler"
    free = Room(place, SMALL)
    free.look()
    with filler.open("wb") as file:
        file.write(bytes(max(free.free_bytes - leave_bytes, 0)))
    return filler


def test_the_limits_are_an_alarm_and_a_refusal(tmp_path: Path) -> None:
    """Below the soft limit room is scarce, below the hard one nothing begins."""
    plenty = Room(tmp_path, Limits(soft_bytes=1, hard_bytes=1, reserve_bytes=0))
    scarce = Room(tmp_path, Limits(soft_bytes=1 << 60, hard_bytes=1, reserve_bytes=0))
    full = Room(tmp_path, Limits(soft_bytes=1 << 60, hard_bytes=1 << 59, reserve_bytes=0))
    for room in (plenty, scarce, full):
        room.look()
    assert [(room.scarce, room.refuses) for room in (plenty, scarce, full)] == [
        (False, False), (True, False), (True, True),
    ]  # fmt: skip


def test_who_ran_out_waits_for_the_reserve(tmp_path: Path) -> None:
    """A quota shows no full disk: only the reserve's return tells that there is room again."""
    room = Room(tmp_path, Limits(soft_bytes=1, hard_bytes=1, reserve_bytes=4096))
    room.look()
    room.keep_reserve()
    assert (tmp_path / RESERVE_NAME).stat().st_blocks * 512 >= 4096
    assert room.run_out()
    assert not room.run_out()
    assert refuses(room)
    room.keep_reserve()
    assert not refuses(room)
    room.drop_reserve()
    assert not (tmp_path / RESERVE_NAME).exists()


def test_without_room_nothing_begins_and_everything_ends(tmp_path: Path) -> None:
    """F5: the limit refuses intents and readings, not outcomes and incidents (I1, I2)."""
    limits = Limits(soft_bytes=1 << 60, hard_bytes=1 << 59, reserve_bytes=0)

    async def play() -> None:
        exchange = new_uuid7()
        for number, chosen in enumerate((Limits(), limits)):
            log = open_log(
                tmp_path / "audit", origin=ORIGIN, instance="t", keys=keys_in(tmp_path),
                limits=chosen,
            )  # fmt: skip
            await log.start()
            if number == 0:
                await log.append(intent(exchange))
            else:
                for refused in (intent(), record(Kind.ACCESS, None, core={})):
                    with pytest.raises(LogFull):
                        await log.append(refused)
                await log.append(outcome(exchange))
                await log.append(incident_record(Incident.DISK_FULL, free_bytes=0))
            await log.stop()

    asyncio.run(play())


def test_a_full_disk_ends_what_has_begun_and_begins_nothing(tmp_path: Path) -> None:
    """F5: a real disk runs full under load, the ends go into the reserve, and it recovers.

    Every acknowledged record is there afterwards (I3, I4), no outcome was lost (I2), and nothing
    was begun while there was no room (I1, I10).
    """

    async def play(place: Path) -> dict[int, bytes]:
        log = open_log(
            place / "audit", origin=ORIGIN, instance="t", keys=keys_in(place), limits=SMALL
        )
        await log.start()
        acknowledged: list[Position] = []
        log.room.keep_reserve()
        begun = [new_uuid7() for _ in range(20)]
        acknowledged += await asyncio.gather(*[log.append(intent(one)) for one in begun])
        filler = fill(place, 0)
        refused = await asyncio.gather(
            *[log.append(intent(x=1)) for _ in range(60)], return_exceptions=True
        )
        assert any(isinstance(one, LogBusy) for one in refused)
        acknowledged += [one for one in refused if isinstance(one, Position)]
        acknowledged += await asyncio.gather(*[log.append(outcome(one)) for one in begun])
        assert refuses(log.room)
        assert not (place / "audit" / RESERVE_NAME).exists()
        with pytest.raises(LogFull):
            await log.append(intent())
        assert log.failure is None
        filler.unlink()
        while refuses(log.room):
            log.room.keep_reserve()
            await asyncio.sleep(0.05)
        acknowledged.append(await log.append(intent()))
        await log.stop()
        return {one.index: one.leaf_hash for one in acknowledged}

    with small_disk(tmp_path, 16) as place:
        acknowledged = asyncio.run(asyncio.wait_for(play(place), 60))
        path = place / "audit" / "audit-2026.db"
        stored = dict(selected(path, "SELECT leaf_index, leaf_hash FROM audit_record"))
        assert sorted(stored) == list(range(len(stored)))
        assert {index: stored.get(index) for index in acknowledged} == acknowledged
        assert verify_log(path).ok


def test_an_end_that_finds_no_room_waits_until_it_is_late(tmp_path: Path) -> None:
    """F5: without any reserve an outcome is answered as too late, and stored by nobody (I2, I3)."""

    async def play(place: Path) -> None:
        log: AuditLog = open_log(
            place / "audit", origin=ORIGIN, instance="t", keys=keys_in(place), limits=SMALL
        )
        await log.start()
        exchange = new_uuid7()
        await log.append(intent(exchange))
        filler = fill(place, 0)
        pad = "x" * 60_000
        with pytest.raises(LogBusy):
            await log.append(outcome(exchange, pad=pad))
        assert log.failure is None
        filler.unlink()
        log.room.look()
        place_ = await log.append(outcome(exchange))
        assert place_.index == 2
        await log.stop()

    with small_disk(tmp_path, 8) as place:
        asyncio.run(asyncio.wait_for(play(place), 60))
