"""What the integrator and the sweeper ask of a driver: a lead, transactions, who is alive."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.disk.instances import instances_of, is_alive
from gateway.audit.disk.locks import FileLock
from gateway.audit.place import Place, PostgresFailed, PostgresLog, directory_of
from gateway.audit.sqlite import LOCK_NAME, failure_of, open_database

LEADER_LOCK_NAME: Final = "integrator.lock"

Connection = Any

STORE_ERRORS: Final = (sqlite.Error, PostgresFailed, OSError)
"""What a driver raises where the store fails."""


class Upkeep(Protocol):
    """A connection for work on the whole log, beside those that append; raises STORE_ERRORS."""

    @property
    def db(self) -> Connection:
        """Return the connection, opened again if it was lost and no step is under way."""

    def lead(self) -> bool:
        """Take the lead if nobody has it; tell whether this is the leader now."""

    def rest(self) -> None:
        """End a step: what was begun and not committed is given up."""

    def writing(self) -> AbstractContextManager[Connection]:
        """Open a transaction that is durable at its end.

        Raises LogUnavailable there if it may not be durable everywhere it must be.
        """

    def confirm(self) -> None:
        """Return once everything that this connection can see is durable."""

    def alive(self, instances: Collection[str]) -> Collection[str]:
        """Return those of the instances that may be alive."""

    def tidy(self, needed: Collection[str]) -> None:
        """Forget what no log needs: dead instances but the `needed`, and a store's own leavings."""

    def note_sealed(self) -> None:
        """Keep that this host has sealed a head, where a log has several hosts."""

    def extend(self) -> None:
        """Make room for the records to come, where a store wants that made."""

    def close(self) -> None:
        """Give up the lead and the connection."""


def open_upkeep(place: Place) -> Upkeep:
    """Open the connection for upkeep of a log; raises LogUnavailable."""
    if isinstance(place, PostgresLog):
        # Imported where it is needed: a gateway on SQLite starts without PostgreSQL's drivers.
        from gateway.audit.postgresql.upkeep import PostgresUpkeep

        return PostgresUpkeep(place)
    return SqliteUpkeep(place)


class SqliteUpkeep:
    """Upkeep of a file: `flock` makes the leader, who keeps the lead until it closes or dies."""

    def __init__(self, path: Path) -> None:
        """Open a provisioned file."""
        self._directory = directory_of(path)
        self._leader = FileLock(self._directory / LEADER_LOCK_NAME)
        self._writers = FileLock(self._directory / LOCK_NAME)
        try:
            self.db: Connection = open_database(path)
        except sqlite.Error as broken:
            raise failure_of(broken, self._directory) from broken

    def lead(self) -> bool:
        """Take the lead; see Upkeep."""
        return self._leader.try_acquire()

    def rest(self) -> None:
        """Keep the lead; `writing` leaves nothing open."""

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction under the writers' lock; see Upkeep."""
        with self._writers:
            try:
                self.db.execute("BEGIN IMMEDIATE")
                yield self.db
                self.db.execute("COMMIT")
            finally:
                if self.db.in_transaction:
                    self.db.rollback()

    def confirm(self) -> None:
        """Return at once: what is visible in a file with `synchronous=FULL` is durable."""

    def alive(self, instances: Collection[str]) -> Collection[str]:
        """Ask the kernel who holds their locks; see Upkeep."""
        return {name for name in instances if is_alive(self._directory, name)}

    def tidy(self, needed: Collection[str]) -> None:
        """Remove the files of dead instances; see Upkeep."""
        for path in instances_of(self._directory):
            if path.name not in needed and not is_alive(self._directory, path.name):
                path.unlink(missing_ok=True)

    def note_sealed(self) -> None:
        """Return at once: a file has one host, and `published_size` says it."""

    def extend(self) -> None:
        """Return at once: a file grows by itself."""

    def close(self) -> None:
        """Close the files."""
        self.db.close()
        self._writers.close()
        self._leader.close()
