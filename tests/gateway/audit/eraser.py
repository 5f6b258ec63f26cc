"""A process that erases exchange after exchange until it is killed, telling each that is done."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gateway.audit.privacy.erasable import Selection
from gateway.audit.privacy.erase import erase
from gateway.audit.reading.reader import find_log
from tests.gateway.audit.erasing import ORDER
from tests.gateway.audit.records import home_of, keys_in, opened, selected


async def main(directory: Path) -> None:
    """Erase every exchange that has keys left, the oldest first, one at a time."""
    keys, path = keys_in(directory), find_log(home_of(directory))
    rows = selected(
        path,
        "SELECT DISTINCT r.exchange FROM audit_record AS r JOIN audit_key AS k"
        " ON k.leaf_index = r.leaf_index WHERE r.exchange IS NOT NULL ORDER BY r.exchange",
    )
    log = opened(directory, instance="eraser")
    await log.start()
    for (exchange,) in rows:
        selection = Selection(exchange=exchange)
        tally = await erase(log, keys, selection, ORDER, agreements=())
        sys.stdout.write(f"{tally.records}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
