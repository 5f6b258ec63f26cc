"""Reading the log's file: shards, proofs, and never a write."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.log import AuditLog
from gateway.audit.merkle import verify_inclusion
from gateway.audit.note import open_checkpoint
from gateway.audit.reader import find_log, find_shards, prove, shard_name, snapshot
from gateway.audit.store import LogUnavailable
from tests.gateway.audit.records import (
    ORIGIN,
    each_store,
    filled,
    intent,
    keys_in,
    selected,
    unbase64,
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
def test_a_proof_stands_on_its_own(tmp_path: Path) -> None:
    """Leaf hash, index, hashes and checkpoint are all that a verifier needs (I6)."""
    path = filled(tmp_path, 140)
    verifier = keys_in(tmp_path).signer(ORIGIN).verifier
    for index in (0, 100, 280):
        proof, _, note = prove(path, index).partition("\n\n")
        first, at, *hashes = proof.split("\n")
        assert (first, at) == ("c2sp.org/tlog-proof@v1", f"index {index}")
        head = open_checkpoint(note, verifier)
        of_index = "SELECT leaf_hash FROM audit_record WHERE leaf_index = ?"
        leaf = selected(path, of_index, index)
        assert verify_inclusion(leaf[0][0], index, head.size, unbase64(hashes)) == head.root


@each_store
def test_a_record_beyond_the_newest_checkpoint_has_no_proof_yet(tmp_path: Path) -> None:
    """What no checkpoint covers cannot be proved."""
    path = filled(tmp_path, 1)

    async def use(log: AuditLog) -> None:
        await log.append(intent())

    using(tmp_path, use)
    with pytest.raises(IndexError, match="no checkpoint"):
        prove(path, 3)
