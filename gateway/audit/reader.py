"""The log read without writing to it: for verification, proofs and search."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, overload

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.keys import LogKeys
from gateway.audit.merkle import inclusion_proof
from gateway.audit.note import Verifier, format_proof
from gateway.audit.place import (
    SCHEMA_PREFIX,
    LogHome,
    Place,
    PostgresFailed,
    PostgresHome,
    PostgresLog,
    place_of,
)
from gateway.audit.sqlite import Connection, open_for_reading
from gateway.audit.store import LogUnavailable
from gateway.audit.tree import StoredTree, previous_head, read_sealed_head
from gateway.audit.verify import Fault, LogImage, Progress, Report, Row, TileRow, verify

_ROWS: Final = """
SELECT r.leaf_index, r.record_id, r.exchange, r.kind, r.t, r.leaf_hash, r.entry, r.sections,
       k.kek_id, k.wrapped
FROM audit_record AS r LEFT JOIN audit_key AS k USING (leaf_index) ORDER BY r.leaf_index"""
_SHARD: Final = re.compile(r"([0-9]{4})(?:-([1-9][0-9]*))?", re.ASCII)
_TILES: Final = "SELECT level, idx, root, hashes FROM audit_tile WHERE level = 0 ORDER BY idx"
_UPPER_TILES: Final = (
    "SELECT level, idx, root, hashes FROM audit_tile WHERE level > 0 ORDER BY level, idx"
)


@overload
def find_log(home: Path) -> Path:
    """Return a file."""


@overload
def find_log(home: PostgresHome) -> PostgresLog:
    """Return a schema."""


@overload
def find_log(home: LogHome) -> Place:
    """Return either."""


def find_log(home: LogHome) -> Place:
    """Return the newest shard of a log; raise LogUnavailable if there is none."""
    shards = find_shards(home)
    if not shards:
        where = "PostgreSQL" if isinstance(home, PostgresHome) else home
        raise LogUnavailable(f"there is no audit log in {where}")
    return shards[-1]


@overload
def find_shards(home: Path) -> list[Path]:
    """Return files."""


@overload
def find_shards(home: LogHome) -> list[Place]:
    """Return either."""


def find_shards(home: LogHome) -> list[Place] | list[Path]:
    """Return all shards of a log, the oldest first; raise LogUnavailable if it cannot be told."""
    named = [(_SHARD.fullmatch(name), name) for name in _names(home)]
    return [
        place_of(home, name) for _, name in sorted((_age(it), name) for it, name in named if it)
    ]


def _names(home: LogHome) -> list[str]:
    if not isinstance(home, PostgresHome):
        return [path.stem.removeprefix("audit-") for path in home.glob("audit-*.db")]
    # Imported where it is needed: a gateway on SQLite starts without PostgreSQL's drivers.
    from gateway.audit.postgres_session import shard_schemas

    try:
        return [schema.removeprefix(SCHEMA_PREFIX) for schema in shard_schemas(home.url)]
    except PostgresFailed as failure:
        raise LogUnavailable(f"the audit log cannot be read: {failure}") from failure


def shard_name(place: Place) -> str:
    """Return a shard's name, the last part of its origin: the year it began, and which of it."""
    return place.stem.removeprefix("audit-")


def _age(found: re.Match[str]) -> tuple[int, int]:
    """Return what shards are ordered by: by their bare names 2026-10 would go before 2026-2."""
    return int(found[1]), int(found[2] or 1)


@contextmanager
def snapshot(place: Place) -> Iterator[Connection]:
    """Open one unchanging moment of the log for reading; raise LogUnavailable where it breaks."""
    if isinstance(place, PostgresLog):
        with _postgres_snapshot(place) as session:
            yield session
        return
    if not place.exists():
        raise LogUnavailable(f"there is no audit log at {place}")
    try:
        db = open_for_reading(place)
        try:
            db.execute("BEGIN")
            yield db
        finally:
            db.close()
    except sqlite.Error as broken:
        raise LogUnavailable(f"the audit log cannot be read: {broken}") from broken


@contextmanager
def _postgres_snapshot(place: PostgresLog) -> Iterator[Connection]:
    # Imported where it is needed: a gateway on SQLite starts without PostgreSQL's drivers.
    from gateway.audit.postgres_session import open_session

    try:
        session = open_session(place, reads=True)
        try:
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield session
        finally:
            session.close()
    except PostgresFailed as broken:
        raise LogUnavailable(f"the audit log cannot be read: {broken}") from broken


def verify_log(
    path: Place,
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


def _is_of_another_shard(path: Place, db: Connection, sealed_head: str | None) -> bool:
    """Tell whether the sealed head is rightly that of a newer shard, or of the one before."""
    home = PostgresHome(path.url, path.parent) if isinstance(path, PostgresLog) else path.parent
    if path in find_shards(home)[:-1]:
        origin = db.execute("SELECT origin FROM audit_head").fetchone()[0]
        return sealed_head is not None and not sealed_head.startswith(f"{origin}\n")
    unsigned = db.execute("SELECT count(*) FROM audit_checkpoint").fetchone()[0] == 0
    return unsigned and sealed_head is not None and previous_head(db) == sealed_head


def prove(path: Place, index: int) -> str:
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
