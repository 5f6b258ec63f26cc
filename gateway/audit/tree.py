"""The stored tree: hashes read from full tiles and rows, and the start-up check against heads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from gateway.audit.entry import unpack_sections
from gateway.audit.keys.log_keys import sync_directory
from gateway.audit.note import Checkpoint, NoteInvalid, Verifier, open_checkpoint
from gateway.audit.sqlite import Connection
from gateway.audit.store import LogFrozen
from gateway.audit.tiles import subtree_root

SEALED_HEAD_NAME: Final = "sealed-head"

_HAS_SEALED: Final = "SELECT 1 FROM audit_host WHERE name = ?"


class StoredTree:
    """Computes any hash of the tree from what one connection sees."""

    def __init__(self, db: Connection) -> None:
        """Read through this connection; a transaction around it makes one moment of it."""
        self._db = db

    def hashes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """Answer as `tiles.LevelHashes`; raise LogFrozen where a hash is missing."""
        if level:
            statement = (
                "SELECT root FROM audit_tile WHERE level = ? AND idx >= ? AND idx < ? ORDER BY idx"
            )
            values: tuple[int, ...] = (level - 1, first, first + count)
        else:
            statement = (
                "SELECT leaf_hash FROM audit_record WHERE leaf_index >= ? AND leaf_index < ?"
                " ORDER BY leaf_index"
            )
            values = (first, first + count)
        rows = self._db.execute(statement, values).fetchall()
        if len(rows) != count:
            raise LogFrozen(f"hashes of level {level} from {first} on are missing from the log")
        return [row[0] for row in rows]

    def subtree(self, start: int, end: int) -> bytes:
        """Answer as `merkle.SubtreeHash`."""
        return subtree_root(start, end, self.hashes)

    def root(self, size: int) -> bytes:
        """Return the root over the first `size` leaves, at most as many as are integrated."""
        return subtree_root(0, size, self.hashes)


def read_sealed_head(directory: Path) -> str | None:
    """Return the note of the last published checkpoint as this host keeps it, if it does."""
    try:
        return (directory / SEALED_HEAD_NAME).read_text("utf-8")
    except FileNotFoundError:
        return None


def write_sealed_head(directory: Path, note: str) -> None:
    """Write the sealed head whole or not at all: temporary file, sync, rename, sync."""
    path = directory / SEALED_HEAD_NAME
    draft = path.with_name(f".{SEALED_HEAD_NAME}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_directory(directory)


def check_heads(
    db: Connection, sealed_head: str | None, verifier: Verifier, *, host: str | None = None
) -> None:
    """Raise LogFrozen, with a sentence for the operator, unless the log fits every signed head.

    The checks are those of audit-log.md section 2.10: (1) the next index follows the last record;
    (2) the stored root and the newest checkpoint are the tree's; (3) the sealed head, which lies
    outside the database, is not ahead of it and is a prefix of it. A restored backup fails (3).
    `sealed_head` is read before the transaction that `db` is in. `host` is for a log that several
    hosts write to: one that has just joined them, and only such a one, has no sealed head yet.
    """
    next_index = db.execute("SELECT next_index FROM audit_head").fetchone()[0]
    last = db.execute("SELECT max(leaf_index) FROM audit_record").fetchone()[0]
    if next_index != (0 if last is None else last + 1):
        raise LogFrozen(f"the log's next index is {next_index}, but its last record is {last}")
    tree = StoredTree(db)
    size, root, published_size = db.execute(
        "SELECT size, root, published_size FROM audit_tree"
    ).fetchone()
    if size > next_index or tree.root(size) != root:
        raise LogFrozen(f"the stored root of size {size} is not the root of the log's records")
    newest = db.execute("SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    if newest is not None:
        check_head(tree, size, newest[0], verifier, name="newest checkpoint")
    if sealed_head is not None:
        if not published_size and previous_head(db) == sealed_head:
            return  # the shard has just begun, and the head is that of the one before it
        check_head(tree, size, sealed_head, verifier, name="sealed head")
    elif host is None and published_size:
        raise LogFrozen("the sealed head is missing, though checkpoints were published")
    elif host is not None and db.execute(_HAS_SEALED, (host,)).fetchone() is not None:
        raise LogFrozen("this host's sealed head is missing, though it has sealed one")


def previous_head(db: Connection) -> str | None:
    """Return the last checkpoint of the shard before, as this one's first record carries it."""
    stored = db.execute("SELECT sections FROM audit_record WHERE leaf_index = 0").fetchone()[0]
    core = next(item.body for item in unpack_sections(bytes(stored)) if item.name == "core")
    previous: str | None = orjson.loads(core).get("previous")
    return previous


def check_head(
    tree: StoredTree, size: int, note: str, verifier: Verifier, *, name: str
) -> Checkpoint:
    """Return a signed head that the first `size` leaves of a tree fit; raise LogFrozen if not."""
    try:
        head = open_checkpoint(note, verifier)
    except NoteInvalid as invalid:
        raise LogFrozen(f"the {name} cannot be trusted: {invalid}") from invalid
    if head.size > size:
        raise LogFrozen(
            f"the {name} covers {head.size} records, but the log holds {size} of them: it was"
            " rolled back, perhaps by restoring a backup"
        )
    if tree.root(head.size) != head.root:
        raise LogFrozen(f"the {name} of size {head.size} does not fit the log's records")
    return head
