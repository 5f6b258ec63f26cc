"""Room on the log's disk: an alarm, then nothing new, and a reserve for the ends of the old."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.audit.entry import Kind

RESERVE_NAME: Final = "reserve"
SOFT_BYTES: Final = 1 << 30
HARD_BYTES: Final = 128 << 20
RESERVE_BYTES: Final = 32 << 20

ESSENTIAL: Final = frozenset(
    {Kind.OUTCOME, Kind.INDETERMINATE, Kind.LATE_OUTCOME, Kind.PROGRESS, Kind.INCIDENT, Kind.SEAL}
)
"""Kinds that end or tell of what has happened already; everything else can be refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Free octets on the log's disk: below `soft` an alarm, below `hard` nothing is begun.

    `reserve` octets are held in a file until a write finds no room; less than `hard`, so that
    giving it up does not let anything begin.
    """

    soft_bytes: int = SOFT_BYTES
    hard_bytes: int = HARD_BYTES
    reserve_bytes: int = RESERVE_BYTES


class Room:
    """What one process knows of the room there is; `look` is called now and then."""

    def __init__(self, directory: Path, limits: Limits) -> None:
        """Look at the disk that holds `directory`."""
        self._directory = directory
        self._reserve = directory / RESERVE_NAME
        self._limits = limits
        self._ran_out = False
        self.free_bytes = 0
        self.refuses = False
        self.scarce = False

    def look(self) -> None:
        """Find out how much is free; a disk that cannot be asked may be well all the same."""
        with suppress(OSError):
            disk = os.statvfs(self._directory)
            self.free_bytes = disk.f_bavail * disk.f_frsize
            # Who ran out waits for the reserve to be back: under a quota the disk looks free.
            self._ran_out = self._ran_out and not self._reserve.exists()
            self.refuses = self._ran_out or self.free_bytes < self._limits.hard_bytes
            self.scarce = self.refuses or self.free_bytes < self._limits.soft_bytes

    def run_out(self) -> bool:
        """Give the reserve up after a write that found no room; tell whether there was one."""
        self._ran_out = self.refuses = self.scarce = True
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    def keep_reserve(self) -> None:
        """Make the reserve if it is gone and there is room for it and more."""
        wanted = self._limits.hard_bytes + self._limits.reserve_bytes
        if self._reserve.exists() or self.free_bytes < wanted:
            return
        draft = self._reserve.with_name(f".{RESERVE_NAME}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._limits.reserve_bytes)
            finally:
                os.close(descriptor)
            draft.rename(self._reserve)
        except OSError:  # it is tried again at the next look
            draft.unlink(missing_ok=True)

    def drop_reserve(self) -> None:
        """Give the reserve up at the end: nothing of this gateway is under way any more."""
        with suppress(OSError):
            self._reserve.unlink(missing_ok=True)
