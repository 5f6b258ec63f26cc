"""Check a whole log offline: every byte against the tree, and the tree against its signed heads.

Works on plain values, in one pass with flat memory, so that an auditor may bring them from
anywhere; `reader.py` brings them from the log's file. Run as a program, it checks what a log gave
out: proofs, receipts and checkpoints (docs/verifying-the-log.md).
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.audit.entry import (
    KIND_CODES,
    EntryInvalid,
    StoredSection,
    commit,
    commitment_text,
    open_section,
    parse_entry,
    section_context,
    unpack_sections,
    unwrap_keys,
)
from gateway.audit.merkle import EMPTY_ROOT, Frontier, root_of
from gateway.audit.note import Checkpoint, NoteInvalid, Verifier, open_checkpoint, read_unsigned
from gateway.audit.tiles import TILE_WIDTH, run

FAULTS_TOLD_MAX: Final = 1_000
PROGRESS_EVERY: Final = 4_096

Progress = Callable[[int, int], None]
# Answers a day's key-encryption key, or None once it was destroyed.
DayKey = Callable[[int], bytes | None]


class Row(NamedTuple):
    """A record as it is stored, with its wrapped section keys if it has any left."""

    leaf_index: int
    record_id: bytes
    exchange: bytes | None
    kind: int
    at_us: int
    leaf_hash: bytes
    entry: bytes
    sections: bytes
    day: int | None
    wrapped_keys: bytes | None


class TileRow(NamedTuple):
    """A full tile as it is stored."""

    level: int
    number: int
    root: bytes
    hashes: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LogImage:
    """Everything a log holds, at one moment.

    `rows` come in index order, `tiles` of level 0 in order of number, and `upper_tiles` (those of
    every other level) in order of (level, number); `notes` are the checkpoints by size.
    """

    origin: str
    next_index: int
    tree_size: int
    tree_root: bytes
    rows: Iterable[Row]
    tiles: Iterable[TileRow]
    upper_tiles: Iterable[TileRow]
    notes: Iterable[tuple[int, str]]
    sealed_head: str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it was written: the leaf index from which it shows, and what."""

    at: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a verification found; `ok` means no fault.

    `signed_size` is how far a valid signature reaches: records beyond it are new, and nothing yet
    vouches for their order. Of sealed sections `opened` were checked, `erased` have no key any
    more, and `unopened` could not be checked for want of keys.
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


def verify(
    image: LogImage,
    *,
    verifier: Verifier | None = None,
    day_key: DayKey | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check a log, in the order of what rests on what.

    1. Rows are numbered without gap, and each entry has its leaf hash and its columns' values.
    2. Each section, opened where `day_key` allows, has the commitment that the entry holds.
    3. Stored tiles hold these leaf hashes and these roots.
    4. Each checkpoint, signed by `verifier` if given, has the root of the leaves before it.
    5. The stored size, root and next index, and the sealed head, fit all this.
    """
    return _Verification(image, verifier, day_key).run(progress)


class _Verification:
    def __init__(self, image: LogImage, verifier: Verifier | None, day_key: DayKey | None) -> None:
        self._image = image
        self._verifier = verifier
        self._day_key = day_key
        self._day_keys: dict[int, bytes | None] = {}
        self._frontier = Frontier()
        self._tiles: Iterator[TileRow] = iter(image.tiles)
        self._next_tile = next(self._tiles, None)
        self._tile_roots: list[bytes] = []
        self._row_of_tile: list[bytes] = []
        self._trusted_size = self._last_size = self._checkpoints = 0
        self._opened = self._erased = self._unopened = 0
        self._forked = False
        self._faults: list[Fault] = []
        self._faults_in_all = 0
        self._notes = self._read_notes()
        self._next_note = next(self._notes, None)

    def run(self, progress: Progress | None) -> Report:
        for row in self._image.rows:
            self._take_row(row)
            if progress is not None and self._frontier.size % PROGRESS_EVERY == 0:
                progress(self._frontier.size, self._image.next_index)
        size = self._frontier.size
        self._check_end(size)
        if progress is not None:
            progress(size, size)
        return Report(
            ok=not self._faults_in_all,
            size=size,
            root=self._frontier.root(),
            signed_size=self._trusted_size if self._verifier else 0,
            checkpoints=self._checkpoints,
            opened=self._opened,
            erased=self._erased,
            unopened=self._unopened,
            faults=tuple(self._faults),
            faults_in_all=self._faults_in_all,
        )

    def _fault(self, at: int, what: str) -> None:
        self._faults_in_all += 1
        if len(self._faults) < FAULTS_TOLD_MAX:
            self._faults.append(Fault(at, what))

    def _take_row(self, row: Row) -> None:
        index = self._frontier.size
        if not index <= row.leaf_index < self._image.next_index:
            self._fault(row.leaf_index, "a record where the log has no place for it")
            return
        if row.leaf_index != index:
            self._fault(index, f"records {index} to {row.leaf_index - 1} are missing")
            # The tree goes on at the index that the row claims, so that one gap is one fault.
            while self._frontier.size < row.leaf_index:
                self._grow(EMPTY_ROOT)
        computed = hashlib.sha256(b"\0" + row.entry).digest()
        if computed != row.leaf_hash:
            self._fault(row.leaf_index, "the entry does not have its leaf hash")
        try:
            self._check_entry(row)
        except EntryInvalid as invalid:
            self._fault(row.leaf_index, str(invalid))
        self._grow(computed)

    def _check_entry(self, row: Row) -> None:
        entry = parse_entry(row.entry)
        columns = (row.record_id, row.exchange, row.kind, row.at_us)
        if columns != (entry.record_id, entry.exchange, KIND_CODES[entry.kind], entry.at_us):
            raise EntryInvalid("a column says other than the entry")
        sections = unpack_sections(row.sections)
        if [section.name for section in sections] != [name for name, _ in entry.commitments]:
            raise EntryInvalid("the sections are not those that the entry names")
        keys = self._keys_of(row) if any(item.salt is None for item in sections) else None
        for section, (name, committed) in zip(sections, entry.commitments, strict=True):
            opened = self._open(row, section, keys)
            if opened is not None and commitment_text(commit(name, *opened)) != committed:
                raise EntryInvalid(f"the section {name} does not have its commitment")

    def _keys_of(self, row: Row) -> dict[str, bytes] | None:
        """Return the keys a row has left, or None where this verification cannot know them."""
        if self._day_key is None:
            return None
        if row.wrapped_keys is None or row.day is None:
            return {}
        if row.day not in self._day_keys:
            self._day_keys[row.day] = self._day_key(row.day)
        kek = self._day_keys[row.day]
        if kek is None:
            return {}
        return unwrap_keys(kek, self._image.origin, row.record_id, row.wrapped_keys)

    def _open(
        self, row: Row, section: StoredSection, keys: dict[str, bytes] | None
    ) -> tuple[bytes, bytes] | None:
        if section.salt is not None:
            return section.salt, section.body
        if keys is None:
            self._unopened += 1
            return None
        key = keys.get(section.name)
        if key is None:
            self._erased += 1
            return None
        self._opened += 1
        context = section_context(self._image.origin, row.record_id, section.name)
        return open_section(key, context, section.body)

    def _grow(self, leaf: bytes) -> None:
        self._frontier.add(leaf)
        self._row_of_tile.append(leaf)
        if len(self._row_of_tile) == TILE_WIDTH:
            self._check_tile()
        size = self._frontier.size
        if size == self._image.tree_size and self._frontier.root() != self._image.tree_root:
            self._fault(size - 1, "the stored root is not that of the records")
        while self._next_note is not None and self._next_note[0] <= size:
            self._check_note(*self._next_note)
            self._next_note = next(self._notes, None)

    def _check_tile(self) -> None:
        row, self._row_of_tile = self._row_of_tile, []
        number = len(self._tile_roots)
        root = root_of(row)
        self._tile_roots.append(root)
        first = number * TILE_WIDTH
        stored = self._next_tile
        if stored is None or stored.number != number:
            if first + TILE_WIDTH <= self._image.tree_size:
                self._fault(first, f"tile 0/{number} is missing")
            return
        self._next_tile = next(self._tiles, None)
        if stored.hashes != b"".join(row):
            self._fault(first + _first_difference(stored.hashes, row), "not the leaf in its tile")
        elif stored.root != root:
            self._fault(first, f"the root of tile 0/{number} is not that of its hashes")

    def _check_upper_tiles(self) -> None:
        """Check the tiles above level 0, whose hashes are the roots of the tiles below them."""
        roots, level, span = self._tile_roots, 1, TILE_WIDTH
        expected: dict[tuple[int, int], list[bytes]] = {}
        while len(roots) >= TILE_WIDTH:
            rows = [
                roots[first : first + TILE_WIDTH]
                for first in range(0, len(roots) - TILE_WIDTH + 1, TILE_WIDTH)
            ]
            span *= TILE_WIDTH
            complete = self._image.tree_size // span
            expected |= {(level, number): row for number, row in enumerate(rows[:complete])}
            roots, level = [root_of(row) for row in rows], level + 1
        for tile in self._image.upper_tiles:
            row = expected.pop((tile.level, tile.number), None)
            first = tile.number * TILE_WIDTH ** (tile.level + 1)
            name = f"tile {tile.level}/{tile.number}"
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

    def _check_note(self, size: int, note: str, name: str) -> None:
        self._checkpoints += 1
        at = max(size - 1, 0)
        try:
            head = self._open_note(note)
        except NoteInvalid as invalid:
            self._fault(at, f"the {name} cannot be trusted: {invalid}")
            return
        if head.origin != self._image.origin or head.size != size:
            self._fault(at, f"the {name} is of another log or size")
        elif head.root == self._frontier.root():
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
            self._fault(self._next_tile.number * TILE_WIDTH, "a tile is of no such tree")
        self._check_upper_tiles()
        if image.tree_size > size:
            self._fault(size, f"the tree holds {image.tree_size} records, the log {size}")
        elif image.tree_size != self._last_size:
            self._fault(image.tree_size, "the newest checkpoint is not that of the stored tree")


def _first_difference(stored: bytes, row: list[bytes]) -> int:
    """Return the position in its tile of the first leaf hash that is not as stored."""
    for position, leaf in enumerate(row):
        if stored[position * 32 : position * 32 + 32] != leaf:
            return position
    return len(row) - 1


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:]))
