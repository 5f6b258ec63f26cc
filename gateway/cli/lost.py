"""What was lost: a registry, of whose stops the audit log still knows, or that log itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from alembic.runtime.migration import MigrationContext
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway import administration
from gateway.audit.keys.log_keys import KeyFileUnusable, LogKeys
from gateway.audit.lifecycle.start import gone
from gateway.audit.reading.reader import find_shards
from gateway.audit.search.changes import Change, changes
from gateway.audit.store import LogUnavailable
from gateway.audit.tree import read_sealed_head
from gateway.backup import REGISTRY_NAME
from gateway.cli.audit_log import console_reader
from gateway.cli.output import Exit, Stop
from gateway.clock import new_uuid7
from gateway.data_plane import log_home
from gateway.database import open_engine, reading, sentence_of
from gateway.presence import GatewayRuns, Role, check_alone, present
from gateway.registry.store import Registry, StopKind
from gateway.settings import Settings

BY: Final = "concordat db upgrade --registry-lost"
_REASON: Final = "It was stopped when the registry was lost: concordat audit search --verb stop"

Stopped = tuple[StopKind, str]


class Recorded(NamedTuple):
    """What is stopped by the last word of the log, and how many stops it cannot name any more.

    A client's or a token's name is sealed, and goes with its day's key; whether such a stop was
    ended cannot be told either.
    """

    stopped: frozenset[Stopped]
    unreadable: int


class Schema(NamedTuple):
    """The schema that a registry's database has, None where it has none.

    `failure` says why it could not be told. `spoiled` is whether it never can: what is there is no
    database.
    """

    revision: str | None = None
    failure: str | None = None
    spoiled: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a registry is there."""
        return self.spoiled or (self.revision is None and self.failure is None)


def read_schema(settings: Settings) -> Schema:
    """Look at the registry's database, and make none; raises DatabaseUnsuitable."""
    file = _file(settings)
    # To open an empty file would write to it.
    if settings.registry_url is None and (not file.exists() or not file.stat().st_size):
        return Schema()
    engine = open_engine(settings.database_url, create=False)
    try:
        with reading(engine) as connection:
            return Schema(MigrationContext.configure(connection).get_current_revision())
    except SQLAlchemyError as failure:
        cause = failure.orig if isinstance(failure, DBAPIError) else None
        # A file that is busy, or another user's, is an OperationalError; one that is no database,
        # or a damaged one, is none.
        spoiled = isinstance(cause, sqlite.DatabaseError)
        spoiled &= not isinstance(cause, sqlite.OperationalError)
        return Schema(None, sentence_of(failure, settings.database_url), spoiled)
    finally:
        engine.dispose()


def had_log(settings: Settings) -> bool:
    """Tell whether this gateway has had an audit log, as its sealed head and its keys tell."""
    if read_sealed_head(settings.audit_directory) is not None:
        return True
    if not settings.keys_directory.is_dir():  # opening it would make it
        return False
    try:
        return LogKeys(settings.keys_directory).begun() is not None
    except KeyFileUnusable:
        return True


def log_knows_changes(settings: Settings) -> bool:
    """Tell whether the log has a change by an administrator, so that there was a registry.

    Raises LogUnavailable.
    """
    return next(_changes(settings, None), None) is not None


def recorded_stops(settings: Settings) -> Recorded:
    """Return what is stopped by the last word of the log; raises LogUnavailable."""
    stopped, unreadable = set[Stopped](), 0
    # Opening a folder of keys makes it, and a missing one is to be noticed.
    there = settings.keys_directory.is_dir()
    keys = LogKeys(settings.keys_directory) if there else None
    for change in _changes(settings, keys):
        verb, what = change.core.get("verb"), change.core.get("what")
        if verb not in ("stop", "resume") or what not in set(StopKind):
            continue
        kind = StopKind(str(what))
        key = change.core.get(kind.value, (change.payload or {}).get(kind.value))
        if isinstance(key, str):
            (stopped.add if verb == "stop" else stopped.discard)((kind, key))
        else:
            unreadable += verb == "stop"
    return Recorded(frozenset(stopped), unreadable)


def _changes(settings: Settings, keys: LogKeys | None) -> Iterator[Change]:
    """Yield the log's changes; raises LogUnavailable also where the log is gone."""
    home = log_home(settings)
    if not find_shards(home) and had_log(settings):
        raise LogUnavailable(gone(read_sealed_head(settings.audit_directory)))
    yield from changes(home, keys)


def ways_back(settings: Settings) -> str:
    """Return what mends a registry that was lost, the command first."""
    home = f"--home {settings.home}"
    if settings.registry_url is None:
        back = f"concordat db restore COPY --only registry {home}, from your newest copy"
    else:
        back = "pg_restore, or point-in-time recovery, with PostgreSQL's own tools"
    anew = f"concordat db upgrade --registry-lost {home}, then concordat apply DIR {home}"
    return f"{back}; where there is none: {anew}"


def refuse_lost(settings: Settings) -> None:
    """Refuse to make an empty registry where there was one: all that it had stopped would be free.

    Raises:
        Stop: the log has changes of a registry that is not there, or cannot be asked.
        DatabaseUnsuitable: the settings name none that could be used.
    """
    schema = read_schema(settings)
    if not schema.is_empty:
        return
    try:
        if not schema.spoiled and not log_knows_changes(settings):
            return
    except LogUnavailable as failure:
        mend = f"concordat doctor --home {settings.home}"
        said = f"there is no registry, and whether there was one cannot be told: {failure}"
        raise Stop(said, mend=mend, code=Exit.FAILED) from None
    if schema.spoiled:
        said = f"the registry cannot be read: {schema.failure}"
    else:
        said = "the registry was lost: it is empty, and the audit log has changes of it"
    raise Stop(f"{said}; nothing was changed", mend=ways_back(settings), code=Exit.FAILED) from None


def begin_registry(settings: Settings, upgrade: Callable[[Settings], object]) -> Recorded:
    """Make the registry anew in place of a lost one; return what the log has of stops.

    It is recorded first, and what was stopped is stopped again. A file that cannot be read is moved
    aside, never deleted.

    Raises:
        Stop: it is not lost, a gateway of the home runs, or nothing could be read or recorded.
        DatabaseUnsuitable, RegistryUnavailable: the database cannot be used.
    """
    if not read_schema(settings).is_empty:
        mend = f"concordat db upgrade --home {settings.home}"
        raise Stop("the registry is there: it was not lost", mend=mend, code=Exit.FAILED)
    try:
        check_alone(settings.run_directory)
        with present(settings.run_directory, Role.CONTROL):
            recorded = recorded_stops(settings)
            who, stops = console_reader(), len(recorded.stopped)
            administration.record_registry_lost(settings, stops=stops, by=BY, who=who)
            _move_aside(settings)
            upgrade(settings)
            _stop_again(settings, recorded.stopped)
    except GatewayRuns as runs:
        mend = f"kill {' '.join(map(str, runs.pids))}, and again once they have ended"
        raise Stop(f"nothing was changed: {runs}", mend=mend, code=Exit.FAILED) from None
    except LogUnavailable as failure:
        mend = f"concordat doctor --home {settings.home}"
        said = f"nothing was changed, for it could not be recorded: {failure}"
        raise Stop(said, mend=mend, code=Exit.FAILED) from None
    return recorded


def _stop_again(settings: Settings, stops: frozenset[Stopped]) -> None:
    engine = open_engine(settings.database_url, create=False)
    try:
        registry = Registry(engine)
        for kind, key in sorted(stops):
            registry.stop(kind, key, reason=_REASON, by=BY)
    finally:
        engine.dispose()


def _move_aside(settings: Settings) -> None:
    if settings.registry_url is not None:
        return
    file = _file(settings)
    found = [old for old in (file, *file.parent.glob(f"{file.name}-*")) if old.exists()]
    aside = settings.home / f"replaced-{new_uuid7().hex()}"
    for old in found:
        aside.mkdir(mode=0o700, exist_ok=True)
        old.rename(aside / old.name)


def _file(settings: Settings) -> Path:
    return settings.home / REGISTRY_NAME
