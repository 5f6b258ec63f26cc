"""A process that writes to a log while its system calls fail, and tells what it was promised."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gateway.audit.store import LogUnavailable
from gateway.clock import new_uuid7
from tests.gateway.audit.records import integrated, intent, opened, outcome
from tests.gateway.audit.test_shards import retired

EXCHANGES = 3


def say(text: str) -> None:
    """Tell the test something, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def append(directory: Path) -> None:
    """Append some exchanges one after another, and close, which moves the WAL into the file."""
    log = opened(directory)
    await log.start()
    for _ in range(EXCHANGES):
        exchange = new_uuid7()
        for record in (intent(exchange), outcome(exchange)):
            try:
                place = await log.append(record)
                say(f"{place.index} {place.leaf_hash.hex()}")
            except LogUnavailable as refused:
                say(f"refused {refused.code}")
    await log.stop()


def integrate(directory: Path) -> None:
    """Bring the log's records into the tree, and publish the head."""
    try:
        integrated(directory)
        say("published")
    except LogUnavailable as refused:
        say(f"refused {refused.code}")


def end_shard(directory: Path) -> None:
    """End the log's shard and begin the next."""
    try:
        retired(directory)
        say("retired")
    except LogUnavailable as refused:
        say(f"refused {refused.code}")


if __name__ == "__main__":
    what, place = sys.argv[1], Path(sys.argv[2])
    if what == "append":
        asyncio.run(append(place))
    elif what == "integrate":
        integrate(place)
    else:
        end_shard(place)
