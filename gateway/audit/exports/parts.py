"""What an export reads of each shard of a log: how far, and which records of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from gateway.audit.exports.exported import VERSION
from gateway.audit.exports.selection import Picked, Selection, pick
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.place import LogHome, Place
from gateway.audit.publishing.published import published_head, verifier_key
from gateway.audit.reading.reader import passing, shard_name, snapshot
from gateway.audit.search.across import shards_within
from gateway.audit.sqlite import Connection
from gateway.audit.store import LogUnavailable
from gateway.audit.tree import StoredTree

Told = Callable[[int, int], None]
"""Hears how many records were read, and of how many."""

_UNPROVED: Final = "no checkpoint proves the log's records: they are not signed yet"


class Part(NamedTuple):
    """A shard as far as an export reads it: to the published checkpoint `note`, or to its end."""

    place: Place
    origin: str
    end: int
    note: str

    @property
    def vkey(self) -> str:
        """The key that signs the shard's checkpoints; raises LogUnavailable."""
        return verifier_key(self.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """A part while it is read, and what is picked from there."""

    db: Connection
    part: Part
    picks: Iterator[Picked]

    @property
    def tree(self) -> StoredTree:
        """The tree that the part's hashes come from."""
        return StoredTree(self.db)

    @property
    def head(self) -> dict[str, object]:
        """What the part's first line says."""
        return {"concordat_export": VERSION, "origin": self.part.origin, "size": self.part.end}


def parts_of(home: LogHome, selection: Selection, *, proved: bool) -> tuple[Part, ...]:
    """Return the shards that may hold what is asked for, the oldest first, as they are now.

    What is to be `proved` ends at a checkpoint that was published: one that is signed and not
    published yet must not leave (I5), for a failover may lose it. Raises LogUnavailable where
    there is none, or a shard cannot be read.
    """
    parts = []
    shards = shards_within(home, selection.from_us, selection.until_us)
    for place in shards:
        head = published_head(place) if proved else None
        if proved and head is None:
            if place is not shards[-1]:
                raise LogUnavailable(f"the shard {shard_name(place)} has no checkpoint to prove by")
            continue
        with snapshot(place) as db:
            origin, end = db.execute("SELECT origin, next_index FROM audit_head").fetchone()
        note = ""
        if head is not None:
            note, end, _ = head
        parts.append(Part(place, origin, end, note))
    if not parts:
        raise LogUnavailable(_UNPROVED)
    return tuple(parts)


def extents(
    parts: Sequence[Part], selection: Selection, *, keys: LogKeys | None, told: Told | None = None
) -> Iterator[Extent]:
    """Open part after part, each until the next is asked for, and pass over those without records.

    If nothing at all is found, that is the newest part's to say. Sections are opened with `keys`.
    """
    total, before, found = sum(part.end for part in parts), 0, False
    for part in parts:
        with passing(part.place) as db:
            heard = _from(told, before, total)
            picks = pick(db, selection, end=part.end, keys=keys, told=heard)
            first = next(picks, None)
            if first is not None or (part is parts[-1] and not found):
                found = True
                there = () if first is None else (first,)
                yield Extent(db=db, part=part, picks=chain(there, picks))
        before += part.end


def _from(told: Told | None, before: int, total: int) -> Callable[[int], None] | None:
    return None if told is None else lambda done: told(before + done, total)
