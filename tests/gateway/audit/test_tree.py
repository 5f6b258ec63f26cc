"""The start-up check: a log that contradicts its signed heads does not open."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.audit.log import AuditLog
from gateway.audit.place import directory_of
from gateway.audit.store import LogFrozen
from tests.gateway.audit.records import (
    each_store,
    filled,
    integrated,
    intent,
    opened,
    tampered,
    using,
)


async def append_one(log: AuditLog) -> None:
    """Append one record."""
    await log.append(intent())


@each_store
def test_a_sound_log_opens_again(tmp_path: Path) -> None:
    """Records beyond the last checkpoint do not hinder a start."""
    filled(tmp_path, 3)
    using(tmp_path, append_one)
    using(tmp_path, append_one)


def test_a_restored_backup_is_frozen(tmp_path: Path) -> None:
    """A database older than the sealed head beside it is refused, in plain words (I5, F11)."""
    path = filled(tmp_path, 3)
    assert isinstance(path, Path)
    backup = tmp_path / "backup.db"
    shutil.copy(path, backup)
    using(tmp_path, append_one)
    integrated(tmp_path)
    for leftover in path.parent.glob("*.db-*"):
        leftover.unlink()
    shutil.copy(backup, path)
    with pytest.raises(LogFrozen, match="rolled back, perhaps by restoring a backup"):
        opened(tmp_path)


@each_store
@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE audit_head SET next_index = 99", "next index is 99"),
        ("DELETE FROM audit_record WHERE leaf_index = 6", "next index is 7"),
        ("DELETE FROM audit_record WHERE leaf_index = 2", "are missing"),
        ("UPDATE audit_tree SET root = zeroblob(32)", "stored root of size 7"),
        ("UPDATE audit_record SET leaf_hash = zeroblob(32) WHERE leaf_index = 2", "root"),
        ("UPDATE audit_checkpoint SET note = 'x'", "newest checkpoint cannot be trusted"),
    ],
)
def test_a_contradiction_is_frozen(tmp_path: Path, statement: str, says: str) -> None:
    """Each check of the start-up finds what it is for (I4, I5)."""
    path = filled(tmp_path, 3)
    tampered(path, statement)
    with pytest.raises(LogFrozen, match=says):
        opened(tmp_path)


def test_a_sealed_head_that_is_gone_or_forged_is_frozen(tmp_path: Path) -> None:
    """Taking the sealed head away, or another's in its place, does not hide a rollback."""
    path = filled(tmp_path, 3)
    using(tmp_path, append_one)
    integrated(tmp_path)
    head = directory_of(path) / "sealed-head"
    head.write_text(head.read_text("utf-8").replace("\n8\n", "\n7\n"), "utf-8")
    with pytest.raises(LogFrozen, match="sealed head cannot be trusted"):
        opened(tmp_path)
    head.unlink()
    with pytest.raises(LogFrozen, match="sealed head is missing"):
        opened(tmp_path)
