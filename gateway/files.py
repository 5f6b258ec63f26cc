"""Who may read what this gateway writes: its owner, and nobody else on the machine."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

DIRECTORY_MODE: Final = 0o700
_PRIVATE_UMASK: Final = 0o077
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


class DirectoryUnsafe(Exception):
    """Others may put files into a directory, or take them away."""


def keep_private() -> None:
    """Make every file this process writes from now on readable by its owner alone.

    Called first thing in every process: libraries such as SQLite make files by themselves, and
    the environment's umask is usually one that lets everybody read them.
    """
    os.umask(_PRIVATE_UMASK)


def make_private(directory: Path) -> None:
    """Make `directory` if it is not there, and close it to others.

    Raises:
        DirectoryUnsafe: others may write into it, so that what it holds may not be its owner's.
        PermissionError: it belongs to somebody else.
    """
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    if directory.stat().st_mode & _OTHERS_WRITE:
        raise DirectoryUnsafe(f"others can write into {directory}")
    directory.chmod(DIRECTORY_MODE)


def open_to_others(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return those of `paths` that are there and give anything to anybody but their owner."""
    return tuple(path for path in paths if path.exists() and path.stat().st_mode & _OTHERS)


def is_locked(path: Path) -> bool:
    """Tell whether a process that lives holds the lock of a file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
