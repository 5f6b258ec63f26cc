"""What an erasure leaves behind in SQLite's files besides the rows: the pages of its WAL."""

from __future__ import annotations

from pathlib import Path

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.locks import FileLock
from gateway.audit.sqlite import LOCK_NAME, open_database
from gateway.audit.store import LogUnavailable


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
