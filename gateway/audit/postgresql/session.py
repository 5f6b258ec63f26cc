"""Sessions with PostgreSQL for everything but appending: the same SQL as SQLite takes, checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, Self

import psycopg
from psycopg.abc import Buffer
from psycopg.types.numeric import NumericBinaryLoader, NumericLoader

from gateway.audit.place import SCHEMA_PREFIX, PostgresFailed, PostgresLog

VERSION_MIN: Final = 140_000
"""PostgreSQL 14: older ones cannot wait for a backend that they end."""
URL_MALFORMED: Final = "the URL of PostgreSQL is malformed"
CONNECT_S_MAX: Final = 5
LOCK_MS_MAX: Final = 2_000
"""How long a statement waits for another's lock before it is given up."""
IDLE_IN_TRANSACTION_MS_MAX: Final = 5_000
"""After this a writer that hangs between two statements loses its transaction, and its locks."""
READER_IDLE_MS_MAX: Final = 600_000
"""A reader may pause that long between two pages, for example in front of a person."""
FETCH_ROWS_FIRST: Final = 64
FETCH_ROWS_MAX: Final = 4_096
"""Rows that are fetched at once: few at first, for most readers stop soon."""

# A dead network is noticed after 5 + 3 x 2 seconds, or when nothing sent is confirmed for 10.
KEEPALIVES: Final[dict[str, Any]] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

SESSION_FACTS: Final = """
SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       pg_is_in_recovery() AS in_recovery,
       current_setting('server_version_num')::int AS version,
       current_setting('synchronous_standby_names') AS standbys"""
SESSION_SETTINGS: Final = """
SELECT set_config('search_path', %s, false), set_config('synchronous_commit', 'on', false),
       set_config('lock_timeout', %s, false),
       set_config('idle_in_transaction_session_timeout', %s, false)"""
_SHARDS: Final = """
SELECT n.nspname FROM pg_namespace AS n JOIN pg_class AS c ON c.relnamespace = n.oid
WHERE c.relname = 'audit_head' AND n.nspname LIKE %s ORDER BY n.nspname COLLATE "C" """

_LEXEMES: Final = re.compile(r"'(?:[^']|'')*'|[?%]")
_REPLICATION_IN_DOUBT: Final = "01000"
"""Class of the warning that a commit's wait for its standby was cut short (01000, warning)."""


class SessionUnsuitable(PostgresFailed):
    """The server does not keep what it acknowledges, or may not be written to."""


def unsuitable(fsync: str, full_page_writes: str, in_recovery: object, version: int) -> str | None:
    """Return why a server cannot be trusted with the log, or None.

    `in_recovery` is for writers; a reader may ask a standby, and passes False.
    """
    if version < VERSION_MIN:
        return f"PostgreSQL {version // 10_000} is too old: 14 or newer is needed"
    if fsync != "on" or full_page_writes != "on":
        return "fsync and full_page_writes must be on: without them a crash loses records"
    if in_recovery:
        return "it is a standby, which takes no records"
    return None


def quoted(schema: str) -> str:
    """Return the name of a schema as SQL writes it."""
    return '"{}"'.format(schema.replace('"', '""'))


def is_in_doubt(sqlstate: str | None, severity: str | None) -> bool:
    """Tell whether a notice says that a commit might not have been replicated.

    A synchronous wait that is cancelled makes the commit succeed with this warning alone
    (audit-log.md, section 2.7): the record is here, and a failover may lose it.
    """
    return sqlstate == _REPLICATION_IN_DOUBT and severity == "WARNING"


@lru_cache(maxsize=256)
def translated(sql: str) -> str:
    """Return SQL with `?` for its values as psycopg writes it."""
    return _LEXEMES.sub(_translate, sql)


def _translate(found: re.Match[str]) -> str:
    lexeme = found.group()
    return "%s" if lexeme == "?" else lexeme.replace("%", "%%")


def open_session(place: PostgresLog, *, reads: bool = False) -> PostgresSession:
    """Open a session in a shard's schema; raises PostgresFailed, SessionUnsuitable."""
    return PostgresSession(place.url, quoted(place.schema), reads=reads)


def shard_schemas(url: str) -> list[str]:
    """Return the schemas of a database that hold a shard, oldest first."""
    session = PostgresSession(url, "pg_catalog", reads=True)
    try:
        found = session.raw.execute(_SHARDS, (SCHEMA_PREFIX.replace("_", r"\_") + "%",))
        return [row[0] for row in found]
    finally:
        session.close()


class PostgresSession:
    """A connection that takes the statements of the SQLite store, with `?` for values.

    Integers are int64, BLOB is bytea and comes back as `bytes`. Of a session that `reads`, large
    results are fetched piece by piece as they are looped over, and nothing can be changed.
    """

    def __init__(self, url: str, search_path: str, *, reads: bool) -> None:
        """Connect and check the server; raises PostgresFailed, SessionUnsuitable."""
        self.in_doubt = False
        self._streams = reads
        self._cursors = 0
        with translating_errors(), _telling_no_url():
            # Values are written into the statement by psycopg itself: PostgreSQL then infers
            # their types as SQLite does, from where they stand.
            self.raw = psycopg.connect(
                url, autocommit=True, connect_timeout=CONNECT_S_MAX,
                cursor_factory=psycopg.ClientCursor, **KEEPALIVES,
            )  # fmt: skip
        try:
            self._prepare(search_path, reads=reads)
        except BaseException:
            self.close()
            raise

    def _prepare(self, search_path: str, *, reads: bool) -> None:
        self.raw.adapters.register_loader("numeric", _TextIntegerLoader)
        self.raw.adapters.register_loader("numeric", _BinaryIntegerLoader)
        self.raw.add_notice_handler(self._notice)
        idle_ms = READER_IDLE_MS_MAX if reads else IDLE_IN_TRANSACTION_MS_MAX
        with translating_errors():
            values = (search_path, str(LOCK_MS_MAX), str(idle_ms))
            self.raw.execute(SESSION_SETTINGS, values)
            row = self.raw.execute(SESSION_FACTS).fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has a row
        fsync, full_page_writes, _, in_recovery, version, self.standbys = row
        why = unsuitable(fsync, full_page_writes, in_recovery and not reads, version)
        if why is not None:
            raise SessionUnsuitable(f"the PostgreSQL server is unsuitable: {why}")

    @property
    def in_transaction(self) -> bool:
        """Tell whether a transaction is open."""
        return self.raw.info.transaction_status != psycopg.pq.TransactionStatus.IDLE

    @property
    def broken(self) -> bool:
        """Tell whether the connection is lost for good."""
        return self.raw.closed or self.raw.broken

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> Rows:
        """Run a statement; raises PostgresFailed."""
        if self._streams and sql.lstrip().startswith(("SELECT", "WITH")):
            return Rows(self, sql, parameters)
        return Rows(self, sql, parameters).run()

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> Rows:
        """Run a statement for each row; `rowcount` counts what all of them changed."""
        return Rows(self, sql, ()).run_many(rows)

    def close(self) -> None:
        """Give the connection up; an open transaction is rolled back."""
        self.raw.close()

    def next_cursor(self) -> str:
        """Return a name that no other cursor of this session has."""
        self._cursors += 1
        return f"rows_{self._cursors}"

    def _notice(self, notice: psycopg.errors.Diagnostic) -> None:
        if is_in_doubt(notice.sqlstate, notice.severity_nonlocalized):
            self.in_doubt = True


class Rows:
    """What a statement returns: as a DB-API cursor has it, run when it is first asked."""

    def __init__(self, session: PostgresSession, sql: str, parameters: Sequence[object]) -> None:
        """Use `PostgresSession.execute`."""
        self._session = session
        self._sql = sql
        self._parameters = parameters
        self._cursor: psycopg.Cursor[Any] | None = None
        self._streamed: Iterator[tuple[Any, ...]] | None = None

    @property
    def rowcount(self) -> int:
        """Return how many rows were changed."""
        return self._ran().rowcount

    def run(self) -> Self:
        """Run the statement now."""
        self._ran()
        return self

    def run_many(self, rows: Iterable[Sequence[object]]) -> Self:
        """Run the statement for each row."""
        with translating_errors():
            self._cursor = self._session.raw.cursor()
            self._cursor.executemany(translated(self._sql), rows)
        return self

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        with translating_errors():
            return self._ran().fetchone()

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        with translating_errors():
            return self._ran().fetchall()

    def __iter__(self) -> Self:
        """Loop over the rows."""
        return self

    def __next__(self) -> Any:
        """Return the next row, fetched with some that come after it."""
        if self._cursor is not None:
            row = self.fetchone()
            if row is None:
                raise StopIteration
            return row
        if self._streamed is None:
            self._streamed = self._stream()
        return next(self._streamed)

    def _ran(self) -> psycopg.Cursor[Any]:
        if self._cursor is None:
            with translating_errors():
                self._cursor = self._session.raw.execute(
                    translated(self._sql), tuple(self._parameters)
                )
        return self._cursor

    def _stream(self) -> Iterator[tuple[Any, ...]]:
        """Fetch through a cursor in the server, so that memory stays flat."""
        name, raw = self._session.next_cursor(), self._session.raw
        declared = f"DECLARE {name} NO SCROLL CURSOR FOR {translated(self._sql)}"
        count = FETCH_ROWS_FIRST
        with translating_errors():
            raw.execute(declared, tuple(self._parameters))
            while True:
                cursor = psycopg.Cursor(raw)
                rows = cursor.execute(f"FETCH {count} FROM {name}", binary=True).fetchall()
                yield from rows
                if len(rows) < count:
                    break
                count = min(2 * count, FETCH_ROWS_MAX)
            raw.execute(f"CLOSE {name}")


class _TextIntegerLoader(NumericLoader):
    """Reads PostgreSQL's sums of integers, which are numeric, as the integers they are."""

    def load(self, data: Buffer) -> Any:
        found = super().load(data)
        return int(found) if found == found.to_integral_value() else found


class _BinaryIntegerLoader(NumericBinaryLoader):
    """Reads them where they come in binary form."""

    def load(self, data: Buffer) -> Any:
        found = super().load(data)
        return int(found) if found == found.to_integral_value() else found


@contextmanager
def _telling_no_url() -> Iterator[None]:
    """Raise PostgresFailed for a URL that cannot be read: libpq quotes it, password and all."""
    try:
        yield
    except psycopg.ProgrammingError as failure:
        if failure.sqlstate is not None:
            raise
        raise PostgresFailed(URL_MALFORMED) from None


@contextmanager
def translating_errors() -> Iterator[None]:
    """Raise PostgresFailed for what psycopg raises, without the values it may quote."""
    try:
        yield
    except psycopg.Error as failure:
        said = failure.diag.message_primary or str(failure).partition("\n")[0]
        raise PostgresFailed(said or type(failure).__name__, failure.sqlstate) from None
