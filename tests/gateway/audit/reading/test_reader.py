"""Reading the log's file: shards, moments, and never a write."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.log import AuditLog
from gateway.audit.privacy.scrub import empty_wal
from gateway.audit.reading.reader import find_log, find_shards, passing, shard_name, snapshot
from gateway.audit.store import LogUnavailable
from tests.gateway.audit.records import (
    each_store,
    filled,
    intent,
    selected,
    using,
)


def test_the_newest_shard_is_found(tmp_path: Path) -> None:
    """Of several shards the last one is read; none is an error."""
    with pytest.raises(LogUnavailable, match="no audit log"):
        find_log(tmp_path)
    for year in (2025, 2026):
        (tmp_path / f"audit-{year}.db").touch()
    assert find_log(tmp_path).name == "audit-2026.db"


def test_shards_come_in_the_order_of_their_age(tmp_path: Path) -> None:
    """The tenth shard of a year goes after the second, and other files are no shards."""
    for name in ("2026-10", "2026-2", "2027", "2026", "2025-3", "old", "2026-0"):
        (tmp_path / f"audit-{name}.db").touch()
    names = [shard_name(path) for path in find_shards(tmp_path)]
    assert names == ["2025-3", "2026", "2026-2", "2026-10", "2027"]


@each_store
def test_a_snapshot_cannot_write(tmp_path: Path) -> None:
    """A reader's connection refuses every change."""
    path = filled(tmp_path, 1)
    with pytest.raises(LogUnavailable, match=r"read-?only"), snapshot(path) as db:
        db.execute("DELETE FROM audit_record")
    assert selected(path, "SELECT count(*) FROM audit_record") == [(3,)]


@each_store
def test_what_is_read_in_passing_holds_nothing(tmp_path: Path) -> None:
    """Each statement sees what is there by then, and none can write."""
    path = filled(tmp_path, 1)
    with passing(path) as db:
        assert db.execute("SELECT count(*) FROM audit_record").fetchall() == [(3,)]
        using(tmp_path, one_more)
        assert db.execute("SELECT count(*) FROM audit_record").fetchall() == [(4,)]
        if isinstance(path, Path):
            assert empty_wal(path)
    with pytest.raises(LogUnavailable, match=r"read-?only"), passing(path) as db:
        db.execute("DELETE FROM audit_record")


async def one_more(log: AuditLog) -> None:
    """Append a record."""
    await log.append(intent())
