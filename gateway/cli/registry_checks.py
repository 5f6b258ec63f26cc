"""The checks of `concordat doctor` on the registry: its schema, and its stops against the log."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from alembic.script import ScriptDirectory

import gateway
from gateway.audit.store import LogUnavailable
from gateway.cli.finding import Finding, State, failed, ok, unknown
from gateway.cli.lost import (
    Schema,
    Stopped,
    log_knows_changes,
    read_schema,
    recorded_stops,
    ways_back,
)
from gateway.cli.output import amount
from gateway.database import DatabaseUnsuitable, open_engine
from gateway.registry.store import Registry, RegistryUnavailable, StopKind
from gateway.settings import FILE_NAME, Settings

NAMED_MAX: Final = 10
"""Stops that a finding names; the others are counted."""
_NAMED: Final = frozenset({StopKind.AGREEMENT, StopKind.SERVICE, StopKind.CLIENT})
"""Kinds whose names an operator may read on any screen; the others name tokens, or people's use."""
_MIGRATIONS: Final = Path(gateway.__file__).parent / "migrations"


def examine_registry(settings: Settings) -> Iterator[Finding]:
    """Check the schema, and that the registry has every stop that the log has."""
    finding = _schema(settings)
    yield finding
    if finding.state is State.OK:
        yield _stops(settings)


def _schema(settings: Settings) -> Finding:
    newest = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    try:
        schema = read_schema(settings)
    except DatabaseUnsuitable as unsuitable:
        return failed("registry", str(unsuitable), f"edit registry_url in {FILE_NAME}")
    if schema.failure is not None:
        return failed("registry", f"cannot be opened: {schema.failure}", _opening(schema, settings))
    if schema.revision != newest:
        detail = f"schema {schema.revision or 'none'}, newest is {newest}"
        return failed("registry", detail, mend_of(settings, schema))
    return ok("registry", f"schema {schema.revision}, the newest")


def mend_of(settings: Settings, schema: Schema) -> str:
    """Return what brings a registry to the newest schema, or back where it was lost."""
    try:
        lost = schema.is_empty and (schema.spoiled or log_knows_changes(settings))
    except LogUnavailable:
        lost = True  # what the log would say is not known, and a copy does no harm
    return ways_back(settings) if lost else f"concordat db upgrade --home {settings.home}"


def _opening(schema: Schema, settings: Settings) -> str:
    """Return what makes a database answer that cannot be opened."""
    if settings.registry_url is not None:
        return f"{_psql(settings)} must answer, with the same password"
    if schema.spoiled:
        return ways_back(settings)
    return f"ls -l {settings.home}/registry.db*: it must be its owner's, and nobody else hold it"


def _psql(settings: Settings) -> str:
    """Return the command that asks a PostgreSQL registry for its version."""
    url = settings.database_name.replace("+psycopg", "", 1).replace(":***@", "@", 1)
    return f"psql {shlex.quote(url)} -c 'SELECT version()'"


def _stops(settings: Settings) -> Finding:
    """Compare what is stopped with what the log has as stopped, which was recorded first."""
    try:
        recorded = recorded_stops(settings)
        engine = open_engine(settings.database_url, create=False)
        try:
            stopped = Registry(engine).stops()
        finally:
            engine.dispose()
    except (LogUnavailable, RegistryUnavailable) as failure:
        mend = f"concordat doctor --home {settings.home}, again, once audit log is ok"
        return unknown("stops", f"cannot be compared with the audit log: {failure}", mend)
    free = sorted(recorded.stopped - stopped)
    if free:
        return _free(free, settings)
    # No fault: sealed names are kept for a time only. But nobody is to think they were compared.
    sealed = f", {recorded.unreadable} not to be named any more" if recorded.unreadable else ""
    told = f"{amount(len(stopped), 'stop')}; none that the audit log has is missing{sealed}"
    return ok("stops", told)


def _free(free: list[Stopped], settings: Settings) -> Finding:
    """Tell of what the log has as stopped, and the registry has not."""
    named = [f"{kind} {shlex.quote(key)}" for kind, key in free if kind in _NAMED][:NAMED_MAX]
    more = [f"{len(free) - len(named)} more"] if len(free) > len(named) else []
    detail = f"not in force, though the audit log has them as stopped: {', '.join(named + more)}"
    home = f"--home {settings.home}"
    again = f"concordat stop add {named[0]} --reason TEXT {home}" if named else ""
    rest = f"concordat audit search --kind admin.change --verb stop {home}" if more else ""
    mend = ", and so on; ".join(filter(None, (again, rest)))
    return failed("stops", detail, f"{mend}; what may be used again after all: then stop remove")
