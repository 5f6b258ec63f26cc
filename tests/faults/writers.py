"""Processes that append until they are killed, and keep what was acknowledged in a file."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from gateway.audit.log import AuditLog
from gateway.clock import new_uuid7
from tests.gateway.audit.records import intent, opened, outcome

TASKS = 4


def write_until_killed(directory: Path, journal: Path) -> None:
    """Append exchanges to the log of a directory; the body of a process."""
    descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def write(log: AuditLog) -> None:
        while True:
            exchange = new_uuid7()
            for record in (intent(exchange), outcome(exchange)):
                place = await log.append(record)
                # One write: a death leaves a line whole or not at all.
                os.write(descriptor, b"%d %s\n" % (place.index, place.leaf_hash.hex().encode()))

    async def work() -> None:
        log = opened(directory, instance="writer")
        await log.start()
        await asyncio.gather(*[write(log) for _ in range(TASKS)])

    asyncio.run(work())
