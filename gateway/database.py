"""Engines and transactions for the registry's database."""

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
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_MS: Final = 5000
"""How long a SQLite connection waits for another writer."""
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
    """Open the registry's database: SQLite in WAL mode, by pysqlite3.

    Without `create`, a file that is not there is a failure of the first connection instead of a
    new, empty database. A file that goes away later, or is replaced, is never read on as if it
    were still there: connections to it end.

    Raises:
        DatabaseUnsuitable: `url` names another kind of database, or SQLite is too old.
    """
    if make_url(url).drivername != "sqlite+pysqlite":
        raise DatabaseUnsuitable("the registry is a SQLite file: sqlite+pysqlite:///<path>")
    check_sqlite_version()
    engine = create_engine(url, module=sqlite)
    file = _File(Path(make_url(url).database or ""), may_create=create)
    event.listen(engine, "do_connect", file.connect)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "connect", file.opened)
    event.listen(engine, "checkout", file.check)
    event.listen(engine, "begin", _begin)
    return engine


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
    with engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that holds the write lock from its start, and commits at its end."""
    with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        yield connection


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest schema; a database that has it already is left alone."""
    # Imported here: the processes that only use the database start without it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


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
