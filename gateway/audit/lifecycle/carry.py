"""What is true of the gateway and not of one shard of its log, carried from one to the next.

A new shard makes nothing possible again: what was used up, counted, granted and held stays so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.sqlite import Connection, open_for_reading

HOLD_TABLE: Final = "audit_hold"
STATE_TABLES: Final = (
    HOLD_TABLE, "audit_claim", "audit_counter", "audit_grant", "audit_grant_words",
    "audit_grant_subject", "audit_day_person",
)  # fmt: skip
"""The tables that are carried, the ones that matter longest first."""
NEWER_TABLES: Final = frozenset({"audit_day_person"})
"""Those that a shard of an earlier version may not have, which then has nothing of their kind."""

_TABLE: Final = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"


def carry(ended: Path, db: Connection, tables: Sequence[str], *, frozen: bool) -> tuple[str, ...]:
    """Copy tables of an ended shard into the next one, each whole or not at all.

    Of `NEWER_TABLES` one that is not there is empty. Return those of a frozen shard that cannot be
    read; raises sqlite.Error where it is not frozen.
    """
    lost = list[str]()
    for table in tables:
        try:
            _copy(ended, db, table)
        except sqlite.Error:
            if not frozen:
                raise
            lost.append(table)
    return tuple(lost)


def _copy(ended: Path, db: Connection, table: str) -> None:
    old = open_for_reading(ended)
    try:
        if table in NEWER_TABLES and old.execute(_TABLE, (table,)).fetchone() is None:
            return
        db.execute("BEGIN IMMEDIATE")
        rows = old.execute(f"SELECT * FROM {table}")  # noqa: S608 - a constant
        places = ", ".join("?" * len(rows.description))
        db.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608 - constants
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
        old.close()
