"""Tiles of C2SP tlog-tiles: their paths, and the tree's hashes computed from stored ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.audit.merkle import EMPTY_ROOT, node_hash, root_of, split_point

TILE_BITS: Final = 8
TILE_WIDTH: Final = 1 << TILE_BITS

# A tree has fewer than 2**63 leaves, so that no tile is higher than this or has a larger index.
LEVEL_MAX: Final = 7
INDEX_MAX: Final = 2 ** (63 - TILE_BITS) - 1

_TILE_PATH: Final = re.compile(
    r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?", re.ASCII
)

# Answers `count` hashes of tile level `level` from `first` on. A hash of level 0 is a leaf hash;
# one of level l + 1 is the root of a full tile of level l.
LevelHashes = Callable[[int, int, int], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Tile:
    """A full tile: 256 hashes of its level, and their root."""

    level: int
    index: int
    root: bytes
    hashes: bytes


class TileName(NamedTuple):
    """Which tile a path names; `level` is None for a bundle of entries."""

    level: int | None
    number: int
    width: int


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a hash tile; a width below 256 names a partial one."""
    return f"tile/{level}/{_index_path(index)}{_width_suffix(width)}"


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of an entry bundle."""
    return f"tile/entries/{_index_path(index)}{_width_suffix(width)}"


def parse_tile_path(unverified: str) -> TileName | None:
    """Return what a path below the log's prefix names, or None where it is no tile's only name."""
    found = _TILE_PATH.fullmatch(unverified)
    if found is None:
        return None
    kind, groups, width_text = found.groups()
    name = TileName(
        None if kind == "entries" else int(kind),
        int(groups.replace("x", "").replace("/", "")),
        TILE_WIDTH if width_text is None else int(width_text),
    )
    if (name.level or 0) > LEVEL_MAX or name.number > INDEX_MAX or not 0 < name.width <= TILE_WIDTH:
        return None
    # One tile has one path: what has another spelling would be kept twice by every cache.
    canonical = (
        entries_path(name.number, name.width)
        if name.level is None
        else tile_path(name.level, name.number, name.width)
    )
    return name if canonical == unverified else None


def tile_paths(size: int) -> Iterator[str]:
    """Yield the path of every hash tile of a tree of `size` leaves; empty tiles are not served."""
    level, hashes = 0, size
    while hashes:
        full, partial = divmod(hashes, TILE_WIDTH)
        for index in range(full):
            yield tile_path(level, index)
        if partial:
            yield tile_path(level, full, partial)
        level, hashes = level + 1, full


def entry_bundle(entries: Sequence[bytes]) -> bytes:
    """Return an entry bundle: each entry after its length in two bytes, big-endian."""
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def subtree_root(start: int, end: int, hashes: LevelHashes) -> bytes:
    """Return the hash over the leaves [start, end), `start` being where RFC 6962 would split."""
    size = end - start
    if size == 0:
        return EMPTY_ROOT
    if size & (size - 1):
        middle = start + split_point(size)
        return node_hash(subtree_root(start, middle, hashes), subtree_root(middle, end, hashes))
    level, within = divmod(size.bit_length() - 1, TILE_BITS)
    return root_of(hashes(level, start >> (level * TILE_BITS), 1 << within))


def completed_tiles(old_size: int, new_size: int, hashes: LevelHashes) -> Iterator[Tile]:
    """Yield the tiles that become full as the tree grows, each level before the next one.

    The caller makes a yielded tile's root known to `hashes` before it asks for the next tile.
    """
    level, old, new = 0, old_size, new_size
    while new >= TILE_WIDTH:
        old, new = old >> TILE_BITS, new >> TILE_BITS
        for index in range(old, new):
            row = hashes(level, index << TILE_BITS, TILE_WIDTH)
            yield Tile(level, index, root_of(row), b"".join(row))
        level += 1


def _index_path(index: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    return "/".join(reversed(groups))


def _width_suffix(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"
