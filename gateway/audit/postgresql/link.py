"""The connection through which a process appends to PostgreSQL: checked, and its notices heard."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, Final

import asyncpg

from gateway.audit.place import PostgresFailed, PostgresLog
from gateway.audit.postgresql.session import (
    CONNECT_S_MAX,
    IDLE_IN_TRANSACTION_MS_MAX,
    LOCK_MS_MAX,
    SESSION_FACTS,
    URL_MALFORMED,
    SessionUnsuitable,
    is_in_doubt,
    quoted,
    unsuitable,
)

# A dead network is noticed after 5 + 3 x 2 seconds, or when nothing sent is confirmed for 10.
_KEEPALIVES: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000),
)

# Nothing was written: the statement's transaction is rolled back, and a later one may succeed.
# Resources are exhausted (53: a full disk, too many connections), a lock or an operator was in
# the way, or the server has become a standby.
_ROLLED_BACK: Final = frozenset({"55P03", "57014", "40001", "40P01", "25006"})
_EXHAUSTED: Final = "53"
# What was under way when the server or the connection went may be stored or not.
_LOST: Final = ("08", "57P")


class LinkLost(Exception):
    """The connection broke, or a commit's replication is in doubt: what was sent is unknown."""


def is_rolled_back(sqlstate: str) -> bool:
    """Tell whether a failed statement left nothing, and may be tried again later."""
    return sqlstate in _ROLLED_BACK or sqlstate.startswith(_EXHAUSTED)


class PostgresLink:
    """One connection of asyncpg's in a shard's schema. Nothing it does is ever cancelled."""

    def __init__(self, connection: Any) -> None:
        """Use `open_link`."""
        self._connection = connection
        self._in_doubt = False
        connection.add_log_listener(self._notice)

    async def fetch(self, sql: str, *values: object) -> list[Any]:
        """Run one statement, in a transaction of its own, and return its rows.

        Raises PostgresFailed where it was rolled back, LinkLost where that is not known.
        """
        self._in_doubt = False
        try:
            rows: list[Any] = await self._connection.fetch(sql, *values)
        except asyncpg.PostgresError as failure:
            if failure.sqlstate is None or failure.sqlstate.startswith(_LOST):
                raise LinkLost(type(failure).__name__) from failure
            raise _failed(failure) from failure
        except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as failure:
            raise LinkLost(type(failure).__name__) from failure
        if self._in_doubt:
            raise LinkLost("a commit's wait for its standby was cut short")
        return rows

    @property
    def is_open(self) -> bool:
        """Tell whether the connection can be used."""
        return not self._connection.is_closed()

    def close(self) -> None:
        """Drop the connection; the server finishes what it was told."""
        self._connection.terminate()

    def _notice(self, _connection: object, notice: Any) -> None:
        if is_in_doubt(notice.sqlstate, notice.severity_en or notice.severity):
            self._in_doubt = True


async def open_link(place: PostgresLog) -> PostgresLink:
    """Connect to a shard; raises PostgresFailed, or SessionUnsuitable for its server."""
    try:
        connection = await asyncpg.connect(
            place.url,
            timeout=CONNECT_S_MAX,
            server_settings={
                "application_name": "concordat",
                "search_path": quoted(place.schema),
                "synchronous_commit": "on",
                "default_transaction_isolation": "read committed",
                "lock_timeout": str(LOCK_MS_MAX),
                "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS_MAX),
            },
        )
    except asyncpg.PostgresError as failure:
        raise _failed(failure) from failure
    except (OSError, TimeoutError) as failure:  # of TLS, too, whose errors may be ValueErrors
        raise PostgresFailed(f"PostgreSQL does not answer: {type(failure).__name__}") from failure
    except ValueError:  # asyncpg reads the URL with urllib, which quotes what it cannot read
        raise PostgresFailed(URL_MALFORMED) from None
    except asyncpg.InterfaceError as failure:
        raise PostgresFailed(f"PostgreSQL does not answer: {type(failure).__name__}") from failure
    try:
        _keep_alive(connection)
        facts = (await connection.fetch(SESSION_FACTS))[0]
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as failure:
        connection.terminate()
        raise PostgresFailed(f"PostgreSQL does not answer: {type(failure).__name__}") from failure
    why = unsuitable(
        facts["fsync"], facts["full_page_writes"], facts["in_recovery"], facts["version"]
    )
    if why is not None:
        connection.terminate()
        raise SessionUnsuitable(f"the PostgreSQL server is unsuitable: {why}")
    return PostgresLink(connection)


def _failed(failure: Any) -> PostgresFailed:
    """Return the failure without the values that its details may quote."""
    return PostgresFailed(failure.message or type(failure).__name__, failure.sqlstate)


def _keep_alive(connection: Any) -> None:
    """Have the kernel notice a server that is gone: a commit itself is never given up."""
    # asyncpg offers no way to set options of its socket; a duplicate is the same socket.
    transport: asyncio.Transport = connection._transport  # noqa: SLF001 - see above
    known = transport.get_extra_info("socket")
    if known.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with socket.socket(fileno=os.dup(known.fileno())) as same:
        for level, option, value in _KEEPALIVES:
            same.setsockopt(level, option, value)
