"""Engines and transactions for the registry's database: a SQLite file, or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote

from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_MS: Final = 5000
"""How long a writer waits for another one, on either kind of database."""
_POSTGRESQL: Final = "postgresql+psycopg"
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_WRITES: Final = "concordat_writes"
_IDENTITY: Final = "concordat_file"

_FIXED_SINCE: Final = (3, 51, 3)
_FIXED_BACKPORTS: Final = {(3, 50): 7, (3, 44): 6}
_WITHDRAWN: Final = (3, 52, 0)


class DatabaseUnsuitable(Exception):
    """The database, or the library that opens it, cannot be trusted with the registry."""


def check_sqlite_version(version: tuple[int, int, int] = sqlite.sqlite_version_info) -> None:
    """Refuse a SQLite whose WAL can lose committed data when it is reset (design.md, section 6).

    Raises:
        DatabaseUnsuitable: it is older than 3.51.3 and no back-port of the repair, or withdrawn.
    """
    backport = _FIXED_BACKPORTS.get(version[:2])
    fixed = version >= _FIXED_SINCE or (backport is not None and version[2] >= backport)
    if not fixed or version == _WITHDRAWN:
        text = ".".join(map(str, version))
        raise DatabaseUnsuitable(f"SQLite {text} has the WAL-reset bug; 3.51.3 or newer is needed")


def open_engine(url: str, *, create: bool = True) -> Engine:
    """Open the registry's database: SQLite in WAL mode by pysqlite3, or PostgreSQL by psycopg.

    Without `create`, a SQLite file that is not there is a failure of the first connection instead
    of a new, empty database. A file that goes away later, or is replaced, is never read on as if it
    were still there: connections to it end. A PostgreSQL database must be there; only the primary
    is believed. Nothing is connected yet.

    Raises:
        DatabaseUnsuitable: `url` names another kind of database, or SQLite is too old. The message
            tells nothing of `url`, which may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise DatabaseUnsuitable(
            f"registry_url is not {_POSTGRESQL}://user@host/database; "
            "in a password, write @ as %40, : as %3A, / as %2F"
        ) from None
    if parsed.drivername == _POSTGRESQL:
        # Imported here: only a gateway that uses PostgreSQL waits for its driver to load.
        from gateway.postgresql import open_postgresql

        return open_postgresql(parsed, writes=_WRITES)
    if parsed.drivername != "sqlite+pysqlite":
        raise DatabaseUnsuitable(
            "the registry is a SQLite file, sqlite+pysqlite:///<path>, "
            f"or a PostgreSQL database, {_POSTGRESQL}://user@host/database"
        )
    check_sqlite_version()
    engine = create_engine(url, module=sqlite)
    file = _File(Path(parsed.database or ""), may_create=create)
    event.listen(engine, "do_connect", file.connect)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "connect", file.opened)
    event.listen(engine, "checkout", file.check)
    event.listen(engine, "begin", _begin)
    return engine


def is_postgresql(engine: Engine) -> bool:
    """Tell which of the two kinds of database an engine opens."""
    return engine.dialect.name == "postgresql"


def sentence_of(failure: SQLAlchemyError, url: str) -> str:
    """Return the first line of what the driver said; the password of `url` does not stand in it.

    For whoever looks after the database: it may name its host, its user, or a statement.
    """
    cause = failure.orig if isinstance(failure, DBAPIError) and failure.orig else failure
    said = next(iter(str(cause).splitlines()), "") or type(cause).__name__
    password = make_url(url).password
    return said.replace(password, "***") if password else said


def name_of(failure: SQLAlchemyError) -> str:
    """Return what kind of failure it was, in the driver's words, without what they say of it."""
    cause = failure.orig if isinstance(failure, DBAPIError) and failure.orig else failure
    return type(cause).__name__


class _File:
    """The file behind an engine: a file system lets a process read on what was moved away."""

    def __init__(self, path: Path, *, may_create: bool) -> None:
        self._path = path
        self._may_create = may_create

    def connect(
        self, _dialect: object, _record: object, _arguments: object, options: dict[str, Any]
    ) -> DBAPIConnection | None:
        """Connect to a file that is there; None leaves it to the driver, which makes one."""
        if self._may_create:
            return None
        address = f"file:{quote(str(self._path))}?mode=rw"
        return cast("DBAPIConnection", sqlite.connect(address, uri=True, **options))

    def opened(self, _connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        """Remember which file a connection reads; it is made once, and never again."""
        record.info[_IDENTITY] = self._identity()
        self._may_create = False

    def check(
        self, _connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object
    ) -> None:
        """End a connection whose file is no longer the one at the path."""
        if record.info[_IDENTITY] != self._identity():
            raise DisconnectionError("the registry's file is another one now")

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that sees one state of the database and changes nothing."""
    options: dict[str, Any] = {}
    if is_postgresql(engine):
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that holds the write lock from its start, and commits at its end."""
    with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        yield connection


def upgrade(engine: Engine) -> bool:
    """Bring the database to the newest schema; tell whether it did not have it.

    Raises:
        DatabaseUnsuitable: its schema is of a later version of the program.
    """
    # Imported here: the processes that only use the database start without it.
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    known = {step.revision for step in script.walk_revisions()}
    with writing(engine) as connection:
        present = MigrationContext.configure(connection).get_current_revision()
        if present is not None and present not in known:
            newest = script.get_current_head()
            raise DatabaseUnsuitable(
                f"the registry's schema is {present}; this version of the program knows {newest}"
            )
        if is_postgresql(engine):
            from gateway.postgresql import wait_for_ever

            wait_for_ever(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return present != script.get_current_head()


def _prepare(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    """Set up a new SQLite connection; the driver's own, late BEGIN is switched off."""
    del record
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Take the write lock at once where it will be needed: a later upgrade could fail as busy."""
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
