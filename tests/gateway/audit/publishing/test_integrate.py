"""The integrator: tiles, checkpoints, the sealed head, and one leader."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from gateway.audit.freeze import freeze, thaw
from gateway.audit.log import AuditLog
from gateway.audit.merkle import root_of
from gateway.audit.note import open_checkpoint
from gateway.audit.place import directory_of
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.sqlite import open_database
from gateway.audit.store import LogFrozen, LogUnavailable
from gateway.audit.tree import read_sealed_head
from tests.gateway.audit.records import (
    ORIGIN,
    each_store,
    filled,
    home_of,
    integrated,
    intent,
    keys_in,
    provisioned,
    selected,
    tampered,
    using,
)


def integrator(directory: Path) -> Integrator:
    """Return an integrator of the test's log."""
    return Integrator(home_of(directory), origin=ORIGIN, keys=keys_in(directory))


@each_store
def test_a_checkpoint_signs_the_root_of_all_records(tmp_path: Path) -> None:
    """Stored root, newest checkpoint and sealed head are the records' (I5); full tiles are kept."""
    path = filled(tmp_path, 150)
    leaves = [
        row[0] for row in selected(path, "SELECT leaf_hash FROM audit_record ORDER BY leaf_index")
    ]
    assert len(leaves) == 301
    note = read_sealed_head(directory_of(path))
    assert note is not None
    head = open_checkpoint(note, keys_in(tmp_path).signer(ORIGIN).verifier)
    assert (head.size, head.root) == (301, root_of(leaves))
    assert selected(path, "SELECT size, note FROM audit_checkpoint") == [(301, note)]
    tiles = selected(path, "SELECT level, idx, hashes FROM audit_tile")
    assert tiles == [(0, 0, b"".join(leaves[:256]))]


@each_store
def test_nothing_new_is_not_signed_again(tmp_path: Path) -> None:
    """A step without new records makes no checkpoint."""
    path = filled(tmp_path, 2)
    integrated(tmp_path)
    assert selected(path, "SELECT count(*) FROM audit_checkpoint") == [(1,)]


def test_only_the_leader_integrates(tmp_path: Path) -> None:
    """A second integrator does nothing until the first gives up (F18)."""
    provisioned(tmp_path)
    first, second = integrator(tmp_path), integrator(tmp_path)
    first.step()
    second.step()
    assert second.published_size == 0
    first.close()
    second.step()
    assert second.published_size == 1
    second.close()


@each_store
def test_what_was_committed_is_published_by_the_next_leader(tmp_path: Path) -> None:
    """A crash between commit and publishing is made good (sign, commit, publish)."""
    path = filled(tmp_path, 2)
    (directory_of(path) / "sealed-head").unlink()
    integrated(tmp_path)
    assert read_sealed_head(directory_of(path)) is not None


def test_without_growth_the_head_is_published_again(tmp_path: Path) -> None:
    """The heartbeat renews sealed head and time of publishing, and signs nothing new."""
    path = filled(tmp_path, 2)
    head = path.parent / "sealed-head"
    before = head.read_text("utf-8")
    os.utime(head, (0, 0))
    ((published_at_us,),) = selected(path, "SELECT published_at FROM audit_tree")
    beating = Integrator(tmp_path / "audit", origin=ORIGIN, keys=keys_in(tmp_path), heartbeat_s=0.0)
    beating.step()
    beating.step()
    beating.close()
    assert head.read_text("utf-8") == before
    assert head.stat().st_mtime > 0
    ((again_us, size),) = selected(path, "SELECT published_at, published_size FROM audit_tree")
    assert again_us > published_at_us
    assert size == 5
    assert selected(path, "SELECT count(*) FROM audit_checkpoint") == [(1,)]


@each_store
def test_a_contradiction_freezes_the_log_for_every_process(tmp_path: Path) -> None:
    """A leaf changed behind the tree's back stops integration and every append (I5, I10)."""
    path = filled(tmp_path, 2)

    async def use(log: AuditLog) -> None:
        await log.append(intent())
        tampered(path, "UPDATE audit_record SET leaf_hash = ? WHERE leaf_index = 1", bytes(32))
        growing = integrator(tmp_path)
        with pytest.raises(LogFrozen, match="root of size 5"):
            growing.step()
        growing.close()
        with pytest.raises(LogFrozen):
            await log.append(intent())

    using(tmp_path, use)


@each_store
def test_a_freeze_that_can_be_mended_is_not_made_permanent(tmp_path: Path) -> None:
    """What froze one host stays beside the log: thawed, the integrator goes on (I5, I10)."""
    path = filled(tmp_path, 1)
    freeze(directory_of(path), "a sealed head is newer than the log")
    growing = integrator(tmp_path)
    with pytest.raises(LogFrozen, match="a sealed head is newer"):
        growing.step()
    assert selected(path, "SELECT state FROM audit_head") == [("open",)]

    thaw(directory_of(path))
    growing.step()
    growing.close()
    assert growing.published_size == 3


@each_store
def test_running_publishes_what_was_appended_last(tmp_path: Path) -> None:
    """Told to stop, the integrator first publishes all there is (I6)."""

    async def use(log: AuditLog) -> None:
        growing, stop = integrator(tmp_path), asyncio.Event()
        failures: list[LogUnavailable | None] = []
        running = asyncio.create_task(growing.run(stop, failures.append))
        await log.append(intent())
        stop.set()
        await running
        assert growing.published_size == 2
        assert set(failures) == {None}
        growing.close()

    using(tmp_path, use)


def test_a_passing_failure_does_not_end_the_integrator(tmp_path: Path) -> None:
    """While another writer holds the file steps fail and are told; then the tree grows on."""

    async def use(log: AuditLog) -> None:
        growing, stop = integrator(tmp_path), asyncio.Event()
        failures: list[LogUnavailable | None] = []
        await log.append(intent())
        assert isinstance(log.path, Path)
        other = open_database(log.path)
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(growing.run(stop, failures.append))
        while not failures:  # noqa: ASYNC110 - the step runs in a thread
            await asyncio.sleep(0.05)
        other.execute("ROLLBACK")
        other.close()
        stop.set()
        await task
        assert isinstance(failures[0], LogUnavailable)
        assert failures[-1] is None
        assert growing.published_size == 2
        growing.close()

    using(tmp_path, use)
