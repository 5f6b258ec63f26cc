"""Processes that start from one that has loaded everything already: hundreds of them in seconds."""

from __future__ import annotations

import multiprocessing
from typing import Final

FORKED: Final = multiprocessing.get_context("forkserver")
# What is loaded is decided once in a run, before the first of them starts.
FORKED.set_forkserver_preload(
    ["tests.faults.victim", "tests.faults.writers", "gateway.audit.postgres"]
)
