"""Single records written outside of the committer, and what ends a doubt after an I/O error."""

from __future__ import annotations

from pathlib import Path

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.disk.doubt import clear_doubt, is_in_doubt
from gateway.audit.disk.locks import FileLock
from gateway.audit.seal import Sealed
from gateway.audit.sqlite import (
    INSERT_KEY,
    INSERT_RECORD,
    LOCK_NAME,
    Connection,
    open_database,
    record_row,
)
from gateway.audit.store import LogUnavailable


def write_alone(db: Connection, sealed: Sealed) -> int:
    """Store one record by itself, and return its index.

    The caller holds the append lock.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        index: int = db.execute("SELECT next_index FROM audit_head").fetchone()[0]
        db.execute(INSERT_RECORD, record_row(index, sealed))
        if sealed.wrapped_keys is not None:
            db.execute(INSERT_KEY, (index, sealed.day, sealed.wrapped_keys))
        db.execute("UPDATE audit_head SET next_index = ?", (index + 1,))
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
    return index


def recover(path: Path, incident: Sealed | None) -> None:
    """Bring everything that was committed to the disk anew, and record `incident`, after a doubt.

    A shard that was ended takes no record any more; its incident is told by the next one.

    Raises LogUnavailable where that fails: the doubt stays, and nothing is signed.
    """
    lock = FileLock(path.parent / LOCK_NAME)
    try:
        with lock:
            if not is_in_doubt(path.parent):  # another process was quicker
                return
            db = open_database(path)
            try:
                busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                if busy:
                    raise LogUnavailable("the audit file is read while it must be recovered")
                if incident is not None:
                    write_alone(db, incident)
            finally:
                db.close()
            clear_doubt(path.parent)
    except (sqlite.Error, OSError) as broken:
        raise LogUnavailable(f"the audit store cannot be recovered: {broken}") from broken
    finally:
        lock.close()
