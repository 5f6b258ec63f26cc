"""Ending a shard in a file and beginning the next: what differs from PostgreSQL (see `shards`)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.disk.instances import instances_of, is_alive
from gateway.audit.keys.log_keys import sync_directory
from gateway.audit.lifecycle.carry import STATE_TABLES, carry
from gateway.audit.lifecycle.start import gone
from gateway.audit.merkle import EMPTY_ROOT
from gateway.audit.note import Verifier
from gateway.audit.seal import Sealed
from gateway.audit.sqlite import (
    PRIMARY_CODE,
    failure_of,
    open_database,
    open_for_reading,
    provision,
)
from gateway.audit.store import LogFrozen, LogUnavailable
from gateway.audit.tree import check_heads

_DRAFT_FOLDER: Final = "next"
_SPOILT: Final = frozenset({sqlite.SQLITE_ERROR, sqlite.SQLITE_CORRUPT, sqlite.SQLITE_NOTADB})


def is_open_here(directory: Path) -> bool:
    """Tell whether a process of this host has the log open."""
    try:
        return any(is_alive(directory, path.name) for path in instances_of(directory))
    except FileNotFoundError:  # a log that was copied here, and that nobody has opened since
        return False


class FileDriver:
    """A shard in a file; see `shards.Driver`."""

    def __init__(self, path: Path) -> None:
        """End the shard in this file."""
        self._path = path
        self._directory = path.parent

    def is_in_use(self) -> bool:
        """Ask the kernel who holds the locks of who has it open; see Driver."""
        return is_open_here(self._directory)

    def contradiction(self, sealed_head: str | None, verifier: Verifier) -> str | None:
        """Hold the file to its heads; see Driver."""
        if not self._path.exists():
            return gone(sealed_head)
        try:
            db = open_for_reading(self._path)
            try:
                db.execute("BEGIN")
                check_heads(db, sealed_head, verifier)
            finally:
                db.close()
        except LogFrozen as frozen:
            return str(frozen)
        except sqlite.Error as broken:
            # What a disk or a lock refuses now may be there at the next try: only a file that
            # SQLite has read, and that is no log, is given up.
            if (getattr(broken, "sqlite_errorcode", None) or 0) & PRIMARY_CODE not in _SPOILT:
                raise failure_of(broken, self._directory) from broken
            return f"the audit log cannot be read: {broken}"
        return None

    def begin(
        self, origin: str, first: Callable[[Sequence[str]], Sealed], *, frozen: bool
    ) -> Sequence[str]:
        """Make the next shard under another name, and give it its own; see Driver.

        A file that has this name already is left as it is: it may hold records.
        """
        draft, lost = self._directory / _DRAFT_FOLDER, tuple[str, ...]()
        try:
            while True:
                shutil.rmtree(draft, ignore_errors=True)
                made, failed = self._make(draft, origin, first(lost), lost, frozen=frozen)
                if not failed:
                    break
                lost += failed
            os.link(made, self._directory / made.name)  # a rename would replace what is there
            made.unlink()
            sync_directory(self._directory)
        except FileExistsError as begun:
            raise LogUnavailable("the next shard has been begun meanwhile") from begun
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return lost

    def _make(
        self, draft: Path, origin: str, first: Sealed, lost: Sequence[str], *, frozen: bool
    ) -> tuple[Path, tuple[str, ...]]:
        """Make it in a folder of its own; return what could not be carried, untold yet."""
        try:
            made = provision(draft, origin, first, EMPTY_ROOT)
            db = open_database(made)
            try:
                tables = [table for table in STATE_TABLES if table not in lost]
                return made, carry(self._path, db, tables, frozen=frozen)
            finally:
                db.close()  # the last connection: what is in the WAL goes into the file
        except sqlite.Error as broken:
            raise LogUnavailable(f"the next shard cannot be made: {broken}") from broken
