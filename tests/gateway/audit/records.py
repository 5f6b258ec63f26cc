"""Builders of records and logs for the tests of the audit log."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import pytest
from pysqlite3 import dbapi2 as sqlite

from gateway.audit.entry import Kind, Record
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.lifecycle.opened import open_log
from gateway.audit.log import AuditLog
from gateway.audit.place import LogHome, Place, PostgresHome, PostgresLog, place_of
from gateway.audit.postgresql.session import open_session, quoted
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.store import LogUnavailable
from gateway.clock import new_uuid7, system_time_us
from tests.postgres import new_database

ORIGIN: Final = "gateway.dept-a.example/audit/2026"
VECTORS: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors/audit-log-vectors.json").read_text("utf-8")
)


STORES: Final = ("sqlite", "postgres")
"""The stores that the same tests hold to the same promises."""
each_store = pytest.mark.usefixtures("store_of_test")
"""Marks a test that runs once on each store; its log is in `tmp_path`, as `home_of` finds it."""
_URL_FILE: Final = "postgres-url"


def unhex(text: str) -> bytes:
    """Return the bytes of hexadecimal text."""
    return bytes.fromhex(text)


def unbase64(texts: list[str]) -> list[bytes]:
    """Return the bytes of each base64 text."""
    return [base64.b64decode(text) for text in texts]


def intent(exchange: bytes | None = None, **core: object) -> Record:
    """Return an intent with a personal section."""
    exchange = exchange or new_uuid7()
    known: dict[str, object] = {"decision": "permit", "agreement": "DSA-2026-0003", **core}
    return record(Kind.INTENT, exchange, core=known, actor={"client_id": "council-app"})


def outcome(exchange: bytes, **core: object) -> Record:
    """Return the outcome of an exchange."""
    return record(Kind.OUTCOME, exchange, core={"status": 200, **core})


def record(kind: Kind, exchange: bytes | None, **sections: dict[str, object]) -> Record:
    """Return a record made now."""
    return Record(
        record_id=new_uuid7(),
        kind=kind,
        exchange=exchange,
        at_us=system_time_us(),
        sections=sections,
    )


def keys_in(directory: Path) -> LogKeys:
    """Return the keys of the log in a test's directory."""
    return LogKeys(directory / "keys")


@contextmanager
def on_store(directory: Path, store: str, server: Callable[[], str]) -> Iterator[Path]:
    """Have a test's log in one of the stores; `server` gives the URL of a PostgreSQL."""
    if store == "sqlite":
        yield directory
        return
    with new_database(server()) as url:
        use_postgres(directory, url)
        yield directory


@contextmanager
def copy_of_log(directory: Path, copy: Path) -> Iterator[Path]:
    """Copy the log of one test's directory, which nobody uses now, into another's."""
    shutil.copytree(directory, copy)
    file = directory / _URL_FILE
    if not file.exists():
        yield copy
        return
    with new_database(file.read_text(), template=file.read_text()) as url:
        use_postgres(copy, url)
        yield copy


def use_postgres(directory: Path, url: str) -> None:
    """Have a test's log in a database, in other processes too."""
    (directory / _URL_FILE).write_text(url)


def forget_shards(directory: Path) -> None:
    """Drop the schemas of a test's log."""
    place = place_in(directory)
    assert isinstance(place, PostgresLog)
    session = open_session(place)
    found = r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'audit\_%'"
    for (schema,) in session.execute(found).fetchall():
        session.execute(f"DROP SCHEMA {quoted(schema)} CASCADE")
    session.close()


def lose(directory: Path) -> None:
    """Lose a test's log with all that lies beside it; its keys are elsewhere."""
    shutil.rmtree(directory / "audit")
    if isinstance(home_of(directory), PostgresHome):
        forget_shards(directory)


def home_of(directory: Path) -> LogHome:
    """Return where the log of a test's directory is."""
    file = directory / _URL_FILE
    audit = directory / "audit"
    return PostgresHome(file.read_text(), audit) if file.exists() else audit


def place_in(directory: Path) -> Place:
    """Return the place of the log in a test's directory."""
    return place_of(home_of(directory), ORIGIN.rpartition("/")[2])


def opened(directory: Path, instance: str = "test") -> AuditLog:
    """Open the log of a test's directory."""
    home = home_of(directory)
    return open_log(home, origin=ORIGIN, instance=instance, keys=keys_in(directory))


def using(
    directory: Path,
    use: Callable[[AuditLog], Awaitable[None]],
    *,
    of: Callable[[Path], AuditLog] | None = None,
) -> None:
    """Open the log, or the one that `of` opens, use it in an event loop, and stop it."""

    async def run() -> None:
        log = (of or opened)(directory)
        await log.start()
        try:
            await use(log)
        finally:
            await log.stop()

    asyncio.run(run())


def provisioned(directory: Path) -> Path:
    """Make a log that holds its first record only; return its place."""

    async def nothing(log: AuditLog) -> None:
        """Leave the log as it is."""

    using(directory, nothing)
    return _as_file(place_in(directory))


def filled(directory: Path, exchanges: int) -> Path:
    """Make a log with so many whole exchanges, integrated and published; return its place."""

    async def use(log: AuditLog) -> None:
        ids = [new_uuid7() for _ in range(exchanges)]
        await asyncio.gather(*[log.append(intent(item)) for item in ids])
        await asyncio.gather(*[log.append(outcome(item)) for item in ids])

    using(directory, use)
    return integrated(directory)


def integrated(directory: Path) -> Path:
    """Integrate and publish what the log holds; return its place."""
    integrator = Integrator(home_of(directory), origin=ORIGIN, keys=keys_in(directory))
    try:
        while integrator.step():
            pass
    finally:
        integrator.close()
    return _as_file(place_in(directory))


def unpublished(directory: Path, use: Callable[[AuditLog], Awaitable[None]]) -> None:
    """Use a log, and have what it holds signed, but the head not published: its disk refuses."""
    using(directory, use)
    obstacle = directory / "audit" / ".sealed-head"
    obstacle.mkdir()
    with pytest.raises(LogUnavailable, match="cannot be sealed"):
        integrated(directory)
    obstacle.rmdir()


def _as_file(place: Place) -> Path:
    """Return a place as most tests know it: what they ask of a file a schema has too."""
    return cast("Path", place)


def tampered(place: Place, statement: str, *values: object) -> None:
    """Change the log behind its back."""
    if isinstance(place, PostgresLog):
        session = open_session(place)
        try:
            session.execute("SET session_replication_role = replica")  # past every trigger
            blobs = re.sub(r"zeroblob\((\d+)\)", r"decode(repeat('00', \1), 'hex')", statement)
            session.execute(blobs, values)
        finally:
            session.close()
        return
    db = sqlite.connect(str(place), isolation_level=None)
    try:
        db.execute(statement, values)
    finally:
        db.close()


def selected(place: Place, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Read from the log."""
    if isinstance(place, PostgresLog):
        session = open_session(place)
        try:
            return session.execute(statement, values).fetchall()
        finally:
            session.close()
    db = sqlite.connect(str(place), isolation_level=None)
    try:
        rows: list[tuple[Any, ...]] = db.execute(statement, values).fetchall()
        return rows
    finally:
        db.close()
