"""Locks between processes."""

from __future__ import annotations

from pathlib import Path

from gateway.audit.disk.locks import FileLock


def test_a_lock_has_one_holder_at_a_time(tmp_path: Path) -> None:
    """A second holder waits until the first gives the lock up, or closes the file."""
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    with first:
        assert not second.try_acquire()
    assert second.try_acquire()
    assert not first.try_acquire()
    second.close()
    assert first.try_acquire()
    first.close()
