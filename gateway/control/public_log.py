"""The log as strangers read it: in threads, and only so many readings at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from starlette.concurrency import run_in_threadpool

from gateway.audit.place import LogHome, Place
from gateway.audit.reading.reader import find_shards, shard_name
from gateway.audit.store import LogUnavailable
from gateway.clock import monotonic_s
from gateway.errors import AuditUnavailable, NotFound

READINGS_AT_ONCE: Final = 8
"""Strangers may ask as often as they like: the rest wait, and leave threads to everybody else."""
SHARDS_KNOWN_S: Final = 5.0
"""How long the list of shards is gone by: a new one begins with the gateway stopped."""

T = TypeVar("T")


class PublicLog:
    """The shards of the log, for all routes that ask nobody who they are.

    Where the log is in PostgreSQL, to find its shards is a connection too.
    """

    def __init__(self, home: LogHome) -> None:
        """Read the log there."""
        self._home = home
        self._turns = asyncio.Semaphore(READINGS_AT_ONCE)
        self._found: tuple[float, list[Place]] | None = None

    async def read(self, reading: Callable[[], T]) -> T:
        """Read the log in a thread; AuditUnavailable where that cannot be."""
        async with self._turns:
            try:
                return await run_in_threadpool(reading)
            except LogUnavailable:
                raise AuditUnavailable("The audit log cannot be read now.") from None

    def place(self, shard: str | None) -> Place:
        """Return a shard by its name, or the newest one; called in a thread, as all that follow.

        Raises NotFound, LogUnavailable.
        """
        places = self.shards()
        if shard is None:
            if not places:
                raise LogUnavailable("there is no audit log")
            return places[-1]
        for place in places:
            if shard_name(place) == shard:
                return place
        raise NotFound(f"There is no shard {shard}.")

    def shards(self) -> list[Place]:
        """Return all shards, the oldest first; raises LogUnavailable."""
        now_s = monotonic_s()
        if self._found is None or now_s - self._found[0] >= SHARDS_KNOWN_S:
            self._found = now_s, list(find_shards(self._home))
        return self._found[1]
