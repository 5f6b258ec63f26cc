"""What a process tells its operator while it runs: one JSON line an event, on standard error.

These lines are about the gateway, never about an exchange: events and the names of their facts are
closed lists, and no fact holds an identifier of a person, a client, a token or an exchange. The
hot path does not log; what happens to exchanges is in the audit log and in the metrics.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from enum import StrEnum
from typing import Final

import structlog

FACT_CHARS_MAX: Final = 300
"""Characters of a fact that are kept: a failure's sentence fits, a document does not."""


class Event(StrEnum):
    """What an operator is told; closed, so that alerts can be written against it [contract]."""

    STARTED = "started"
    STOPPING = "stopping"
    WORKER_DIED = "worker.died"
    WORKER_HUNG = "worker.hung"
    WORKER_RESTARTED = "worker.restarted"
    CONFIGURATION_ADOPTED = "configuration.adopted"
    CONFIGURATION_REFUSED = "configuration.refused"
    REGISTRY_UNAVAILABLE = "registry.unavailable"
    INTEGRATOR_FAILED = "integrator.failed"
    SWEEPER_FAILED = "sweeper.failed"
    FOLLOWER_FAILED = "follower.failed"
    RETENTION_FAILED = "retention.failed"
    SIEM_FAILED = "siem.failed"
    REVIEWS_FAILED = "reviews.failed"
    TASK_ENDED = "task.ended"


FACTS: Final = frozenset(
    {"role", "pid", "workers", "connections", "exit_code", "revision", "faults", "failure"}
    | {"data", "control"}
)
"""What a line may tell besides its event: numbers, addresses of our own listeners, a failure's
class or sentence. Another fact is a programming error, so that none slips in."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")


def event(name: Event, **facts: int | str) -> None:
    """Write one line: its time, its level, the event and the facts.

    A stream that takes nothing, such as a closed terminal, is not worth an exchange: the line is
    lost, and the process goes on.

    Raises:
        ValueError: a fact's name is not in `FACTS`.
    """
    unknown = facts.keys() - FACTS
    if unknown:
        raise ValueError(f"no fact of a log line: {', '.join(sorted(unknown))}")
    told = {fact: _short(value) for fact, value in facts.items()}
    # Asked for each time: the stream may be another one than at the first line.
    logger = structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
    )
    write = logger.warning if name in _TROUBLES else logger.info
    with suppress(OSError):
        write(name.value, **told)


_TROUBLES: Final = frozenset(
    {
        Event.WORKER_DIED,
        Event.WORKER_HUNG,
        Event.CONFIGURATION_REFUSED,
        Event.REGISTRY_UNAVAILABLE,
        Event.INTEGRATOR_FAILED,
        Event.SWEEPER_FAILED,
        Event.FOLLOWER_FAILED,
        Event.RETENTION_FAILED,
        Event.SIEM_FAILED,
        Event.REVIEWS_FAILED,
        Event.TASK_ENDED,
    }
)


def _short(value: int | str) -> int | str:
    if isinstance(value, int):
        return value
    return _CONTROL.sub(" ", value)[:FACT_CHARS_MAX]
