"""How many files and sockets a process may have open, and how many of them are for callers.

A process that can open no more files accepts no caller, calls no service and writes no record, so
that callers must never get them all (RLIMIT_NOFILE, getrlimit(2)).
"""

from __future__ import annotations

import resource
from typing import Final

OPEN_FILES_WANTED: Final = 65_536
"""More than this is never used; service managers and shells allow 1,024 unless they are asked."""
OWN_FILES: Final = 192
"""What a worker opens for itself: its log, its channels, and callers whom it is sending away."""
CONNECTIONS_MAX: Final = 10_000
"""Callers' connections that a worker has open at most, however many files it may open."""


def raise_open_files() -> int:
    """Let this process open as many files as it may ask for, and return how many that is."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_WANTED if most == resource.RLIM_INFINITY else min(OPEN_FILES_WANTED, most)
    if allowed == resource.RLIM_INFINITY or allowed >= wanted:
        return OPEN_FILES_WANTED if allowed == resource.RLIM_INFINITY else allowed
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return wanted


def connections_for(open_files: int) -> int:
    """Return how many callers a worker takes that may open so many files.

    Each may want a connection to a service as well.
    """
    return max(1, min(CONNECTIONS_MAX, (open_files - OWN_FILES) // 2))
