"""The log read without writing to it: for verification, proofs and search."""

from __future__ import annotations

import multiprocessing
import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import starmap, takewhile
from pathlib import Path
from typing import Final, overload

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.keys.files import KeysUnavailable
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.note import Verifier
from gateway.audit.place import (
    SCHEMA_PREFIX,
    LogHome,
    Place,
    PostgresFailed,
    PostgresHome,
    PostgresLog,
    home_of,
    place_of,
)
from gateway.audit.reading.damage import find_damage
from gateway.audit.reading.glance import glance
from gateway.audit.reading.rows import check_rows, join_spans
from gateway.audit.sqlite import Connection, open_for_reading
from gateway.audit.store import LogUnavailable
from gateway.audit.tiles import Tile
from gateway.audit.tree import previous_head, read_sealed_head
from gateway.audit.verify import (
    Fault,
    LogImage,
    Progress,
    Report,
    Span,
    verify,
)

ROWS_PER_PART: Final = 16_384
"""Rows that a process checks at a time: its leaf hashes take half a MiB on their way back."""
PARTS_AHEAD: Final = 2
"""Parts beyond one for each process that may wait for the tree to take them."""
INDEX_MAX: Final = 2**63 - 1

# Of PostgreSQL's codes those that tell of the server and not of what it stores (appendix A of its
# manual): connection exceptions, insufficient resources, operator intervention.
_SERVER_TROUBLE: Final = ("08", "53", "57")

_ROWS: Final = """
SELECT r.leaf_index, r.record_id, r.exchange, r.kind, r.t, r.leaf_hash, r.entry, r.sections,
       k.kek_id, k.wrapped
FROM audit_record AS r LEFT JOIN audit_key AS k USING (leaf_index)
WHERE r.leaf_index >= ? AND r.leaf_index < ? ORDER BY r.leaf_index"""
_ROWS_WITHOUT_KEYS: Final = """
SELECT leaf_index, record_id, exchange, kind, t, leaf_hash, entry, sections
FROM audit_record WHERE leaf_index >= ? AND leaf_index < ? ORDER BY leaf_index"""
_REPEATED: Final = """
SELECT max(leaf_index) FROM audit_record GROUP BY record_id HAVING count(*) > 1 ORDER BY 1"""
_SHARD: Final = re.compile(r"([0-9]{4})(?:-([1-9][0-9]*))?", re.ASCII)
_TILES: Final = "SELECT level, idx, root, hashes FROM audit_tile WHERE level = 0 ORDER BY idx"
_UPPER_TILES: Final = (
    "SELECT level, idx, root, hashes FROM audit_tile WHERE level > 0 ORDER BY level, idx"
)


class CannotTell(LogUnavailable):
    """What is asked of the log cannot be told now; that says nothing about the log itself."""


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
    from gateway.audit.postgresql.session import shard_schemas

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
    """Open one unchanging moment of the log for reading; raise LogUnavailable where it breaks.

    Where it is not the log that fails, but its keys or PostgreSQL's server, that is a CannotTell.
    """
    with _session(place) as db:
        postgres = isinstance(place, PostgresLog)
        db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if postgres else "BEGIN")
        yield db


@contextmanager
def passing(place: Place) -> Iterator[Connection]:
    """Open the log for reading, each statement of it a moment of its own; see LogUnavailable.

    For what takes as long as somebody else pleases: a moment that is held keeps SQLite's
    write-ahead log from starting over, until the disk has no room for it. Records once written
    are never changed; keys may go between two statements. All rows of a statement must be fetched
    at once.
    """
    with _session(place) as db:
        if isinstance(place, PostgresLog):
            db.execute("SET default_transaction_read_only = on")
        yield db


@contextmanager
def _session(place: Place) -> Iterator[Connection]:
    if isinstance(place, PostgresLog):
        with _postgres_session(place) as session:
            yield session
        return
    if not place.exists():
        raise LogUnavailable(f"there is no audit log at {place}")
    try:
        db = open_for_reading(place)
        try:
            yield db
        finally:
            db.close()
    except (sqlite.Error, UnicodeDecodeError) as broken:
        # What SQLite says of a broken file may quote octets that are no text.
        raise LogUnavailable(f"the audit log {place.name} cannot be read: {broken}") from broken
    except KeysUnavailable as missing:
        raise CannotTell(f"the audit log {place.name} cannot be read: {missing}") from missing


@contextmanager
def _postgres_session(place: PostgresLog) -> Iterator[Connection]:
    # Imported where it is needed: a gateway on SQLite starts without PostgreSQL's drivers.
    from gateway.audit.postgresql.session import open_session

    try:
        session = open_session(place, reads=True)
        try:
            yield session
        finally:
            session.close()
    except PostgresFailed as broken:
        of_server = broken.sqlstate is None or broken.sqlstate.startswith(_SERVER_TROUBLE)
        failure = CannotTell if of_server else LogUnavailable
        raise failure(f"the audit log {place.name} cannot be read: {broken}") from broken
    except KeysUnavailable as missing:
        raise CannotTell(f"the audit log {place.name} cannot be read: {missing}") from missing


def verify_log(
    path: Place,
    *,
    vkey: str | None = None,
    keys: LogKeys | None = None,
    progress: Progress | None = None,
    jobs: int = 1,
) -> Report:
    """Verify a log's file against itself, the sealed head beside it and, if given, its key.

    Without `vkey` signatures are not checked: the file alone cannot tell who signed. Without
    `keys` sealed sections are not opened, and the report counts them. A file that SQLite itself
    cannot read through is reported as a fault too. `jobs` is in how many processes the rows of a
    large log are checked. Raises CannotTell where the verification itself cannot be done.
    """
    verifier = Verifier.parse(vkey) if vkey is not None else None
    # Read first: what the head covers was committed before it was written.
    sealed_head = read_sealed_head(path.parent)
    try:
        with snapshot(path) as db:
            if _is_of_another_shard(path, db, sealed_head):
                sealed_head = None
            image = _image(db, sealed_head, _checked(db, path, keys, jobs))
            return verify(image, verifier=verifier, progress=progress)
    except CannotTell:
        raise
    except LogUnavailable as broken:
        fault = Fault(0, str(broken))
        return Report(
            ok=False, size=0, root=b"", signed_size=0, checkpoints=0, opened=0, erased=0,
            unopened=0, faults=(fault,), faults_in_all=1,
        )  # fmt: skip


def ended_shard(place: Place, sealed_head: str | None) -> Place | None:
    """Return the shard before this one that a sealed head is of; None where it is of none.

    A host may have been away while another ended a shard in PostgreSQL.
    """
    name = (sealed_head or "").partition("\n")[0].rpartition("/")[2]
    older = takewhile(lambda shard: shard != place, find_shards(home_of(place)))
    return next((shard for shard in older if shard_name(shard) == name), None)


def _is_of_another_shard(path: Place, db: Connection, sealed_head: str | None) -> bool:
    """Tell whether the sealed head is rightly that of a newer shard, or of the one before."""
    if path in find_shards(home_of(path))[:-1]:
        origin = db.execute("SELECT origin FROM audit_head").fetchone()[0]
        return sealed_head is not None and not sealed_head.startswith(f"{origin}\n")
    if isinstance(path, PostgresLog) and ended_shard(path, sealed_head) is not None:
        return True
    unpublished = not db.execute("SELECT published_size FROM audit_tree").fetchone()[0]
    return unpublished and sealed_head is not None and previous_head(db) == sealed_head


def structural_faults(place: Place) -> tuple[str, ...]:
    """Return what SQLite finds wrong with a file's own structure; none is good.

    PostgreSQL looks after its own: see its `amcheck`. Raises LogUnavailable where it cannot look.
    """
    if isinstance(place, PostgresLog):
        return ()
    with snapshot(place) as db:
        return find_damage(db)


def _image(db: Connection, sealed_head: str | None, spans: Iterable[Span]) -> LogImage:
    origin, next_index = db.execute("SELECT origin, next_index FROM audit_head").fetchone()
    size, root = db.execute("SELECT size, root FROM audit_tree").fetchone()
    return LogImage(
        origin=origin,
        next_index=next_index,
        tree_size=size,
        tree_root=root,
        spans=spans,
        tiles=starmap(Tile, db.execute(_TILES)),
        upper_tiles=starmap(Tile, db.execute(_UPPER_TILES)),
        notes=db.execute("SELECT size, note FROM audit_checkpoint ORDER BY size"),
        repeated=(row[0] for row in db.execute(_REPEATED)),
        sealed_head=sealed_head,
    )


def _checked(db: Connection, place: Place, keys: LogKeys | None, jobs: int) -> Iterator[Span]:
    """Check every row of this moment.

    Of several processes each reads from a moment of its own: what is below the next index of this
    one is the same in all of them.
    """
    origin, next_index = db.execute("SELECT origin, next_index FROM audit_head").fetchone()
    yield from _check(db, keys, origin, (-INDEX_MAX, 0), next_index)
    if jobs > 1 and next_index > ROWS_PER_PART:
        yield from _check_in_processes(place, keys, origin, next_index, jobs)
    else:
        yield from _check(db, keys, origin, (0, next_index), next_index)
    yield from _check(db, keys, origin, (next_index, INDEX_MAX), next_index)


def _check(
    db: Connection, keys: LogKeys | None, origin: str, within: tuple[int, int], end: int
) -> Iterator[Span]:
    """Check the rows with indices `within` of a log that holds those from 0 to `end`."""
    rows = db.execute(_ROWS_WITHOUT_KEYS if keys is None else _ROWS, within)
    day_key = keys.find_day_key if keys is not None else None
    first, last = max(within[0], 0), min(within[1], end)
    return check_rows(rows, first, last, origin=origin, day_key=day_key, glance=glance)


def _check_in_processes(
    place: Place, keys: LogKeys | None, origin: str, end: int, jobs: int
) -> Iterator[Span]:
    waiting: deque[Future[Span]] = deque()
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        try:
            for first in range(0, end, ROWS_PER_PART):
                within = (first, min(first + ROWS_PER_PART, end))
                waiting.append(pool.submit(_check_part, place, keys, origin, within))
                if len(waiting) > jobs + PARTS_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as died:
            raise CannotTell("a process that verified the log died") from died
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _check_part(place: Place, keys: LogKeys | None, origin: str, within: tuple[int, int]) -> Span:
    with snapshot(place) as db:
        return join_spans(_check(db, keys, origin, within, within[1]))
