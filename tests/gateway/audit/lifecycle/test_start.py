"""The start of a log: what is gone, empty, another's, or was ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.freeze import frozen_reason
from gateway.audit.lifecycle.start import check_start
from gateway.audit.reading.reader import find_shards
from gateway.audit.store import LogFrozen, LogUnavailable
from tests.gateway.audit.records import (
    ORIGIN,
    each_store,
    filled,
    home_of,
    keys_in,
    lose,
    opened,
    provisioned,
    selected,
    tampered,
)


def test_a_log_that_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    """A sealed head without its log freezes, and no new log is made beside it (I5, F11)."""
    path = filled(tmp_path, 2)
    path.unlink()
    with pytest.raises(LogFrozen, match="is gone, though a head of it was sealed"):
        opened(tmp_path)
    assert frozen_reason(path.parent) is not None
    assert not path.exists()


@each_store
def test_a_log_that_is_gone_with_its_heads_is_not_begun_anew(tmp_path: Path) -> None:
    """The keys, which lie elsewhere, tell that there was one (I5, F11)."""
    filled(tmp_path, 2)
    lose(tmp_path)
    for _ in range(2):
        with pytest.raises(LogFrozen, match="is gone, though this gateway has had one"):
            opened(tmp_path)
    assert frozen_reason(tmp_path / "audit") is not None
    assert find_shards(home_of(tmp_path)) == []


def test_a_making_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    """An empty file, as a crash leaves it before the first commit, is no log yet (F2).

    The keys are there by then, and do not tell of a log that was lost.
    """
    keys, path = keys_in(tmp_path), tmp_path / "audit" / "audit-2026.db"
    keys.receipt_signer(ORIGIN)
    keys.state_key()
    path.parent.mkdir()
    path.touch()
    assert provisioned(tmp_path) == path
    assert selected(path, "SELECT next_index FROM audit_head") == [(1,)]


def test_a_shard_that_was_ended_takes_no_records(tmp_path: Path) -> None:
    """Sealed or frozen in the database, it does not open (I4)."""
    path = filled(tmp_path, 2)
    for state in ("sealed", "frozen"):
        tampered(path, "UPDATE audit_head SET state = ?", state)
        with pytest.raises(LogFrozen, match=f"is {state}"):
            opened(tmp_path)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    """What SQLite cannot read is unavailable, not frozen: nothing is known of it (F4)."""
    path = filled(tmp_path, 2)
    path.write_bytes(b"not a database at all" * 512)
    with pytest.raises(LogUnavailable, match="cannot be read"):
        check_start(path, keys_in(tmp_path).signer(ORIGIN).verifier, begun=True)
    assert frozen_reason(path.parent) is None
