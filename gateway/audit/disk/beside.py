"""Keys and holds, which lie beside the records, as they are changed in a SQLite file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.audit.store import (
    Beside,
    HoldAdded,
    HoldReleased,
    HoldsUnchanged,
    KeyChange,
    Overtaken,
)

Connection = Any

BESIDE: Final = (KeyChange, HoldsUnchanged, HoldAdded, HoldReleased)

_STEP: Final = "UPDATE audit_hold_version SET version = version + 1"


def change_beside(db: Connection, change: Beside) -> None:
    """Make a change in the transaction that is open; raises Overtaken, having changed nothing."""
    # Only what may overwrite a key pays for it: SQLite then zeroes what a row leaves behind.
    db.execute("PRAGMA secure_delete = ON")
    sql, values = _statement(change)
    if db.execute(sql, values).rowcount != 1:
        raise Overtaken("what was to be changed has changed meanwhile")
    if isinstance(change, HoldAdded | HoldReleased):
        db.execute(_STEP)


def _statement(change: Beside) -> tuple[str, Sequence[object]]:
    if isinstance(change, KeyChange):
        place = (change.leaf_index, change.wrapped)
        if change.anew is None:
            return "DELETE FROM audit_key WHERE leaf_index = ? AND wrapped = ?", place
        sql = "UPDATE audit_key SET wrapped = ? WHERE leaf_index = ? AND wrapped = ?"
        return sql, (change.anew, *place)
    if isinstance(change, HoldsUnchanged):
        return "UPDATE audit_hold_version SET version = version WHERE version = ?", change
    if isinstance(change, HoldAdded):
        return "INSERT INTO audit_hold VALUES (?, ?, ?, ?, ?)", change
    return "DELETE FROM audit_hold WHERE hold = ?", change
