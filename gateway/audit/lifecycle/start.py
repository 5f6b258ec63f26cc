"""What a log is held to before it takes records: its signed heads, and what froze it earlier."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.freeze import freeze
from gateway.audit.note import Verifier
from gateway.audit.place import Place, PostgresLog, directory_of
from gateway.audit.reading.reader import ended_shard, snapshot
from gateway.audit.sqlite import OPEN_STATE, Connection, open_for_reading
from gateway.audit.store import LogFrozen, LogUnavailable
from gateway.audit.tree import (
    StoredTree,
    check_head,
    check_heads,
    previous_head,
    read_sealed_head,
)


def check_start(place: Place, verifier: Verifier, *, begun: bool) -> None:
    """Hold the log to its signed heads, where there is one (audit-log.md, section 2.10).

    `begun` is whether this gateway has had a log, as its keys tell. Reads only. Raises LogFrozen,
    after freezing the log for every process, where the log contradicts a head, is gone though a
    head of it was sealed or it was `begun`, or takes no records any more; LogUnavailable where it
    cannot be read or is another log's.
    """
    # Read first: what the head covers was committed before it was written.
    directory = directory_of(place)
    sealed_head = read_sealed_head(directory)
    try:
        if isinstance(place, PostgresLog):
            is_there = _check_postgres(place, sealed_head, verifier)
        else:
            is_there = _check(place, sealed_head, verifier)
        if not is_there:
            _check_gone(sealed_head, begun=begun)
    except LogFrozen as contradiction:
        # A full disk keeps no process from refusing by itself.
        with suppress(OSError):
            freeze(directory, str(contradiction))
        raise
    except sqlite.Error as broken:
        raise LogUnavailable(f"the audit log cannot be read: {broken}") from broken


def gone(sealed_head: str | None) -> str:
    """Return the sentence on a log that is gone, by what is left to tell that there was one."""
    told = "this gateway has had one" if sealed_head is None else "a head of it was sealed"
    return f"the log is gone, though {told}"


def hold_to_heads(
    db: Connection, place: Place, sealed_head: str | None, verifier: Verifier
) -> None:
    """Raise LogFrozen unless a shard fits every signed head, as `check_heads` tells them.

    In PostgreSQL a host may have been away while another ended its shard: the sealed head that it
    has is then held to that shard, and it has none of this one yet. The head that this shard itself
    carries needs no such check, which a shard that was given up would fail.
    """
    if not isinstance(place, PostgresLog):
        check_heads(db, sealed_head, verifier)
        return
    ended = ended_shard(place, sealed_head)
    if sealed_head is not None and ended is not None:
        if sealed_head != previous_head(db):
            _hold_to_ended(ended, sealed_head, verifier)
        sealed_head = None
    check_heads(db, sealed_head, verifier, host=place.host)


def _hold_to_ended(ended: Place, sealed_head: str, verifier: Verifier) -> None:
    signer = replace(verifier, name=sealed_head.partition("\n")[0])
    with snapshot(ended) as db:
        size = db.execute("SELECT size FROM audit_tree").fetchone()[0]
        check_head(StoredTree(db), size, sealed_head, signer, name="sealed head")


def _check(path: Path, sealed_head: str | None, verifier: Verifier) -> bool:
    """Check a log in a file; tell whether there is one."""
    db = open_for_reading(path) if path.exists() else None
    try:
        if db is None or _is_empty(db):  # a making that was cut short is done again
            return False
        db.execute("BEGIN")
        _check_found(db, path, sealed_head, verifier)
        return True
    finally:
        if db is not None:
            db.close()


def _check_postgres(place: PostgresLog, sealed_head: str | None, verifier: Verifier) -> bool:
    """Check a log in a schema; tell whether there is one."""
    # Imported where it is needed: a gateway on SQLite starts without PostgreSQL's drivers.
    from gateway.audit.postgresql.schema import is_provisioned

    if not is_provisioned(place):
        return False
    with snapshot(place) as db:
        _check_found(db, place, sealed_head, verifier)
    return True


def _check_gone(sealed_head: str | None, *, begun: bool) -> None:
    if begun or sealed_head is not None:
        raise LogFrozen(gone(sealed_head))


def _check_found(db: Connection, place: Place, sealed_head: str | None, verifier: Verifier) -> None:
    origin, state = db.execute("SELECT origin, state FROM audit_head").fetchone()
    if origin != verifier.name:
        raise LogUnavailable(f"the audit file belongs to the log {origin}")
    hold_to_heads(db, place, sealed_head, verifier)
    if state != OPEN_STATE:
        raise LogFrozen(f"the audit log is {state}")


def _is_empty(db: Connection) -> bool:
    schema = "SELECT count(*) FROM sqlite_schema WHERE name = 'audit_head'"
    return not db.execute(schema).fetchone()[0]
