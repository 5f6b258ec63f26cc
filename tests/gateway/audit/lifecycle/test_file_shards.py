"""Ending a shard in a file: who has it open, what is given up, and what leaves nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.audit.incident import opening_record
from gateway.audit.lifecycle.file_shards import FileDriver, is_open_here
from gateway.audit.log import AuditLog
from gateway.audit.reading.reader import find_shards
from gateway.audit.seal import Sealed, Sealer
from gateway.audit.store import LogUnavailable
from tests.gateway.audit.records import ORIGIN, filled, keys_in, using


def test_a_log_is_open_while_a_process_has_it(tmp_path: Path) -> None:
    """The kernel tells it; a copy that nobody has opened has no folder to look in."""

    async def use(log: AuditLog) -> None:
        assert is_open_here(log.directory)

    using(tmp_path, use)
    audit = tmp_path / "audit"
    assert not is_open_here(audit)
    shutil.rmtree(audit / "instances")
    assert not is_open_here(audit)


def test_what_cannot_be_opened_now_is_not_given_up(tmp_path: Path) -> None:
    """A file that is no database is a contradiction; a refusal of the disk may pass."""
    path = filled(tmp_path, 1)
    verifier = keys_in(tmp_path).signer(ORIGIN).verifier
    path.unlink()
    path.mkdir()
    with pytest.raises(LogUnavailable):
        FileDriver(path).contradiction(None, verifier)
    path.rmdir()
    path.write_bytes(b"no database" * 1000)
    assert "cannot be read" in (FileDriver(path).contradiction(None, verifier) or "")


def test_a_shard_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    """What its first record's maker raises ends it all: no half of a shard lies about."""
    path = filled(tmp_path, 1)

    def refuse(lost: Sequence[str]) -> Sealed:
        (path.parent / "next").mkdir()
        raise ValueError(f"not without {lost}")

    with pytest.raises(ValueError, match="not without"):
        FileDriver(path).begin("gateway.dept-a.example/audit/2026-2", refuse, frozen=False)
    assert not (path.parent / "next").exists()
    assert find_shards(path.parent) == [path]


def test_a_shard_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    """I3: what was begun meanwhile may hold records, which no second making takes away."""
    path = filled(tmp_path, 1)
    keys, origin = keys_in(tmp_path), "gateway.dept-a.example/audit/2026-2"
    begun = path.with_name("audit-2026-2.db")
    begun.write_bytes(b"records of another")

    def first(lost: Sequence[str]) -> Sealed:
        assert not lost
        verifier, receipts = keys.signer(origin).verifier, keys.receipt_signer(origin)
        return Sealer(origin, keys).seal(opening_record(verifier, receipts))

    with pytest.raises(LogUnavailable, match="begun meanwhile"):
        FileDriver(path).begin(origin, first, frozen=False)
    assert begun.read_bytes() == b"records of another"
    assert not (path.parent / "next").exists()
