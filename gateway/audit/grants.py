"""Urgent grants as the log itself counts them: since when, in whose words, for how many people.

A grant belongs to a holder: one user of one organisation under one agreement. Holder, words and
people are stored as keyed tags, never in clear. All of it is read and changed in the transaction
that makes a record durable, so that it is exact across processes and no restart resets it.
"""

from __future__ import annotations

import hmac
from typing import Any, Final

from gateway.audit.store import Grant, GrantExhausted, GrantUse

Connection = Any

TAG_BYTES: Final = 16

# What a log of an earlier version lacks is made when it is opened.
GRANT_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS audit_grant (
    holder BLOB PRIMARY KEY, started INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS audit_grant_words (
    holder BLOB NOT NULL, words BLOB NOT NULL,
    PRIMARY KEY (holder, words)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS audit_grant_subject (
    holder BLOB NOT NULL, subject BLOB NOT NULL,
    PRIMARY KEY (holder, subject)) STRICT, WITHOUT ROWID""",
)

_START: Final = "INSERT INTO audit_grant VALUES (?1, ?2) ON CONFLICT DO UPDATE SET started = ?2"
_SAY: Final = "INSERT OR IGNORE INTO audit_grant_words VALUES (?, ?)"
_COVER: Final = "INSERT OR IGNORE INTO audit_grant_subject VALUES (?, ?)"


class Tagger:
    """Makes the tags under which a log's state knows people and their words."""

    def __init__(self, key: bytes) -> None:
        """Use a key of the log's own, which outlives every grant."""
        self._key = key

    def tag(self, *parts: str) -> bytes:
        """Return the tag of `parts`; no two lists of parts have the same but by chance."""
        message = "".join([f"{len(part)}:{part}" for part in parts]).encode()
        return hmac.digest(self._key, b"audit-state/v1\n" + message, "sha256")[:TAG_BYTES]


def find_grant(db: Connection, holder: bytes, words: bytes) -> Grant | None:
    """Return the latest grant of a holder, and whether these words founded or used one before."""
    row = db.execute("SELECT started FROM audit_grant WHERE holder = ?", (holder,)).fetchone()
    if row is None:
        return None
    subjects = db.execute("SELECT subject FROM audit_grant_subject WHERE holder = ?", (holder,))
    said = "SELECT 1 FROM audit_grant_words WHERE holder = ? AND words = ?"
    return Grant(
        started_us=row[0],
        subjects=frozenset(subject for (subject,) in subjects),
        said=db.execute(said, (holder, words)).fetchone() is not None,
    )


def use_grant(db: Connection, use: GrantUse) -> None:
    """Begin a grant or go on with it, and count the people; GrantExhausted if they are too many.

    Whoever was faster since the decision looked has begun the grant: it is gone on with.
    """
    holder = use.holder
    row = db.execute("SELECT started FROM audit_grant WHERE holder = ?", (holder,)).fetchone()
    begins = use.begins and (row is None or row[0] == use.seen_us)
    if begins:
        db.execute("DELETE FROM audit_grant_subject WHERE holder = ?", (holder,))
    if begins or row is None or (row[0] == use.seen_us and use.started_us < row[0]):
        db.execute(_START, (holder, use.started_us))
    db.execute(_SAY, (holder, use.words))
    db.executemany(_COVER, [(holder, subject) for subject in use.subjects])
    count = "SELECT count(*) FROM audit_grant_subject WHERE holder = ?"
    if db.execute(count, (holder,)).fetchone()[0] > use.subjects_max:
        raise GrantExhausted(holder)
