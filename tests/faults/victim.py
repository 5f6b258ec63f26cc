"""A process that writes to a log while its system calls fail, and tells what it was promised."""

from __future__ import annotations

import asyncio
import ctypes
import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from gateway.audit.store import LogUnavailable
from gateway.clock import new_uuid7
from tests.gateway.audit.lifecycle.test_shards import retired
from tests.gateway.audit.records import integrated, intent, opened, outcome

EXCHANGES = 3
SAID = "said"
"""The file in its directory that a victim tells the test by, whatever becomes of it then."""
COMPLAINED = "complained"
"""The file that says why a victim broke off."""

_PR_SET_PTRACER: Final = 0x59616D61
_ANYBODY: Final = ctypes.c_ulong(-1)


def say(text: str) -> None:
    """Tell the test something, at once and whole."""
    os.write(1, f"{text}\n".encode())


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
    integrated(directory)
    say("published")


def end_shard(directory: Path) -> None:
    """End the log's shard and begin the next."""
    retired(directory)
    say("retired")


def meet_faults(what: str, directory: Path, gate: Connection) -> None:
    """Write to the log in `directory` once the gate opens; the body of a process."""
    # Where only parents may trace (Yama), a process can let others.
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY, 0, 0, 0)
    for descriptor, name in ((1, SAID), (2, COMPLAINED)):
        file = os.open(directory / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(file, descriptor)
    gate.recv()
    try:
        if what == "append":
            asyncio.run(append(directory))
        elif what == "integrate":
            integrate(directory)
        else:
            end_shard(directory)
    except LogUnavailable as refused:  # it breaks off for nothing else
        say(f"refused {refused.code}")
