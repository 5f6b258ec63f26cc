"""Check a whole log offline: every byte against the tree, and the tree against its signed heads.

Works on plain values, in one pass with flat memory (a hash for each 256 records), so that auditors
may bring them from anywhere; `reading/reader.py` brings them from the log's file, and
`reading/rows.py` checks record by record. Run as a program, it checks what a log gave out: proofs,
receipts and checkpoints (docs/verifying-the-log.md).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import add
from typing import Final, NamedTuple

from gateway.audit.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    Frontier,
    edge_of,
    perfect_subtrees,
    root_of,
)
from gateway.audit.note import Checkpoint, NoteInvalid, Verifier, open_checkpoint, read_unsigned
from gateway.audit.tiles import TILE_WIDTH, Tile, full_upper_tiles, run

FAULTS_TOLD_MAX: Final = 1_000
ERASURES_TOLD_MAX: Final = 100

_TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it was written: the leaf index from which it shows, and what."""

    at: int
    what: str


class Erased(NamedTuple):
    """A section that has no key any more: its record's leaf index, and its name."""

    at: int
    section: str


class Sealed(NamedTuple):
    """How many sealed sections were opened, have no key any more, and had no key to try."""

    opened: int = 0
    erased: int = 0
    unopened: int = 0


class Span(NamedTuple):
    """Some rows, checked: their leaf hashes, joined, and what was found in them.

    Of faults beyond FAULTS_TOLD_MAX, and erased sections beyond ERASURES_TOLD_MAX, there is only
    the count.
    """

    leaves: bytes
    faults: tuple[Fault, ...] = ()
    faults_in_all: int = 0
    sealed: Sealed = Sealed()
    erased_from: tuple[Erased, ...] = ()


class Findings:
    """What was found, and where: the first of it in words, all of it in numbers."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.faults: list[Fault] = []
        self.faults_in_all = 0
        self.sealed = Sealed()
        self.erased_from: list[Erased] = []

    def fault(self, at: int, what: str) -> None:
        """Note a fault."""
        self.faults_in_all += 1
        if len(self.faults) < FAULTS_TOLD_MAX:
            self.faults.append(Fault(at, what))

    def add(self, span: Span) -> None:
        """Add what was found in the rows that follow."""
        self.faults += span.faults[: FAULTS_TOLD_MAX - len(self.faults)]
        self.faults_in_all += span.faults_in_all
        self.sealed = Sealed(*map(add, self.sealed, span.sealed))
        self.erased_from += span.erased_from[: ERASURES_TOLD_MAX - len(self.erased_from)]

    def span(self, leaves: bytes) -> Span:
        """Return all of it, with the leaf hashes of the rows it was found in."""
        return Span(
            leaves, tuple(self.faults), self.faults_in_all, self.sealed, tuple(self.erased_from)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogImage:
    """Everything a log holds, at one moment.

    `spans` are its rows in index order, as `rows.check_rows` gives them. `tiles` of level 0 come in
    order of number, and `upper_tiles` (those of every other level) in order of (level, number);
    `notes` are the checkpoints by size. `repeated` are the indices of records whose identifier an
    earlier record has.
    """

    origin: str
    next_index: int
    tree_size: int
    tree_root: bytes
    spans: Iterable[Span]
    tiles: Iterable[Tile]
    upper_tiles: Iterable[Tile]
    notes: Iterable[tuple[int, str]]
    repeated: Iterable[int]
    sealed_head: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a verification found; `ok` means no fault.

    `signed_size` is how far a valid signature reaches: records beyond it are new, and nothing yet
    vouches for their order. Of sealed sections `opened` were checked, `erased` have no key any
    more, and `unopened` could not be checked for want of keys. `erased_from` tells the first
    ERASURES_TOLD_MAX erased ones; the leaves that commit to them are proved all the same.
    """

    ok: bool
    size: int
    root: bytes
    signed_size: int
    checkpoints: int
    opened: int
    erased: int
    unopened: int
    faults: tuple[Fault, ...]
    faults_in_all: int
    erased_from: tuple[Erased, ...] = ()


def verify(
    image: LogImage, *, verifier: Verifier | None = None, progress: Progress | None = None
) -> Report:
    """Check a log whose rows were checked, in the order of what rests on what.

    3. Stored tiles hold the leaf hashes and their roots.
    4. Each checkpoint, signed by `verifier` if given, has the root of the leaves before it.
    5. The stored size, root and next index, and the sealed head, fit all this.
    """
    return _Verification(image, verifier).run(progress)


class _Verification:
    """Grows the tree over the leaves, tile by tile, and holds what the log stores against it."""

    def __init__(self, image: LogImage, verifier: Verifier | None) -> None:
        self._image = image
        self._verifier = verifier
        self._frontier = Frontier()  # over the roots of full tiles
        self._tiles: Iterator[Tile] = iter(image.tiles)
        self._next_tile = next(self._tiles, None)
        self._tile_roots: list[bytes] = []
        self._root = EMPTY_ROOT
        self._size = self._trusted_size = self._last_size = self._checkpoints = 0
        self._forked = False
        self._findings = Findings()
        self._fault = self._findings.fault
        self._notes = self._read_notes()
        self._next_note = next(self._notes, None)

    def run(self, progress: Progress | None) -> Report:
        rest = b""
        for span in self._image.spans:
            self._findings.add(span)
            rest += span.leaves
            full = len(rest) - len(rest) % _TILE_BYTES
            for at in range(0, full, _TILE_BYTES):
                self._take_tile(rest[at : at + _TILE_BYTES])
            rest = rest[full:]
            if progress is not None:
                progress(self._size, self._image.next_index)
        self._take_tile(rest)
        for at in self._image.repeated:
            self._fault(at, "an earlier record has the same identifier")
        self._check_end(self._size)
        if progress is not None:
            progress(self._size, self._size)
        found = self._findings
        return Report(
            ok=not found.faults_in_all,
            size=self._size,
            root=self._root,
            signed_size=self._trusted_size if self._verifier else 0,
            checkpoints=self._checkpoints,
            opened=found.sealed.opened,
            erased=found.sealed.erased,
            unopened=found.sealed.unopened,
            faults=tuple(found.faults),
            faults_in_all=found.faults_in_all,
            erased_from=tuple(found.erased_from),
        )

    def _take_tile(self, leaves: bytes) -> None:
        """Take a tile, the last one partial: its stored hashes, and the heads that end in it."""
        subtrees = perfect_subtrees(leaves)
        first = self._size
        self._size += len(leaves) // HASH_BYTES
        self._root = self._root_at(first, self._size, subtrees)
        stored = self._image.tree_size
        within = first < stored <= self._size
        if within and self._root_at(first, stored, subtrees) != self._image.tree_root:
            self._fault(stored - 1, "the stored root is not that of the records")
        while self._next_note is not None and self._next_note[0] <= self._size:
            self._check_note(first, subtrees, *self._next_note)
            self._next_note = next(self._notes, None)
        if len(leaves) == _TILE_BYTES:
            self._check_tile(first, leaves, subtrees[-1][0])
            self._frontier.add(subtrees[-1][0])

    def _root_at(self, first: int, size: int, subtrees: list[list[bytes]]) -> bytes:
        return self._frontier.root(edge_of(subtrees, size - first))

    def _check_tile(self, first: int, leaves: bytes, root: bytes) -> None:
        number = len(self._tile_roots)
        self._tile_roots.append(root)
        stored = self._next_tile
        if stored is None or stored.index != number:
            if first + TILE_WIDTH <= self._image.tree_size:
                self._fault(first, f"tile 0/{number} is missing")
            return
        self._next_tile = next(self._tiles, None)
        if stored.hashes != leaves:
            same = [a == b for a, b in zip(leaves, stored.hashes, strict=False)]
            self._fault(
                first + [*same, False].index(False) // HASH_BYTES, "not the leaf in its tile"
            )
        elif stored.root != root:
            self._fault(first, f"the root of tile 0/{number} is not that of its hashes")

    def _check_upper_tiles(self) -> None:
        """Check the tiles above level 0, whose hashes are the roots of the tiles below them."""
        expected = full_upper_tiles(self._tile_roots, self._image.tree_size)
        for tile in self._image.upper_tiles:
            row = expected.pop((tile.level, tile.index), None)
            first = tile.index * TILE_WIDTH ** (tile.level + 1)
            name = f"tile {tile.level}/{tile.index}"
            if row is None:
                self._fault(first, f"{name} is of no such tree")
            elif tile.hashes != b"".join(row) or tile.root != root_of(row):
                self._fault(first, f"{name} does not hold the roots of the tiles below it")
        for level, number in expected:
            self._fault(number * TILE_WIDTH ** (level + 1), f"tile {level}/{number} is missing")

    def _read_notes(self) -> Iterator[tuple[int, str, str]]:
        """Yield the checkpoints, and the sealed head in its place among them."""
        head = self._image.sealed_head
        head_size = self._claimed_size(head) if head is not None else None
        for size, note in self._image.notes:
            if head is not None and head_size is not None and head_size <= size:
                yield head_size, head, "sealed head"
                head = None
            yield size, note, f"checkpoint {size}"
            self._last_size = size
        if head is not None and head_size is not None:
            yield head_size, head, "sealed head"

    def _claimed_size(self, note: str) -> int | None:
        try:
            return read_unsigned(note).size
        except NoteInvalid as invalid:
            self._fault(0, f"the sealed head cannot be trusted: {invalid}")
            return None

    def _check_note(
        self, first: int, subtrees: list[list[bytes]], size: int, note: str, name: str
    ) -> None:
        self._checkpoints += 1
        at = max(size - 1, 0)
        try:
            head = self._open_note(note)
        except NoteInvalid as invalid:
            self._fault(at, f"the {name} cannot be trusted: {invalid}")
            return
        if head.origin != self._image.origin or head.size != size or size < first:
            self._fault(at, f"the {name} is of another log or size")
        elif head.root == self._root_at(first, size, subtrees):
            self._trusted_size = size
        elif not self._forked:
            self._forked = True  # every later head differs too, and says nothing new
            first = min(self._trusted_size, at)
            self._fault(first, f"the records {first} to {at} are not those of the {name}")

    def _open_note(self, note: str) -> Checkpoint:
        if self._verifier is None:
            return read_unsigned(note)
        return open_checkpoint(note, self._verifier)

    def _check_end(self, size: int) -> None:
        image = self._image
        if size != image.next_index:
            self._fault(min(size, image.next_index), f"{image.next_index} records were counted")
        while self._next_note is not None:
            at, _, name = self._next_note
            self._fault(size, f"the {name} covers records {size} to {at - 1}, which are missing")
            self._next_note = next(self._notes, None)
        if self._next_tile is not None:
            self._fault(self._next_tile.index * TILE_WIDTH, "a tile is of no such tree")
        self._check_upper_tiles()
        if image.tree_size > size:
            self._fault(size, f"the tree holds {image.tree_size} records, the log {size}")
        elif image.tree_size != self._last_size:
            self._fault(image.tree_size, "the newest checkpoint is not that of the stored tree")


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:]))
