"""Torn tails and flipped bits in the log's files: seen, or rolled back to a commit."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from gateway.audit.log import AuditLog
from gateway.audit.reading.reader import find_log, verify_log
from gateway.audit.store import LogFrozen, LogUnavailable
from gateway.clock import new_uuid7
from tests.gateway.audit.records import (
    ORIGIN,
    filled,
    integrated,
    intent,
    keys_in,
    opened,
    outcome,
    selected,
    using,
)

PAGE_BYTES: Final = 4_096
FRAME_BYTES: Final = PAGE_BYTES + 24
WAL_HEAD_BYTES: Final = 32


def torn_base(directory: Path) -> tuple[Path, list[bytes]]:
    """Return a log as a killed process leaves it, its last commits in the WAL, and its leaves."""
    filled(directory / "live", 3)
    copy = directory / "copy"

    async def use(log: AuditLog) -> None:
        for _ in range(4):
            exchange = new_uuid7()
            await log.append(intent(exchange))
            await log.append(outcome(exchange))
        shutil.copytree(directory / "live", copy)

    using(directory / "live", use)
    path = find_log(directory / "live" / "audit")
    rows = selected(path, "SELECT leaf_hash FROM audit_record ORDER BY leaf_index")
    return copy, [row[0] for row in rows]


def survives(directory: Path, leaves: list[bytes]) -> int | None:
    """Open what is left; return how many records it holds, all of them true, or None if refused."""
    try:
        asyncio.run(_open_and_close(directory))
    except LogUnavailable:
        return None
    path = find_log(directory / "audit")
    stored = [
        row[0] for row in selected(path, "SELECT leaf_hash FROM audit_record ORDER BY leaf_index")
    ]
    assert stored == leaves[: len(stored)]
    integrated(directory)
    vkey = keys_in(directory).signer(ORIGIN).verifier.vkey()
    assert verify_log(path, vkey=vkey, keys=keys_in(directory)).ok
    return len(stored)


async def _open_and_close(directory: Path) -> None:
    await opened(directory).stop()


def test_a_torn_wal_is_rolled_back_to_a_commit(
    tmp_path: Path, thorough: bool, record_property: Callable[[str, object], None]
) -> None:
    """F4: cut anywhere, the WAL gives a prefix of the commits and nothing else (I4, I5)."""
    base, leaves = torn_base(tmp_path)
    wal = find_log(base / "audit").with_name("audit-2026.db-wal")
    size = wal.stat().st_size
    assert size > 10 * FRAME_BYTES
    step = FRAME_BYTES // 4 if thorough else FRAME_BYTES * 5 - 1_000
    held = []
    for kept in range(0, size, step):
        place = tmp_path / "place"
        shutil.copytree(base, place)
        with (place / "audit" / wal.name).open("rb+") as file:
            file.truncate(kept)
        held.append(survives(place, leaves))
        shutil.rmtree(place)
    record_property("rounds", len(held))
    known = [one for one in held if one is not None]
    assert known == sorted(known)
    assert len(known) == len(held)
    assert known[0] < known[-1]


def test_flipped_bits_in_the_wal_are_rolled_back_to_a_commit(
    tmp_path: Path, thorough: bool, record_property: Callable[[str, object], None]
) -> None:
    """F4: SQLite's checksums end the WAL before a frame that was changed (I4, I5)."""
    base, leaves = torn_base(tmp_path)
    wal = find_log(base / "audit").with_name("audit-2026.db-wal")
    size = wal.stat().st_size
    step = FRAME_BYTES // 3 if thorough else FRAME_BYTES * 5 - 700
    held = []
    for at in range(WAL_HEAD_BYTES + 7, size, step):
        place = tmp_path / "place"
        shutil.copytree(base, place)
        flip(place / "audit" / wal.name, at)
        held.append(survives(place, leaves))
        shutil.rmtree(place)
    record_property("rounds", len(held))
    assert None not in held
    assert min(one or 0 for one in held) < len(leaves)


def test_flipped_bits_in_the_file_are_never_served_as_true(
    tmp_path: Path, thorough: bool, record_property: Callable[[str, object], None]
) -> None:
    """F4, F20: each is found at the start or by verification, or changed nothing (I5)."""
    filled(tmp_path / "base", 40)
    path = find_log(tmp_path / "base" / "audit")
    size = path.stat().st_size
    step = 509 if thorough else size // 12
    vkey = keys_in(tmp_path / "base").signer(ORIGIN).verifier.vkey()
    whole = selected(path, "SELECT * FROM audit_record ORDER BY leaf_index")
    found, rounds = 0, 0
    for at in range(100, size, step):
        place = tmp_path / "place"
        shutil.copytree(tmp_path / "base", place)
        changed = find_log(place / "audit")
        flip(changed, at)
        report = verify_log(changed, vkey=vkey, keys=keys_in(place))
        if report.ok:
            rows = selected(changed, "SELECT * FROM audit_record ORDER BY leaf_index")
            assert rows == whole, at
        else:
            found += 1
        shutil.rmtree(place)
        rounds += 1
    record_property("rounds", rounds)
    assert found > 0


@pytest.mark.parametrize("kept", [0, 1, 40, 120])
def test_a_torn_sealed_head_is_frozen(tmp_path: Path, kept: int) -> None:
    """F4: a head that was cut or garbled is trusted by nobody, and nothing is appended (I5)."""
    path = filled(tmp_path, 2)
    head = path.parent / "sealed-head"
    head.write_bytes(head.read_bytes()[:kept])
    with pytest.raises(LogFrozen):
        opened(tmp_path)


def flip(path: Path, at: int) -> None:
    """Flip the bits of one byte."""
    with path.open("rb+") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0xFF]))
