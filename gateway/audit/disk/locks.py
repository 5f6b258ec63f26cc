"""Locks between processes: `flock` on a file, which the kernel gives up when a process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class FileLock:
    """An exclusive lock on a file.

    `flock` and not `fcntl` record locks: those are dropped when the process closes any other
    descriptor of the same file.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, made if it is not there; the lock is not taken yet."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_acquire(self) -> bool:
        """Take the lock if nobody holds it; tell whether it is held now."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def acquire(self) -> None:
        """Wait for the lock and take it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def release(self) -> None:
        """Give the lock up; the file stays open for the next time."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the lock up, and the file with it."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        """Wait for the lock and take it."""
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock up; the file stays open for the next time."""
        self.release()
