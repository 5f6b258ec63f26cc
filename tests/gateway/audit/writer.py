"""A process that appends until it is killed, telling each acknowledged record on its output."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gateway.audit.log import AuditLog
from tests.gateway.audit.records import intent, opened


async def write(log: AuditLog) -> None:
    """Append for ever."""
    while True:
        place = await log.append(intent())
        sys.stdout.write(f"{place.index} {place.leaf_hash.hex()}\n")
        sys.stdout.flush()


async def main(directory: Path) -> None:
    """Append from four tasks at once."""
    log = opened(directory, instance="writer")
    await log.start()
    await asyncio.gather(*[write(log) for _ in range(4)])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
