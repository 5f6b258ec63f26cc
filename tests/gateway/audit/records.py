"""Builders of records and logs for the tests of the audit log."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.entry import Kind, Record
from gateway.audit.integrate import Integrator
from gateway.audit.keys import LogKeys
from gateway.audit.log import AuditLog, open_log
from gateway.audit.sqlite import database_path
from gateway.clock import new_uuid7, system_time_us

ORIGIN: Final = "gateway.dept-a.example/audit/2026"
VECTORS: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors/audit-log-vectors.json").read_text("utf-8")
)


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


def opened(directory: Path, instance: str = "test") -> AuditLog:
    """Open the log of a test's directory."""
    return open_log(directory / "audit", origin=ORIGIN, instance=instance, keys=keys_in(directory))


def using(directory: Path, use: Callable[[AuditLog], Awaitable[None]]) -> None:
    """Open the log, use it in an event loop, and stop it."""

    async def run() -> None:
        log = opened(directory)
        await log.start()
        try:
            await use(log)
        finally:
            await log.stop()

    asyncio.run(run())


def provisioned(directory: Path) -> Path:
    """Make a log that holds its first record only; return its file."""

    async def nothing(log: AuditLog) -> None:
        """Leave the log as it is."""

    using(directory, nothing)
    return database_path(directory / "audit", ORIGIN)


def filled(directory: Path, exchanges: int) -> Path:
    """Make a log with so many whole exchanges, integrated and published; return its file."""

    async def use(log: AuditLog) -> None:
        ids = [new_uuid7() for _ in range(exchanges)]
        await asyncio.gather(*[log.append(intent(item)) for item in ids])
        await asyncio.gather(*[log.append(outcome(item)) for item in ids])

    using(directory, use)
    return integrated(directory)


def integrated(directory: Path) -> Path:
    """Integrate and publish what the log holds; return its file."""
    integrator = Integrator(directory / "audit", origin=ORIGIN, keys=keys_in(directory))
    try:
        while integrator.step():
            pass
    finally:
        integrator.close()
    return database_path(directory / "audit", ORIGIN)


def tampered(path: Path, statement: str, *values: object) -> None:
    """Change the log's file behind its back."""
    db = sqlite.connect(str(path), isolation_level=None)
    try:
        db.execute(statement, values)
    finally:
        db.close()


def selected(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Read from the log's file."""
    db = sqlite.connect(str(path), isolation_level=None)
    try:
        rows: list[tuple[Any, ...]] = db.execute(statement, values).fetchall()
        return rows
    finally:
        db.close()
