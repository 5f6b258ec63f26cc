"""The write-ahead log after an erasure."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.audit.log import AuditLog
from gateway.audit.reader import snapshot
from gateway.audit.scrub import empty_wal
from tests.gateway.audit.records import filled, intent, opened


def test_a_reader_keeps_the_wal_and_its_end_lets_it_be_emptied(tmp_path: Path) -> None:
    """It is told whether the WAL could be emptied, and nobody is waited for."""
    path = filled(tmp_path, 1)

    async def use(log: AuditLog) -> None:
        await log.start()
        with snapshot(path) as db:
            assert db.execute("SELECT count(*) FROM audit_record").fetchone() == (3,)
            await log.append(intent())
            assert not empty_wal(path)
        assert empty_wal(path)
        assert path.with_name(f"{path.name}-wal").stat().st_size == 0
        await log.append(intent())
        await log.stop()

    asyncio.run(use(opened(tmp_path)))
