"""Which processes have the log open: each holds a lock that the kernel takes back at its death."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.audit.disk.locks import FileLock
from gateway.clock import new_uuid7

_FOLDER: Final = "instances"


class Instance:
    """This process, known to be alive by a lock that the kernel takes back when it dies."""

    def __init__(self, directory: Path, *, label: str) -> None:
        """Hold the lock of a new instance; the name is never used again."""
        self.name = f"{label}-{new_uuid7().hex()}"
        instances = directory / _FOLDER
        instances.mkdir(mode=0o700, exist_ok=True)
        draft = instances / f".{self.name}"
        self._lock = FileLock(draft)
        # Locked before it has its name, so that nobody ever sees it unlocked while it lives.
        self._lock.try_acquire()
        self._path = draft.rename(instances / self.name)

    def close(self) -> None:
        """Give up the lock; what this instance left open may now be closed by others."""
        self._lock.close()


def is_alive(directory: Path, instance: str) -> bool:
    """Tell whether the process that opened the log under this name still holds it."""
    path = directory / _FOLDER / instance
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        return not lock.try_acquire()
    finally:
        lock.close()


def instances_of(directory: Path) -> list[Path]:
    """Return the lock files of the log's instances; one about to be named is not among them."""
    return [path for path in (directory / _FOLDER).iterdir() if not path.name.startswith(".")]
