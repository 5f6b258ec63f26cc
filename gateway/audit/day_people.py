"""The different people of a day, as the log itself counts them: who is asked about twice is one.

Each person is kept as a keyed tag beside the counter that it counts for, with how many exchanges
count it, so that one of them can give back what it took without taking it from another. All of it
is changed in the transaction that makes a record durable: it is exact across processes, and no
restart resets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.audit.store import CounterChange, PeopleChange

Connection = Any

# What a log of an earlier version lacks is made when it is opened.
DAY_PEOPLE_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS audit_day_person (
    key BLOB NOT NULL, person BLOB NOT NULL, uses INTEGER NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (key, person)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS audit_day_person_until ON audit_day_person (until)",
)

_MORE: Final = (
    "INSERT INTO audit_day_person VALUES (?, ?, 1, ?)"
    " ON CONFLICT (key, person) DO UPDATE SET uses = audit_day_person.uses + 1 RETURNING uses"
)
_FEWER: Final = (
    "UPDATE audit_day_person SET uses = uses - 1 WHERE key = ? AND person = ? RETURNING uses"
)
_GONE: Final = "DELETE FROM audit_day_person WHERE key = ? AND person = ?"
_ENDED: Final = "SELECT key, person FROM audit_day_person WHERE until <= ? LIMIT ?"


def count_people(db: Connection, change: PeopleChange) -> CounterChange:
    """Count people in or out; return by how many different ones the day's counter changes."""
    key, people, until_us = change.key, change.people, change.until_us
    added = 0
    for person in people:
        if change.add > 0:
            ((uses,),) = db.execute(_MORE, (key, person, until_us)).fetchall()
            added += uses == 1
        elif db.execute(_FEWER, (key, person)).fetchall() == [(0,)]:
            db.execute(_GONE, (key, person))
            added -= 1
    return CounterChange(key, added, change.maximum)


def find_ended(db: Connection, now_us: int, limit: int) -> Sequence[tuple[bytes, bytes]]:
    """Return some of the people whose day is over at `now_us` (system time)."""
    found: Sequence[tuple[bytes, bytes]] = db.execute(_ENDED, (now_us, limit)).fetchall()
    return found


def forget(db: Connection, ended: Sequence[tuple[bytes, bytes]]) -> None:
    """Delete the tags of people whose day is over."""
    db.executemany(_GONE, ended)
