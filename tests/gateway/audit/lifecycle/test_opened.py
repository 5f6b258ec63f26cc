"""A frozen log can be opened: it refuses everything, and its files are left alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.audit.lifecycle.opened import open_even_frozen
from gateway.audit.store import LogFrozen
from tests.gateway.audit.records import ORIGIN, filled, intent, keys_in


def test_a_frozen_log_refuses_everything_and_leaves_its_files_alone(tmp_path: Path) -> None:
    """It can be opened, so that a gateway goes on saying why it refuses; nothing is written (I10).

    Even its closing writes nothing: what is missing may still be put back.
    """
    path = filled(tmp_path, 2)
    (path.parent / "sealed-head").write_text("forged")
    before = path.read_bytes()

    async def play() -> None:
        log = open_even_frozen(
            tmp_path / "audit", origin=ORIGIN, instance="test", keys=keys_in(tmp_path)
        )
        await log.start()
        with pytest.raises(LogFrozen, match="sealed head cannot be trusted"):
            await log.append(intent())
        with pytest.raises(LogFrozen):
            await log.is_claimed(b"key")
        with pytest.raises(LogFrozen):
            await log.find_grant(b"holder", b"words")
        await log.stop()
        with pytest.raises(LogFrozen):
            await log._store.append([])
        with pytest.raises(LogFrozen):
            await log._store.is_claimed(b"key")
        with pytest.raises(LogFrozen):
            await log._store.find_grant(b"holder", b"words")

    asyncio.run(play())
    assert path.read_bytes() == before
    wal = path.with_name(f"{path.name}-wal")
    assert not wal.exists() or wal.stat().st_size == 0
