"""What an erasure leaves behind in SQLite's files besides the rows: the pages of its WAL."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.locks import FileLock
from gateway.audit.sqlite import LOCK_NAME, open_database
from gateway.audit.store import LogUnavailable, Statement


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


def rewrite(path: Path, changes: Iterable[Statement]) -> None:
    """Overwrite keys in an ended shard, which takes no records; what is changed already stays so.

    All of it is one transaction. Raises LogUnavailable where the file fails.
    """
    lock = FileLock(path.parent / LOCK_NAME)
    try:
        with lock:
            db = open_database(path)
            try:
                db.execute("PRAGMA secure_delete = ON")
                db.execute("BEGIN IMMEDIATE")
                for change in changes:
                    db.execute(change.sql, change.values)
                db.execute("COMMIT")
            finally:
                db.close()
    except sqlite.Error as broken:
        raise LogUnavailable(f"keys of an ended shard cannot be erased: {broken}") from broken
    finally:
        lock.close()
