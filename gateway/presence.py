"""Which processes of a home's gateway run: each holds a lock on a file named after its pid.

The kernel gives a lock up when its process dies, however it dies, so that the files never lie.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from gateway.audit.disk.locks import FileLock
from gateway.files import DIRECTORY_MODE

_NAME: Final = re.compile(r"(control|worker)-([1-9][0-9]*)\.lock")


class Role(StrEnum):
    """What a process of the gateway does."""

    CONTROL = "control"
    WORKER = "worker"


class Present(NamedTuple):
    """A process of this home's gateway that runs."""

    role: Role
    pid: int


class GatewayRuns(Exception):
    """Processes of this home's gateway run, so that no other may start; `pids` are to be ended."""

    def __init__(self, running: tuple[Present, ...]) -> None:
        """Say what runs: a whole gateway is ended by its control process."""
        control = tuple(process.pid for process in running if process.role is Role.CONTROL)
        self.pids: Final = control or tuple(process.pid for process in running)
        named = ", ".join(map(str, self.pids))
        super().__init__(
            f"a gateway of this home runs already (control process: pid {named})"
            if control
            else f"workers of an earlier gateway of this home still run (pids {named})"
        )


def check_alone(directory: Path) -> None:
    """Raise GatewayRuns where processes of an earlier gateway run in `directory`.

    Workers outlive a control process that is killed: they hold the data listener, and go on under
    a configuration that nobody renews.
    """
    running = who_runs(directory)
    if running:
        raise GatewayRuns(running)


@contextmanager
def present(directory: Path, role: Role) -> Iterator[None]:
    """Be known in `directory`, the home's run directory, as a process that runs."""
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    name = f"{role}-{os.getpid()}.lock"
    lock = FileLock(directory / f".{name}")
    # Locked before it has its name, so that nobody ever sees it unlocked while the process lives.
    lock.acquire()
    path = lock.path.rename(directory / name)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.close()


def who_runs(directory: Path) -> tuple[Present, ...]:
    """Return the processes that run, by role and pid; files of dead ones are removed."""
    found = []
    for path in sorted(directory.glob("*.lock")):
        named = _NAME.fullmatch(path.name)
        if named is None:
            continue
        if _is_held(path):
            found.append(Present(Role(named[1]), int(named[2])))
        else:
            path.unlink(missing_ok=True)
    return tuple(found)


def _is_held(path: Path) -> bool:
    lock = FileLock(path)
    try:
        return not lock.try_acquire()
    finally:
        lock.close()
