"""The different people of a day, as the log itself counts them: who is asked about twice is one.

Each person is kept as a keyed tag beside the counter that it counts for, with how many exchanges
count it, so that one of them can give back what it took without taking it from another. All of it
is changed in the transaction that makes a record durable: it is exact across processes, and no
restart resets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from orjson import dumps

from gateway.audit.store import Change, CounterChange, CounterExceeded, PeopleChange

Connection = Any

# What a log of an earlier version lacks is made when it is opened.
DAY_PEOPLE_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS audit_day_person (
    key BLOB NOT NULL, person BLOB NOT NULL, uses INTEGER NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (key, person)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS audit_day_person_until ON audit_day_person (until)",
)

BYTES_PER_PERSON: Final = 256
"""What a person counts for among the bytes of one commit: as many of those take as long."""

# Many people to a statement, as JSON: a statement for each would hold up every other exchange.
_OF_THESE: Final = "person IN (SELECT unhex(value) FROM json_each(?))"
_KNOWN: Final = f"SELECT count(*) FROM audit_day_person WHERE key = ? AND {_OF_THESE}"  # noqa: S608 - constants
_COUNT: Final = "SELECT value FROM audit_counter WHERE key = ?"
_MORE: Final = (
    "INSERT INTO audit_day_person SELECT ?, unhex(value), 1, ? FROM json_each(?) WHERE true"
    " ON CONFLICT (key, person) DO UPDATE SET uses = audit_day_person.uses + 1"
)
_FEWER: Final = f"UPDATE audit_day_person SET uses = uses - 1 WHERE key = ? AND {_OF_THESE}"  # noqa: S608 - constants
_LEFT: Final = f"DELETE FROM audit_day_person WHERE key = ? AND {_OF_THESE} AND uses <= 0"  # noqa: S608 - constants
_GONE: Final = "DELETE FROM audit_day_person WHERE key = ? AND person = ?"
_ENDED: Final = "SELECT key, person FROM audit_day_person WHERE until <= ? LIMIT ?"


def count_people(db: Connection, change: PeopleChange) -> CounterChange:
    """Count people in or out; return by how many different ones the day's counter changes.

    Raises CounterExceeded before anything is written: a refusal must cost little.
    """
    key, people = change.key, dumps([person.hex() for person in change.people]).decode()
    if change.add < 0:
        db.execute(_FEWER, (key, people))
        return CounterChange(key, -db.execute(_LEFT, (key, people)).rowcount, change.maximum)
    ((known,),) = db.execute(_KNOWN, (key, people)).fetchall()
    added = len(change.people) - known
    counted = db.execute(_COUNT, (key,)).fetchall()
    if added and (counted[0][0] if counted else 0) + added > change.maximum:
        raise CounterExceeded(key)
    db.execute(_MORE, (key, change.until_us, people))
    return CounterChange(key, added, change.maximum)


def costs_of(changes: Sequence[Change]) -> int:
    """Return for how many bytes of a commit the people count that these changes count."""
    people = sum(len(one.people) for one in changes if isinstance(one, PeopleChange))
    return BYTES_PER_PERSON * people


def find_ended(db: Connection, now_us: int, limit: int) -> Sequence[tuple[bytes, bytes]]:
    """Return some of the people whose day is over at `now_us` (system time)."""
    found: Sequence[tuple[bytes, bytes]] = db.execute(_ENDED, (now_us, limit)).fetchall()
    return found


def forget(db: Connection, ended: Sequence[tuple[bytes, bytes]]) -> None:
    """Delete the tags of people whose day is over."""
    db.executemany(_GONE, ended)
