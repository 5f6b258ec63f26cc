"""How a process comes to a store: the log is made if need be, and the process is known."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.disk.doubt import is_in_doubt
from gateway.audit.disk.instances import Instance
from gateway.audit.freeze import thaw
from gateway.audit.incident import Incident, incident_record
from gateway.audit.merkle import EMPTY_ROOT
from gateway.audit.place import Place, PostgresFailed, PostgresLog
from gateway.audit.recovery import recover
from gateway.audit.seal import Sealed, Sealer
from gateway.audit.sqlite import SqliteStore, failure_of, provision
from gateway.audit.store import LogStore, LogUnavailable


class Present(Protocol):
    """This process, as the others see whether it is alive."""

    name: str

    def close(self) -> None:
        """Be dead: what this instance left open may now be closed by others."""


def open_store(
    place: Place, origin: str, first: Sealed, sealer: Sealer, *, label: str
) -> tuple[LogStore, Present]:
    """Open the store of a log that `check_start` has held to its heads.

    It is made with its `first` record if it is not there. Raises LogUnavailable where it cannot be
    opened.
    """
    if isinstance(place, PostgresLog):
        return _open_postgres(place, origin, first, label=label)
    try:
        return _open_file(place.parent, origin, first, sealer, label=label)
    except sqlite.Error as broken:
        raise failure_of(broken, place.parent) from broken
    except OSError as broken:
        raise LogUnavailable(f"the audit log cannot be opened: {broken}") from broken


def _open_file(
    directory: Path, origin: str, first: Sealed, sealer: Sealer, *, label: str
) -> tuple[LogStore, Present]:
    path = provision(directory, origin, first, EMPTY_ROOT)
    thaw(directory)
    if is_in_doubt(directory):
        recover(path, sealer.seal(incident_record(Incident.IO_ERROR)))
    present = Instance(directory, label=label)
    return SqliteStore(path, instance=present.name), present


def _open_postgres(
    place: PostgresLog, origin: str, first: Sealed, *, label: str
) -> tuple[LogStore, Present]:
    # Imported where it is needed: a gateway on SQLite starts without PostgreSQL's drivers.
    from gateway.audit.postgres import PostgresStore
    from gateway.audit.postgresql.presence import PostgresInstance
    from gateway.audit.postgresql.schema import provision as provision_schema

    provision_schema(place, origin, first, EMPTY_ROOT)
    thaw(place.directory)
    try:
        present = PostgresInstance(place, label=label)
    except PostgresFailed as failure:
        raise LogUnavailable(f"the audit log cannot be opened: {failure}") from failure
    return PostgresStore(place, instance=present.name), present
