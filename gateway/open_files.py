"""How many files and sockets a process may have open, and how many of them are for callers.

A process that can open no more files accepts no caller, calls no service and writes no record, so
that callers must never get them all (RLIMIT_NOFILE, getrlimit(2)).
"""

from __future__ import annotations

import resource
import sys
from typing import Final

OPEN_FILES_WANTED: Final = 65_536
"""More than this is never used; service managers and shells allow 1,024 unless they are asked."""
OWN_FILES: Final = 192
"""What a worker opens for itself: its log, its channels, and callers whom it is sending away."""
CONNECTIONS_MAX: Final = 10_000
"""Callers' connections that a worker has open at most, however many files it may open."""

_FILES: Final = resource.RLIMIT_NOFILE


def raise_open_files() -> None:
    """Let this process, and those it starts, open as many files as it may ask for."""
    allowed, most = _limits()
    wanted = min(OPEN_FILES_WANTED, most)
    if allowed < wanted:
        resource.setrlimit(_FILES, (wanted, resource.getrlimit(_FILES)[1]))


def connections_max() -> int:
    """Return how many callers a process takes, by how many files it may open."""
    return connections_for(_limits()[0])


def connections_for(open_files: int) -> int:
    """Return how many callers a process takes that may open so many files.

    Each may want a connection to a service as well.
    """
    return max(1, min(CONNECTIONS_MAX, (open_files - OWN_FILES) // 2))


def _limits() -> tuple[int, int]:
    """Return how many files this process may open, and may ask for; `sys.maxsize` is any number."""
    found = resource.getrlimit(_FILES)
    allowed, most = (sys.maxsize if one == resource.RLIM_INFINITY else one for one in found)
    return allowed, most
