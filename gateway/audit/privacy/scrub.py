"""What an erasure leaves behind in SQLite's files besides the rows: the pages of its WAL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.disk.beside import change_beside
from gateway.audit.disk.locks import FileLock
from gateway.audit.place import Place, PostgresFailed, PostgresLog
from gateway.audit.sqlite import LOCK_NAME, open_database
from gateway.audit.store import KeyChange, LogUnavailable, Overtaken

ERASE_SQL: Final = "SELECT audit_erase(?::bigint[], ?::bytea[], ?::bytea[])"


def empty_wal(path: Path) -> bool:
    """Move the write-ahead log into the log's file and empty it; tell whether that could be done.

    Pages in it may hold keys that the file has no longer. Whoever reads an earlier moment of the
    log keeps it from being emptied. Raises LogUnavailable where the file fails.
    """
    lock = FileLock(path.parent / LOCK_NAME)
    try:
        with lock:
            db = open_database(path)
            try:
                db.execute("PRAGMA busy_timeout = 0")  # no exchange waits for a reader
                return not db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                db.close()
    except sqlite.Error as broken:
        raise LogUnavailable(f"the audit log cannot be cleaned: {broken}") from broken
    finally:
        lock.close()


def rewrite(place: Place, changes: Sequence[KeyChange]) -> None:
    """Overwrite keys in an ended shard, which takes no records.

    All of it is one transaction. Raises Overtaken, having changed nothing, where keys are not as
    they were read, and LogUnavailable where the store fails.
    """
    if isinstance(place, PostgresLog):
        if changes:
            _rewrite_postgres(place, changes)
    else:
        _rewrite_file(place, changes)


def _rewrite_postgres(place: PostgresLog, changes: Sequence[KeyChange]) -> None:
    # Imported where it is needed: a gateway on SQLite starts without PostgreSQL's drivers.
    from gateway.audit.upkeep import open_upkeep

    try:
        upkeep = open_upkeep(place)
        try:
            with upkeep.writing() as db:
                indices, wrapped, anew = map(list, zip(*changes, strict=True))
                changed = db.execute(ERASE_SQL, (indices, anew, wrapped)).fetchone()[0]
                if changed != len(changes):
                    raise Overtaken("a key was changed meanwhile")
        finally:
            upkeep.close()
    except PostgresFailed as broken:
        raise LogUnavailable(f"keys of an ended shard cannot be erased: {broken}") from broken


def _rewrite_file(path: Path, changes: Sequence[KeyChange]) -> None:
    lock = FileLock(path.parent / LOCK_NAME)
    try:
        with lock:
            db = open_database(path)
            try:
                db.execute("BEGIN IMMEDIATE")
                for change in changes:
                    change_beside(db, change)
                db.execute("COMMIT")
            finally:
                db.close()  # what is not committed is rolled back
    except sqlite.Error as broken:
        raise LogUnavailable(f"keys of an ended shard cannot be erased: {broken}") from broken
    finally:
        lock.close()
