"""Changes of the configuration by an administrator: applied whole, and on record first."""

from __future__ import annotations

import asyncio

from gateway.audit.entry import Kind, Record
from gateway.clock import new_uuid7, system_time_us
from gateway.data_plane import open_audit_log
from gateway.database import open_engine
from gateway.registry.documents import Configuration
from gateway.registry.store import Changes, Registry
from gateway.settings import Settings


def apply_configuration(configuration: Configuration, settings: Settings, *, by: str) -> Changes:
    """Make `configuration` the present one, with an `admin.change` record of what changes.

    The record is durable before the change is: should the process die in between, the log names a
    change that did not happen, and never lacks one that did.

    Raises:
        LogUnavailable: the change could not be recorded, so it was not made.
        RegistryUnavailable: the registry's database does not answer.
    """

    def record(changes: Changes) -> None:
        asyncio.run(_append(_change_record(changes, by), settings))

    engine = open_engine(settings.database_url)
    try:
        return Registry(engine).apply(configuration, by=by, record=record)
    finally:
        engine.dispose()


async def _append(record: Record, settings: Settings) -> None:
    log = open_audit_log(settings, instance="administration")
    await log.start()
    try:
        await log.append(record)
    finally:
        await log.stop()


def _change_record(changes: Changes, by: str) -> Record:
    core: dict[str, object] = {"verb": "apply", "revision": changes.revision, "by": by}
    for word in ("added", "changed", "removed"):
        core[word] = [f"{kind} {key}" for kind, key in getattr(changes, word)]
    return Record(
        record_id=new_uuid7(),
        kind=Kind.CHANGE,
        exchange=None,
        at_us=system_time_us(),
        sections={"core": core},
    )
