"""Logs of several shards for tests: what goes over all of them misses none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.audit.log import AuditLog
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.reading.reader import find_log, shard_name
from tests.gateway.audit.lifecycle.test_shards import HOST, newest, retired
from tests.gateway.audit.records import keys_in, using

__all__ = ["integrated_newest", "origin_of_newest", "retired", "using_newest"]


def origin_of_newest(directory: Path) -> str:
    """Return the origin of the newest shard of a test's log."""
    return f"{HOST}/audit/{shard_name(find_log(directory / 'audit'))}"


def using_newest(directory: Path, use: Callable[[AuditLog], Awaitable[None]]) -> None:
    """Open the newest shard, use it in an event loop, and stop it."""
    using(directory, use, of=newest)


def integrated_newest(directory: Path) -> Path:
    """Sign and publish what the newest shard holds; return its file."""
    integrator = Integrator(
        directory / "audit", origin=origin_of_newest(directory), keys=keys_in(directory)
    )
    while integrator.step():
        pass
    integrator.close()
    return find_log(directory / "audit")
