"""The published log of a shard: its checkpoint and its tiles, as C2SP tlog-tiles serves them.

Hash tiles and checkpoints tell how much was exchanged and nothing else, so that anybody may have
them. Entries are for auditors. Nothing beyond the published checkpoint is ever answered.
"""

from __future__ import annotations

from typing import NamedTuple

import orjson

from gateway.audit.entry import unpack_sections
from gateway.audit.note import read_unsigned
from gateway.audit.place import Place
from gateway.audit.reading.reader import snapshot
from gateway.audit.sqlite import Connection
from gateway.audit.tiles import TILE_BITS, TileName, entry_bundle
from gateway.audit.tree import StoredTree, previous_head, read_sealed_head


class Head(NamedTuple):
    """A published checkpoint: its signed note, how many records it covers, and when it was made.

    `published_at_us` is system time in microseconds; without growth it is renewed by each
    heartbeat of the integrator.
    """

    note: str
    size: int
    published_at_us: int


def published_head(place: Place) -> Head | None:
    """Return the newest published checkpoint of a shard, or None before the first.

    Of the newest shard that is the sealed head, never what is committed and not published yet: a
    head that outsiders have seen must be one that this host would miss after a rollback.
    """
    sealed = read_sealed_head(place.parent)
    with snapshot(place) as db:
        return _head(db, sealed)


def read_tile(place: Place, name: TileName) -> bytes | None:
    """Return a hash tile or a bundle of entries, of any width the published size has, or None."""
    sealed = read_sealed_head(place.parent)
    with snapshot(place) as db:
        head = _head(db, sealed)
        there = head.size >> ((name.level or 0) * TILE_BITS) if head is not None else 0
        first = name.number << TILE_BITS
        if first + name.width > there:
            return None
        if name.level is not None:
            return b"".join(StoredTree(db).hashes(name.level, first, name.width))
        rows = db.execute(
            "SELECT entry FROM audit_record WHERE leaf_index >= ? AND leaf_index < ?"
            " ORDER BY leaf_index",
            (first, first + name.width),
        ).fetchall()
        return entry_bundle([bytes(row[0]) for row in rows])


def verifier_key(place: Place) -> str:
    """Return the key that signs a shard's checkpoints, as its first record gives it."""
    with snapshot(place) as db:
        stored = db.execute("SELECT sections FROM audit_record WHERE leaf_index = 0").fetchone()[0]
    core = next(item.body for item in unpack_sections(bytes(stored)) if item.name == "core")
    return str(orjson.loads(core)["vkey"])


def _head(db: Connection, sealed_head: str | None) -> Head | None:
    """Return the published head; `sealed_head` was read before `db`, which so covers it."""
    origin = db.execute("SELECT origin FROM audit_head").fetchone()[0]
    at_us: int = db.execute("SELECT published_at FROM audit_tree").fetchone()[0]
    if sealed_head is not None and sealed_head.startswith(f"{origin}\n"):
        return Head(sealed_head, read_unsigned(sealed_head).size, at_us)
    if sealed_head is not None and sealed_head == previous_head(db):
        return None  # whatever this shard has signed, nothing of it was published yet
    newest = db.execute(
        "SELECT note, size FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
    ).fetchone()
    return None if newest is None else Head(newest[0], newest[1], at_us)
