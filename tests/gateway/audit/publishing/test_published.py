"""The published log: every tile fits the checkpoint, and nothing beyond it is told."""

from __future__ import annotations

from pathlib import Path

from gateway.audit.log import AuditLog
from gateway.audit.merkle import leaf_hash, root_of
from gateway.audit.note import open_checkpoint
from gateway.audit.publishing.published import published_head, read_tile, verifier_key
from gateway.audit.tiles import TILE_WIDTH, TileName, entry_bundle, parse_tile_path, tile_paths
from tests.gateway.audit.records import (
    ORIGIN,
    filled,
    integrated,
    intent,
    keys_in,
    provisioned,
    selected,
    tampered,
    using,
)


def entries_in(bundle: bytes) -> list[bytes]:
    """Return the entries of a bundle."""
    entries, at = [], 0
    while at < len(bundle):
        length = int.from_bytes(bundle[at : at + 2], "big")
        entries.append(bundle[at + 2 : at + 2 + length])
        at += 2 + length
    return entries


def test_tiles_and_entries_have_the_published_root(tmp_path: Path) -> None:
    """A mirror of all tiles recomputes the root of the signed checkpoint (I5)."""
    path = filled(tmp_path, 150)
    head = published_head(path)
    assert head is not None
    checkpoint = open_checkpoint(head.note, keys_in(tmp_path).signer(ORIGIN).verifier)
    assert (head.size, checkpoint.size) == (301, 301)
    names = [parse_tile_path(one) for one in tile_paths(head.size)]
    tiles = {name: read_tile(path, name) for name in names if name is not None}
    assert list(tiles) == [TileName(0, 0, 256), TileName(0, 1, 45), TileName(1, 0, 1)]
    leaves = tiles[TileName(0, 0, 256)], tiles[TileName(0, 1, 45)]
    hashes = [
        leaves_[at : at + 32] for leaves_ in leaves if leaves_ for at in range(0, len(leaves_), 32)
    ]
    assert root_of(hashes) == checkpoint.root
    assert tiles[TileName(1, 0, 1)] == root_of(hashes[:256])
    entries = [
        entry
        for name in (TileName(None, 0, 256), TileName(None, 1, 45))
        for entry in entries_in(read_tile(path, name) or b"")
    ]
    assert [leaf_hash(entry) for entry in entries] == hashes


def test_any_width_of_the_published_size_is_served_and_nothing_beyond(tmp_path: Path) -> None:
    """A partial tile is the beginning of the next wider one, up to the checkpoint and no further.

    That holds for records that are in the tree already, but whose head was not published (I5).
    """
    path = filled(tmp_path, 3)
    whole = read_tile(path, TileName(0, 0, 7))
    assert whole is not None
    for width in range(1, 8):
        assert read_tile(path, TileName(0, 0, width)) == whole[: width * 32]
    published = (path.parent / "sealed-head").read_bytes()

    async def more(log: AuditLog) -> None:
        await log.append(intent())

    using(tmp_path, more)
    assert read_tile(path, TileName(0, 0, 8)) is None
    integrated(tmp_path)
    assert read_tile(path, TileName(0, 0, 8)) is not None
    (path.parent / "sealed-head").write_bytes(published)
    assert read_tile(path, TileName(0, 0, 8)) is None
    assert read_tile(path, TileName(None, 0, 8)) is None
    for name in (TileName(0, 0, TILE_WIDTH), TileName(0, 1, 1), TileName(1, 0, 1)):
        assert read_tile(path, name) is None


def test_before_the_first_checkpoint_there_is_nothing(tmp_path: Path) -> None:
    """A log that was never signed publishes no head and no tile."""
    path = provisioned(tmp_path)
    assert published_head(path) is None
    assert read_tile(path, TileName(0, 0, 1)) is None


def test_a_shard_that_is_no_longer_the_newest_has_its_last_checkpoint(tmp_path: Path) -> None:
    """The sealed head of another shard says nothing of this one."""
    path = filled(tmp_path, 2)
    last = published_head(path)
    assert last is not None
    head = path.parent / "sealed-head"
    head.write_text(head.read_text("utf-8").replace(ORIGIN, f"{ORIGIN}-2"), "utf-8")
    assert published_head(path) == last
    tampered(path, "DELETE FROM audit_checkpoint")
    assert published_head(path) is None


def test_the_first_record_names_the_key(tmp_path: Path) -> None:
    """Who has the first entry and its section has the key that the checkpoints are signed with."""
    path = filled(tmp_path, 1)
    assert verifier_key(path) == keys_in(tmp_path).signer(ORIGIN).verifier.vkey()
    stored = selected(path, "SELECT entry FROM audit_record WHERE leaf_index < 2")
    assert read_tile(path, TileName(None, 0, 2)) == entry_bundle([row[0] for row in stored])
