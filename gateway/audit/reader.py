"""The log's file read without writing to it: for verification, proofs and search."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.keys import LogKeys
from gateway.audit.merkle import inclusion_proof
from gateway.audit.note import Verifier, format_proof
from gateway.audit.sqlite import Connection, open_for_reading
from gateway.audit.store import LogUnavailable
from gateway.audit.tree import StoredTree, previous_head, read_sealed_head
from gateway.audit.verify import Fault, LogImage, Progress, Report, Row, TileRow, verify

_ROWS: Final = """
SELECT r.leaf_index, r.record_id, r.exchange, r.kind, r.t, r.leaf_hash, r.entry, r.sections,
       k.kek_id, k.wrapped
FROM audit_record AS r LEFT JOIN audit_key AS k USING (leaf_index) ORDER BY r.leaf_index"""
_SHARD: Final = re.compile(r"audit-([0-9]{4})(?:-([1-9][0-9]*))?\.db", re.ASCII)
_TILES: Final = "SELECT level, idx, root, hashes FROM audit_tile WHERE level = 0 ORDER BY idx"
_UPPER_TILES: Final = (
    "SELECT level, idx, root, hashes FROM audit_tile WHERE level > 0 ORDER BY level, idx"
)


def find_log(directory: Path) -> Path:
    """Return the newest shard's file in an audit directory; raise LogUnavailable if none."""
    shards = find_shards(directory)
    if not shards:
        raise LogUnavailable(f"there is no audit log in {directory}")
    return shards[-1]


def find_shards(directory: Path) -> list[Path]:
    """Return the files of all shards in an audit directory, the oldest first."""
    named = [(_SHARD.fullmatch(path.name), path) for path in directory.glob("audit-*.db")]
    return [path for _, path in sorted((_age(found), path) for found, path in named if found)]


def shard_name(path: Path) -> str:
    """Return a shard's name, the last part of its origin: the year it began, and which of it."""
    return path.stem.removeprefix("audit-")


def _age(found: re.Match[str]) -> tuple[int, int]:
    """Return what shards are ordered by: by their bare names 2026-10 would go before 2026-2."""
    return int(found[1]), int(found[2] or 1)


@contextmanager
def snapshot(path: Path) -> Iterator[Connection]:
    """Open one unchanging moment of the log for reading; raise LogUnavailable where it breaks."""
    if not path.exists():
        raise LogUnavailable(f"there is no audit log at {path}")
    try:
        db = open_for_reading(path)
        try:
            db.execute("BEGIN")
            yield db
        finally:
            db.close()
    except sqlite.Error as broken:
        raise LogUnavailable(f"the audit log cannot be read: {broken}") from broken


def verify_log(
    path: Path,
    *,
    vkey: str | None = None,
    keys: LogKeys | None = None,
    progress: Progress | None = None,
) -> Report:
    """Verify a log's file against itself, the sealed head beside it and, if given, its key.

    Without `vkey` signatures are not checked: the file alone cannot tell who signed. Without
    `keys` sealed sections are not opened, and the report counts them. A file that SQLite itself
    cannot read through is reported as a fault too.
    """
    verifier = Verifier.parse(vkey) if vkey is not None else None
    # Read first: what the head covers was committed before it was written.
    sealed_head = read_sealed_head(path.parent)
    try:
        with snapshot(path) as db:
            if _is_of_another_shard(path, db, sealed_head):
                sealed_head = None
            image = _image(db, sealed_head)
            day_key = keys.find_day_key if keys is not None else None
            return verify(image, verifier=verifier, day_key=day_key, progress=progress)
    except LogUnavailable as broken:
        fault = Fault(0, str(broken))
        return Report(
            ok=False, size=0, root=b"", signed_size=0, checkpoints=0, opened=0, erased=0,
            unopened=0, faults=(fault,), faults_in_all=1,
        )  # fmt: skip


def _is_of_another_shard(path: Path, db: Connection, sealed_head: str | None) -> bool:
    """Tell whether the sealed head is rightly that of a newer shard, or of the one before."""
    if path in find_shards(path.parent)[:-1]:
        origin = db.execute("SELECT origin FROM audit_head").fetchone()[0]
        return sealed_head is not None and not sealed_head.startswith(f"{origin}\n")
    unsigned = db.execute("SELECT count(*) FROM audit_checkpoint").fetchone()[0] == 0
    return unsigned and sealed_head is not None and previous_head(db) == sealed_head


def prove(path: Path, index: int) -> str:
    """Return the offline proof (C2SP tlog-proof) that a record is in the newest checkpoint.

    Raises IndexError where no checkpoint covers the record yet.
    """
    with snapshot(path) as db:
        newest = db.execute(
            "SELECT size, note FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
        ).fetchone()
        if newest is None or not 0 <= index < newest[0]:
            raise IndexError("no checkpoint covers this record yet")
        proof = inclusion_proof(index, newest[0], StoredTree(db).subtree)
        return format_proof(index, proof, newest[1])


def _image(db: Connection, sealed_head: str | None) -> LogImage:
    origin, next_index = db.execute("SELECT origin, next_index FROM audit_head").fetchone()
    size, root = db.execute("SELECT size, root FROM audit_tree").fetchone()
    return LogImage(
        origin=origin,
        next_index=next_index,
        tree_size=size,
        tree_root=root,
        rows=map(Row._make, db.execute(_ROWS)),
        tiles=map(TileRow._make, db.execute(_TILES)),
        upper_tiles=map(TileRow._make, db.execute(_UPPER_TILES)),
        notes=db.execute("SELECT size, note FROM audit_checkpoint ORDER BY size"),
        sealed_head=sealed_head,
    )
