"""Tiles against published paths and a tree of 70,000 leaves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from gateway.audit.tiles import (
    TileName,
    completed_tiles,
    entries_path,
    entry_bundle,
    examine,
    full_upper_tiles,
    parse_tile_path,
    subtree_root,
    tile_path,
    tile_paths,
)
from tests.gateway.audit.records import VECTORS, unbase64, unhex

LARGE = VECTORS["tree70000"]


class Grown:
    """A tree whose full tiles' roots are kept as they complete, as the store keeps them."""

    def __init__(self, leaves: Sequence[bytes], steps: Sequence[int]) -> None:
        self.levels: dict[int, list[bytes]] = {0: list(leaves)}
        self.tiles = {}
        size = 0
        for new_size in [*steps, len(leaves)]:
            for tile in completed_tiles(size, new_size, self.hashes):
                self.levels.setdefault(tile.level + 1, []).append(tile.root)
                self.tiles[tile.level, tile.index] = tile
            size = new_size

    def hashes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        found = self.levels[level][first : first + count]
        assert len(found) == count
        return found

    def subtree(self, start: int, end: int) -> bytes:
        return subtree_root(start, end, self.hashes)


@cache
def large() -> Grown:
    """Return the vectors' large tree, grown in uneven steps."""
    leaves = [leaf_hash(str(value).encode()) for value in range(70_000)]
    return Grown(leaves, [1, 255, 256, 300, 65_535, 65_536, 66_000])


def test_the_large_tree_has_the_published_roots_and_tiles() -> None:
    """Roots, tiles and the number of tiles of 70,000 leaves are those of the vectors (I5)."""
    tree = large()
    assert tree.subtree(0, 70_000).hex() == LARGE["root"]
    assert tree.subtree(0, 65_536).hex() == LARGE["root_65536"] == LARGE["tile_2_000_p1"]
    assert hashlib.sha256(tree.tiles[1, 0].hashes).hexdigest() == LARGE["tile_1_000_sha256"]
    paths = list(tile_paths(70_000))
    assert len(paths) == LARGE["tile_count"]
    assert paths[273] == "tile/0/273.p/112"
    assert paths[-2:] == ["tile/1/001.p/17", "tile/2/000.p/1"]


def test_the_large_tree_has_the_published_proofs() -> None:
    """Proofs computed from tiles are those of the vectors, and verify."""
    tree = large()
    proof = inclusion_proof(12_345, 70_000, tree.subtree)
    assert proof == unbase64(LARGE["inclusion_12345"])
    assert verify_inclusion(leaf_hash(b"12345"), 12_345, 70_000, proof) == unhex(LARGE["root"])
    joined = consistency_proof(65_536, 70_000, tree.subtree)
    assert joined == unbase64(LARGE["consistency_65536_to_70000"])
    roots = unhex(LARGE["root_65536"]), unhex(LARGE["root"])
    verify_consistency(65_536, 70_000, *roots, joined)


def test_paths_are_the_published_ones() -> None:
    """Indices are written in groups of three digits, partial tiles with their width."""
    paths = VECTORS["paths"]
    assert tile_path(0, 1_234_067) == paths["tile(0,1234067)"]
    assert tile_path(1, 1, 17) == paths["tile(1,1,17)"]
    assert entries_path(273, 112) == paths["entries(273,112)"]
    assert list(tile_paths(256)) == paths["tiles_for_256"]
    assert list(tile_paths(0)) == []


def test_the_small_tree_has_the_published_tile_and_bundle() -> None:
    """The partial tile and the entry bundle of five leaves are those of the vectors."""
    tree5 = VECTORS["tree5"]
    entries = [entry.encode() for entry in tree5["entries"]]
    tile = b"".join([leaf_hash(entry) for entry in entries])
    assert hashlib.sha256(tile).hexdigest() == tree5["tile_0_000_p5_sha256"]
    assert hashlib.sha256(entry_bundle(entries)).hexdigest() == tree5["entries_000_p5_sha256"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 1500), max_size=5), st.integers(0, 1500))
def test_steps_do_not_matter(steps: list[int], size: int) -> None:
    """However a tree grew, its tiles and root are the same, so a step may be done again (I5)."""
    leaves = large().levels[0][:size]
    grown = Grown(leaves, sorted(step for step in steps if step <= size))
    assert grown.tiles == Grown(leaves, []).tiles
    assert grown.subtree(0, size) == root_of(leaves)


@given(
    st.one_of(st.none(), st.integers(0, 7)),
    st.one_of(st.integers(0, 1_100_000), st.integers(0, 2**55 - 1)),
    st.integers(1, 256),
)
def test_a_path_names_the_tile_that_it_is_of(level: int | None, index: int, width: int) -> None:
    """What a tile's path says is read back from it."""
    path = entries_path(index, width) if level is None else tile_path(level, index, width)
    assert parse_tile_path(path) == TileName(level, index, width)


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0", "tile/0/1234", "tile/0/x000/001", "tile/00/000", "tile/8/000", "tile/-1/000",
        "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/007", "tile/0/000.p/", "tile/0/000/",
        "tile/0/001/002", "tile/0/\uff11\uff11\uff11", "tile/0/../000", "tile/8/0/000",
        "tile/0/x999/x999/x999/x999/x999/999", "tile/entries/00a", "entries/000", "",
    ],
)  # fmt: skip
def test_what_is_no_tile_s_only_path_names_none(path: str) -> None:
    """Every other spelling is refused: C2SP tlog-tiles gives each tile one path."""
    assert parse_tile_path(path) is None


def test_the_full_tiles_above_level_0_follow_from_the_roots_below() -> None:
    """Of 70,000 leaves one tile of level 1 is full; of half as many, or of few, none is."""
    roots = [leaf_hash(at.to_bytes(2, "big")) for at in range(273)]
    assert full_upper_tiles(roots, 70_000) == {(1, 0): roots[:256]}
    assert full_upper_tiles(roots, 65_535) == {}
    assert full_upper_tiles(roots[:255], 65_280) == {}


SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
ENTRY = '{"c":{},"id":"019b76da-a800-7000-8000-0000000000a1","kind":"log.open","t":1,"v":1}'
hostile = st.recursive(
    st.none()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["\ud800", "[" * 50_000, '{"v":' * 9_000, ENTRY, "\x00"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["records", "entry", "proof", "opened", "salt", "body", "core"]), inner
        )
    ),
    max_leaves=8,
)


@given(hostile, hostile, hostile)
def test_any_document_is_refused_with_a_verdict(
    tmp_path_factory: pytest.TempPathFactory, entry: Any, proof: Any, other: Any
) -> None:
    """F20: whatever was forged, the auditor's command ends with one, and never with a yes."""
    file = tmp_path_factory.getbasetemp() / "forged"
    for document in ({"records": [{"entry": entry, "proof": proof, "opened": other}]}, other):
        file.write_text(json.dumps(document))
        for what, trust in (("proof", "--vkey"), ("receipt", "--key"), ("consistency", "--vkey")):
            words = [what, str(file), trust, SPEC_KEY, "--old", str(file)]
            code, told = examine(words)
            assert code in (1, 2)
            assert len(told) == 1
