"""The SQLite driver: one file per shard, safe for several writing processes on one host."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.day_people import DAY_PEOPLE_TABLES, count_people
from gateway.audit.disk.beside import BESIDE, change_beside
from gateway.audit.disk.doubt import prepare_doubt, set_doubt
from gateway.audit.disk.inserts import Insertion
from gateway.audit.disk.locks import FileLock
from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.grants import GRANT_TABLES, find_grant, use_grant
from gateway.audit.holds import HOLD_TABLES
from gateway.audit.keys.log_keys import sync_directory
from gateway.audit.seal import Sealed
from gateway.audit.store import (
    AlreadyClosed,
    Answer,
    Append,
    AppendRefused,
    Change,
    Claim,
    ClaimTaken,
    CounterExceeded,
    Grant,
    GrantUse,
    LogBusy,
    LogFrozen,
    LogFull,
    LogUnavailable,
    PeopleChange,
    Position,
    RecordRepeated,
)
from gateway.clock import monotonic_s, system_time_us

# The module has no type information; what it returns is checked by the STRICT tables below.
Connection = Any

# WAL mode with several connections can lose committed writes before these (the WAL-reset bug);
# 3.52.0 was withdrawn. Design section 6.
FIXED_VERSION: Final = (3, 51, 3)
BACK_PORTS: Final = {(3, 50): 7, (3, 44): 6}
WITHDRAWN_VERSIONS: Final = frozenset({(3, 52, 0)})

# Without an adapter of its own, every `bytes` value is asked in vain for two protocols, each ending
# in an exception inside the module: a third of an insert's time. This returns what it gets.
sqlite.register_adapter(bytes, bytes.__bytes__)

BUSY_TIMEOUT_S: Final = 1.0
CACHE_KIB: Final = 16_384
# The log's writers alone move pages from the WAL into the file, about every 16 MiB.
CHECKPOINT_PAGES: Final = 4_000

LOCK_NAME: Final = "audit.lock"

# The low byte of SQLite's extended error codes is the kind of error.
PRIMARY_CODE: Final = 0xFF

# Of the states of a shard, the only one that takes records, and that of one that has ended well.
OPEN_STATE: Final = "open"
SEALED_STATE: Final = "sealed"

# Each look at a member of an enumeration is a call in Python 3.11.
_INTENT: Final = Kind.INTENT
_CLOSING: Final = frozenset({Kind.OUTCOME, Kind.INDETERMINATE})
_SCHEMA: Final = """
CREATE TABLE audit_head (
    one INTEGER PRIMARY KEY CHECK (one = 1), origin TEXT NOT NULL, epoch INTEGER NOT NULL,
    state TEXT NOT NULL, next_index INTEGER NOT NULL) STRICT;
CREATE TABLE audit_record (
    leaf_index INTEGER PRIMARY KEY, record_id BLOB NOT NULL UNIQUE, exchange BLOB,
    kind INTEGER NOT NULL, t INTEGER NOT NULL, leaf_hash BLOB NOT NULL, entry BLOB NOT NULL,
    sections BLOB NOT NULL) STRICT;
CREATE TABLE audit_key (
    leaf_index INTEGER PRIMARY KEY, kek_id INTEGER NOT NULL, wrapped BLOB NOT NULL) STRICT;
CREATE TABLE audit_open (
    exchange BLOB PRIMARY KEY, intent_index INTEGER NOT NULL, instance TEXT NOT NULL,
    started INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE audit_claim (
    key BLOB PRIMARY KEY, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE audit_counter (
    key BLOB PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE audit_tree (
    one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root BLOB NOT NULL,
    published_size INTEGER NOT NULL, published_at INTEGER NOT NULL) STRICT;
CREATE TABLE audit_tile (
    level INTEGER NOT NULL, idx INTEGER NOT NULL, root BLOB NOT NULL, hashes BLOB NOT NULL,
    PRIMARY KEY (level, idx)) STRICT;
CREATE TABLE audit_checkpoint (
    size INTEGER PRIMARY KEY, note TEXT NOT NULL, cosigned TEXT,
    made_at INTEGER NOT NULL) STRICT;
"""

INSERT_RECORD: Final = "INSERT INTO audit_record VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_KEY: Final = "INSERT INTO audit_key VALUES (?, ?, ?)"
_TAKE_INDICES: Final = """
UPDATE audit_head SET next_index = next_index + ? RETURNING next_index, state"""
_RECORDS: Final = Insertion(INSERT_RECORD)
_KEYS: Final = Insertion(INSERT_KEY)
_OPENED: Final = Insertion("INSERT INTO audit_open VALUES (?, ?, ?, ?)")
_DELETE_OPEN: Final = "DELETE FROM audit_open WHERE exchange = ?"
_TAKE_CLAIM: Final = """
INSERT INTO audit_claim VALUES (?1, ?2)
ON CONFLICT (key) DO UPDATE SET expires = excluded.expires WHERE audit_claim.expires <= ?3"""
_FIND_CLAIM: Final = "SELECT 1 FROM audit_claim WHERE key = ? AND expires > ?"
_CHANGE_COUNTER: Final = """
INSERT INTO audit_counter SELECT ?1, max(?2, 0) WHERE ?2 <= ?3 OR ?2 <= 0
ON CONFLICT (key) DO UPDATE SET value = max(audit_counter.value + ?2, 0)
WHERE audit_counter.value + ?2 <= ?3 OR ?2 <= 0"""


def check_sqlite_version(version: tuple[int, int, int]) -> None:
    """Raise LogUnavailable unless this SQLite is free of the WAL-reset bug."""
    if version in WITHDRAWN_VERSIONS or (
        version < FIXED_VERSION and version[2] < BACK_PORTS.get(version[:2], 1 << 30)
    ):
        raise LogUnavailable(
            f"SQLite {'.'.join(map(str, version))} can lose committed audit records (the WAL-reset"
            " bug); 3.51.3 or newer is needed: install the pysqlite3 package's wheel"
        )


def database_path(directory: Path, origin: str) -> Path:
    """Return the file of a log's shard, which its origin's last part names."""
    return directory / f"audit-{origin.rpartition('/')[2]}.db"


def open_database(path: Path, *, checkpoint_pages: int = 0) -> Connection:
    """Open the log's file for writing, with every setting that durability rests on."""
    check_sqlite_version(sqlite.sqlite_version_info)
    db = sqlite.connect(
        str(path), isolation_level=None, timeout=BUSY_TIMEOUT_S, check_same_thread=False
    )
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}")
    db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    # A table that grows beyond its first page leaves a copy of its first rows there, keys too, that
    # no later overwriting would reach (I9). FAST zeroes where that writes no page more.
    db.execute("PRAGMA secure_delete = FAST")
    if mode != "wal" or db.execute("PRAGMA synchronous").fetchone()[0] != 2:
        db.close()
        raise LogUnavailable("SQLite refused the journal mode or sync level that the log needs")
    return db


def open_for_reading(path: Path) -> Connection:
    """Open the log's file so that nothing can be written through the connection."""
    check_sqlite_version(sqlite.sqlite_version_info)
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def provision(directory: Path, origin: str, first: Sealed, empty_root: bytes) -> Path:
    """Make the log's file with its first record if there is none; return its path.

    Raises LogUnavailable if the file is another log's.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = database_path(directory, origin)
    lock = FileLock(directory / LOCK_NAME)
    try:
        with lock:
            prepare_doubt(directory)
            db = open_database(path)
            try:
                _create(db, origin, first, empty_root)
                for statement in (*GRANT_TABLES, *DAY_PEOPLE_TABLES, *HOLD_TABLES):
                    db.execute(statement)
                found = db.execute("SELECT origin FROM audit_head").fetchone()[0]
            finally:
                db.close()
    except sqlite.Error as broken:
        raise LogUnavailable(f"the audit log cannot be opened: {broken}") from broken
    finally:
        lock.close()
    if found != origin:
        raise LogUnavailable(f"the audit file belongs to the log {found}, not to {origin}")
    return path


def _create(db: Connection, origin: str, first: Sealed, empty_root: bytes) -> None:
    if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'audit_head'").fetchone():
        return
    db.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA.split(";"):
        db.execute(statement)
    db.execute("INSERT INTO audit_head VALUES (1, ?, 1, ?, 1)", (origin, OPEN_STATE))
    db.execute("INSERT INTO audit_tree VALUES (1, 0, ?, 0, 0)", (empty_root,))
    db.execute(INSERT_RECORD, record_row(0, first))
    if first.wrapped_keys is not None:
        db.execute(INSERT_KEY, (0, first.day, first.wrapped_keys))
    db.execute("COMMIT")


def failure_of(broken: sqlite.Error, directory: Path) -> LogUnavailable:
    """Return what an error of SQLite means to the log; an I/O error puts it in doubt."""
    code = (getattr(broken, "sqlite_errorcode", None) or 0) & PRIMARY_CODE
    if code == sqlite.SQLITE_FULL:
        return LogFull("the disk of the audit log is full")
    if code == sqlite.SQLITE_IOERR:
        set_doubt(directory)
    return LogUnavailable(f"the audit store failed: {broken}")


class SqliteStore:
    """Appends batches, each in one transaction with one sync.

    Writers of all processes queue on one `flock`, where the kernel wakes the next; SQLite's own
    waiting would poll. The connection stays open, so that the WAL is never made anew.
    """

    def __init__(self, path: Path, *, instance: str) -> None:
        """Open a provisioned log; `instance` is who will have opened its exchanges."""
        self._directory = path.parent
        self._lock = FileLock(path.parent / LOCK_NAME)
        self._db = open_database(path, checkpoint_pages=CHECKPOINT_PAGES)
        # The WAL is there now, and stays while this connection does. SQLite passes over a failed
        # sync of its directory entry, so that is done here, before anything is promised.
        sync_directory(path.parent)
        self._instance = instance
        self._waiter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit-lock")

    async def append(self, batch: Sequence[Append]) -> Sequence[Answer]:
        """Store a batch; see LogStore.

        The commit runs in the event loop, which was measured to cost less than a hand-over to a
        thread. Waiting for another process's commit does not: a stopped one must not stop us.
        """
        waited = not self._lock.try_acquire()
        if waited:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._waiter, self._lock.acquire)
        try:
            return self._append_in_time(batch) if waited else self._append_locked(batch)
        except sqlite.Error as broken:
            raise failure_of(broken, self._directory) from broken
        finally:
            if self._db.in_transaction:
                self._db.rollback()
            self._lock.release()

    async def find_grant(self, holder: bytes, words: bytes) -> Grant | None:
        """Read a grant as the last commit of any process left it; see LogStore."""
        try:
            return find_grant(self._db, holder, words)
        except sqlite.Error as broken:
            raise LogUnavailable(f"the audit store failed: {broken}") from broken

    async def is_claimed(self, key: bytes) -> bool:
        """Look for a claim as the last commit of any process left it; see LogStore."""
        try:
            row = self._db.execute(_FIND_CLAIM, (key, system_time_us())).fetchone()
        except sqlite.Error as broken:
            raise LogUnavailable(f"the audit store failed: {broken}") from broken
        return row is not None

    def close(self) -> None:
        """Close the file."""
        self._waiter.shutdown(wait=False)
        self._db.close()
        self._lock.close()

    def _append_in_time(self, batch: Sequence[Append]) -> list[Answer]:
        """Store what nobody gave up while the lock was waited for."""
        now_s = monotonic_s()
        in_time = [item for item in batch if item.deadline_s >= now_s]
        stored = iter(self._append_locked(in_time) if in_time else ())
        late = LogBusy("the audit log did not answer in time")
        return [next(stored) if item.deadline_s >= now_s else late for item in batch]

    def _append_locked(self, batch: Sequence[Append]) -> list[Position | AppendRefused]:
        base = self._begin(len(batch))
        try:
            self._write(base, batch)
        except (AppendRefused, sqlite.IntegrityError):
            self._db.execute("ROLLBACK")
        else:
            self._db.execute("COMMIT")
            return [
                Position(index, item.sealed.leaf_hash) for index, item in enumerate(batch, base)
            ]
        index = self._begin(0)
        answers: list[Position | AppendRefused] = []
        for item in batch:
            answer = self._write_alone(index, item)
            answers.append(answer)
            if isinstance(answer, Position) and answer.index == index:
                index += 1
        self._db.execute("UPDATE audit_head SET next_index = ?", (index,))
        self._db.execute("COMMIT")
        return answers

    def _begin(self, count: int) -> int:
        """Begin to write records that take the next `count` indices; return the first of those."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite.OperationalError as locked:
            if "locked" not in str(locked):
                raise
            raise LogBusy("another program holds the audit file") from locked
        ((next_index, state),) = self._db.execute(_TAKE_INDICES, (count,)).fetchall()
        if state != OPEN_STATE:
            raise LogFrozen(f"the audit log is {state}")
        return int(next_index) - count

    def _write(self, base: int, batch: Sequence[Append]) -> None:
        """Write all of a batch, or raise for the first record that cannot be."""
        db, now_us, closed = self._db, 0, list[tuple[bytes | None]]()
        records, keys, opened = list[object](), list[object](), list[object]()
        for index, (sealed, claims, releases, counters, _) in enumerate(batch, base):
            record_id, kind, exchange, at_us, leaf_hash, entry, sections, day, wrapped = sealed
            code = KIND_CODES[kind]
            records += (index, record_id, exchange, code, at_us, leaf_hash, entry, sections)
            if wrapped is not None:
                keys += (index, day, wrapped)
            if kind is _INTENT:
                opened += (exchange, index, self._instance, at_us)
            elif kind in _CLOSING:
                closed.append((exchange,))
            if releases or claims or counters:
                now_us = now_us or system_time_us()
                self._release(releases)
                self._take(claims, now_us)
                self._count(counters)
        # The open row is the arbiter: whoever deletes it writes the one terminal record (I4).
        if closed and db.executemany(_DELETE_OPEN, closed).rowcount != len(closed):
            raise AlreadyClosed("the exchange has its terminal record")
        _RECORDS.run(db, records)
        _KEYS.run(db, keys)
        _OPENED.run(db, opened)

    def _write_alone(self, index: int, item: Append) -> Position | AppendRefused:
        self._db.execute("SAVEPOINT alone")
        try:
            self._write(index, [item])
        except (AppendRefused, sqlite.IntegrityError) as refused:
            self._db.execute("ROLLBACK TO alone")
            # One that stays would slow every later record of the batch.
            self._db.execute("RELEASE alone")
            if isinstance(refused, sqlite.IntegrityError):
                return self._find_repeated(item.sealed)
            if not isinstance(refused, AlreadyClosed) or item.sealed.kind is not Kind.OUTCOME:
                return refused
            late = Append(item.sealed.as_late(), item.claims, item.releases, item.counters)
            return self._write_alone(index, late)
        self._db.execute("RELEASE alone")
        return Position(index, item.sealed.leaf_hash)

    def _find_repeated(self, sealed: Sealed) -> Position | AppendRefused:
        """Answer a retry of a record that is already stored with the place it has."""
        found = self._db.execute(
            "SELECT leaf_index, leaf_hash FROM audit_record WHERE record_id = ?",
            (sealed.record_id,),
        ).fetchone()
        if found is not None and found[1] == sealed.leaf_hash:
            return Position(found[0], found[1])
        return RecordRepeated("the record or its open exchange is already in the log")

    def _release(self, keys: Iterable[bytes]) -> None:
        self._db.executemany("DELETE FROM audit_claim WHERE key = ?", [(key,) for key in keys])

    def _take(self, claims: Iterable[Claim], now_us: int) -> None:
        for key, expires_at_us in claims:
            if not self._db.execute(_TAKE_CLAIM, (key, expires_at_us, now_us)).rowcount:
                raise ClaimTaken(key)

    def _count(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if isinstance(change, GrantUse):
                use_grant(self._db, change)
            elif isinstance(change, BESIDE):
                change_beside(self._db, change)
            else:
                net = count_people(self._db, change) if isinstance(change, PeopleChange) else change
                if not self._db.execute(_CHANGE_COUNTER, net).rowcount:
                    raise CounterExceeded(net.key)


def record_row(index: int, sealed: Sealed) -> tuple[object, ...]:
    """Return the columns of `INSERT_RECORD`."""
    return (
        index,
        sealed.record_id,
        sealed.exchange,
        KIND_CODES[sealed.kind],
        sealed.at_us,
        sealed.leaf_hash,
        sealed.entry,
        sealed.sections,
    )
