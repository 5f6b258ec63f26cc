"""Damage of the log's file that SQLite itself can tell."""

from __future__ import annotations

from typing import Final

from gateway.audit.sqlite import Connection

DAMAGE_TOLD_MAX: Final = 100


def find_damage(db: Connection) -> tuple[str, ...]:
    """Return what SQLite itself finds wrong with the file: its pages, and each index."""
    found = [row[0] for row in db.execute(f"PRAGMA integrity_check({DAMAGE_TOLD_MAX})")]
    return tuple(what for what in found if what != "ok")
