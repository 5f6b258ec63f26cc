"""A real worker that dies at a named step of an exchange, and nowhere else.

Nothing in the gateway knows of it: the worker's process watches from outside which function is
called (as a debugger does), or gives the kernel a file size beyond which a write is deadly.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

from gateway.audit.entry import Kind
from gateway.data_plane import Composition
from gateway.exchange import records
from gateway.exchange.deliver import exchange_headers, upstream_call
from gateway.exchange.snapshot import Snapshot
from gateway.worker import run_worker


class Step(StrEnum):
    """Where in an exchange the worker dies."""

    BEFORE_INTENT = "before the intent"
    DURING_INTENT = "during the commit of the intent"
    AFTER_INTENT = "after the intent, before the call"
    DURING_CALL = "during the call of the service"
    AFTER_ANSWER = "after the answer, before the outcome"
    DURING_OUTCOME = "during the commit of the outcome"
    AFTER_OUTCOME = "after the outcome, before the release"


@dataclass(frozen=True)
class Left:
    """What the exchange that died leaves behind: its records once swept, and what was asked."""

    kinds: tuple[Kind, ...] = ()
    served: bool = False


_CLOSED: Final = (Kind.INTENT, Kind.INDETERMINATE)
LEFT: Final = {
    Step.BEFORE_INTENT: Left(),
    Step.DURING_INTENT: Left(),
    Step.AFTER_INTENT: Left(_CLOSED),
    Step.DURING_CALL: Left(_CLOSED, served=True),
    Step.AFTER_ANSWER: Left(_CLOSED, served=True),
    Step.DURING_OUTCOME: Left(_CLOSED, served=True),
    Step.AFTER_OUTCOME: Left((Kind.INTENT, Kind.OUTCOME), served=True),
}

_CALLED: Final = {
    Step.BEFORE_INTENT: records.intent.__code__,
    Step.DURING_INTENT: records.intent.__code__,
    Step.AFTER_INTENT: upstream_call.__code__,
    Step.AFTER_ANSWER: records.outcome.__code__,
    Step.DURING_OUTCOME: records.outcome.__code__,
    Step.AFTER_OUTCOME: exchange_headers.__code__,
}
"""The function with whose call a step begins; the service ends `DURING_CALL` itself."""


@dataclass(frozen=True)
class Death:
    """The `occurrence`-th time that `step` is reached; a torn commit gets `torn_bytes` far."""

    step: Step
    occurrence: int
    torn_bytes: int

    @property
    def torn(self) -> bool:
        """Whether the worker dies in the midst of writing a commit."""
        return self.step in (Step.DURING_INTENT, Step.DURING_OUTCOME)


def run_mortal_worker(
    death: Death,
    composition: Composition,
    listener: socket.socket,
    channel: Connection,
    snapshot: Snapshot,
) -> None:
    """Be a worker until `death`."""
    code = _CALLED.get(death.step)
    if code is not None:
        audit = composition.settings.audit_directory
        end = partial(_tear_next_commit, audit, death.torn_bytes) if death.torn else _die
        sys.setprofile(_watch(code, death.occurrence, end))
    run_worker(composition, listener, channel, snapshot)


def _watch(
    code: CodeType, occurrence: int, end: Callable[[], None]
) -> Callable[[FrameType, str, object], None]:
    """Return a profile function that calls `end` at the `occurrence`-th call of `code`."""
    seen = 0

    def look(frame: FrameType, what: str, _: object) -> None:
        nonlocal seen
        if what == "call" and frame.f_code is code:
            seen += 1
            if seen == occurrence:
                end()

    return look


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _tear_next_commit(audit: Path, torn_bytes: int) -> None:
    """Let the kernel end this process in the midst of its next write to the log.

    The signal for a file that grows too large ends a process like SIGKILL where it is not ignored,
    as Python does.
    """
    (wal,) = audit.glob("*.db-wal")
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    size = wal.stat().st_size + torn_bytes
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
