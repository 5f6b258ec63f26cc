"""The registry on PostgreSQL: how it is reached, how long it may take, and whom it believes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError

LOCK_TIMEOUT_MS: Final = 5000
"""How long a writer waits for another one."""
STATEMENT_TIMEOUT_MS: Final = 8_000
"""How long the server works on one statement; a migration's have as long as they take."""
IDLE_TIMEOUT_MS: Final = 60_000
"""How long a transaction may stand still before its lock is taken from it: a change is recorded in
the audit log while it holds the lock."""
ANSWER_TIMEOUT_S: Final = 10.0
"""How long an answer is waited for: a server that hangs does not end a statement itself."""
CONNECTIONS_MAX: Final = 10
"""Connections of one process; a worker, which reads the stop-list, has one."""
CONNECTION_WAIT_S: Final = 5.0
"""How long a thread waits for one of them."""

_REACHED: Final[Mapping[str, str | int]] = {
    "connect_timeout": 3,
    # A server that vanishes without a word is noticed within seconds, not within the two hours of
    # the system's defaults: whatever waits for it then fails, and connects anew.
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
    "application_name": "concordat registry",
}
"""How it is reached (libpq's parameter keywords), where the URL does not say otherwise."""
_WRITER_LOCK: Final = 0x636F6E63
"""The advisory lock of whoever changes the registry; any number that only we would think of."""

_Answer = TypeVar("_Answer")


class StandbyServer(DisconnectionError):
    """The server that answers is a standby: what it says may be old, so it is not believed."""


class _Patient(psycopg.Connection[Any]):
    """A connection that is given up where the server does not answer in time."""

    answer_s: float | None = ANSWER_TIMEOUT_S

    def wait(
        self, gen: PQGen[_Answer], interval: float = 0.1, timeout: float | None = None
    ) -> _Answer:
        """Wait for an answer as psycopg does, but not for ever.

        Raises:
            psycopg.OperationalError: there was none; the connection is closed.
        """
        try:
            return super().wait(gen, interval, self.answer_s if timeout is None else timeout)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - the only name that it has
            self.close()
            raise psycopg.OperationalError("the server did not answer in time") from None


def open_postgresql(url: URL, *, writes: str) -> Engine:
    """Open a PostgreSQL database; nothing is connected yet.

    `writes` is the execution option of connections whose transactions change something: they take
    turns. Only the primary is believed.
    """
    reached = {name: value for name, value in _REACHED.items() if name not in url.query}
    engine = create_engine(
        url,
        # Statements are not prepared: a pooler between us and the server may not know them.
        connect_args={**reached, "prepare_threshold": None},
        pool_size=2,
        max_overflow=CONNECTIONS_MAX - 2,
        pool_timeout=CONNECTION_WAIT_S,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "begin", lambda connection: _begin(connection, writes))
    return engine


def wait_for_ever(connection: Connection) -> None:
    """Let the statements of this connection's transaction take as long as they do."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    patient = connection.connection.driver_connection
    assert isinstance(patient, _Patient)  # noqa: S101 - no others are made here
    patient.answer_s = None


def _connect(
    _dialect: object, _record: object, arguments: tuple[Any, ...], options: dict[str, Any]
) -> _Patient:
    return _Patient.connect(*arguments, **options)


def _begin(connection: Connection, writes: str) -> None:
    """Set the transaction's time limits, see that this is the primary, and take the write lock.

    For this transaction alone, so that it works through a pooler as well. A writer's transaction is
    READ COMMITTED: what it reads once it has the lock is what the writer before it has left.
    """
    limits = {
        "statement_timeout": STATEMENT_TIMEOUT_MS,
        "lock_timeout": LOCK_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": IDLE_TIMEOUT_MS,
    }
    settings = ", ".join(f"set_config('{name}', '{ms}', true)" for name, ms in limits.items())
    told = connection.exec_driver_sql(f"SELECT pg_is_in_recovery(), {settings}").one()
    if told[0]:
        connection.invalidate()
        raise StandbyServer("the registry's server is a standby")
    if connection.get_execution_options().get(writes, False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")
