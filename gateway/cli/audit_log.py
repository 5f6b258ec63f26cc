"""Reads a home's audit log for the commands, and records in it that it was read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from gateway.audit.entry import Kind, Record
from gateway.audit.keys import LogKeys
from gateway.audit.reader import find_log, verify_log
from gateway.audit.search import Filters, find, show
from gateway.audit.store import LogUnavailable
from gateway.audit.verify import Progress, Report
from gateway.cli.output import Exit, Stop
from gateway.clock import new_uuid7, system_time_us
from gateway.data_plane import log_origin, open_audit_log
from gateway.settings import Settings

USES: Final = frozenset(
    {"verify_lawfulness", "self_monitoring", "integrity_and_security", "criminal_proceedings"}
)
"""What the log may be read for (DPA 2018 s.62(4))."""

_INSTANCE: Final = "cli"
_READER: Final = "operator at the console"


def find_exchanges(
    settings: Settings, filters: Mapping[str, Any], *, limit: int, use: str
) -> list[dict[str, object]]:
    """Return exchanges that pass `filters`, newest first; the reading is recorded first."""
    asked = {name: value for name, value in filters.items() if value is not None}
    path, keys = _open(settings)
    _record_reading(settings, use, {"search": sorted(asked)})
    return list(find(path, Filters(**asked), limit=limit, keys=keys).items)


def show_one(settings: Settings, exchange_id: str, *, use: str) -> dict[str, object]:
    """Return one exchange with all its records; the reading is recorded first."""
    try:
        exchange = UUID(exchange_id)
    except ValueError:
        mend = "copy it from the Exchange-Id of the answer"
        raise Stop(f"{exchange_id} is not an exchange id", mend=mend) from None
    path, keys = _open(settings)
    _record_reading(settings, use, {"exchange": str(exchange)})
    view = show(path, exchange.bytes, keys=keys)
    if view is None:
        raise Stop(f"the log holds no exchange {exchange}", code=Exit.FAILED)
    return view


def verify_file(
    settings: Settings | None, log: Path | None, vkey: str | None, progress: Progress | None
) -> Report:
    """Verify `log`, or the newest log of a home, with `vkey` or the home's own key."""
    if settings is None:
        assert log is not None, "without a home there is a file"  # noqa: S101 - the caller's rule
        return verify_log(log, vkey=vkey, progress=progress)
    path = log or find_log(settings.audit_directory)
    keys = LogKeys(settings.keys_directory)
    signed_by = vkey or keys.signer(log_origin(settings)).verifier.vkey()
    return verify_log(path, vkey=signed_by, keys=keys, progress=progress)


def _open(settings: Settings) -> tuple[Path, LogKeys]:
    try:
        return find_log(settings.audit_directory), LogKeys(settings.keys_directory)
    except LogUnavailable as failure:
        raise Stop(str(failure), mend="run the gateway once: concordat serve") from None


def _record_reading(settings: Settings, use: str, what: Mapping[str, object]) -> None:
    if use not in USES:
        raise Stop(f"{use} is no permitted use", mend=f"--use {' | '.join(sorted(USES))}")
    core = {"use": use, "by": _READER, **what}
    record = Record(
        record_id=new_uuid7(),
        kind=Kind.ACCESS,
        exchange=None,
        at_us=system_time_us(),
        sections={"core": core},
    )
    try:
        asyncio.run(_append(settings, record))
    except LogUnavailable as failure:
        mend = "the log is only shown where the reading can be recorded; see: concordat doctor"
        raise Stop(f"the reading cannot be recorded: {failure}", mend=mend) from None


async def _append(settings: Settings, record: Record) -> None:
    log = open_audit_log(settings, instance=_INSTANCE)
    await log.start()
    try:
        await log.append(record)
    finally:
        await log.stop()
