"""Finds kinds of connector by entry point, and opens one with its exceptions fenced in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import entry_points
from typing import Any, Final

from connectors.base import Connector
from connectors.guard import GuardedConnector

ENTRY_POINT_GROUP: Final = "concordat.connectors"
"""Each entry is a kind; it names a callable from the kind's settings to a context manager."""

Opener = Callable[[Any], AbstractAsyncContextManager[Connector]]
"""What an entry point names: each kind has settings of its own type."""


class UnknownKind(Exception):
    """No installed package offers this kind of connector; the message lists those there are."""


def kinds() -> frozenset[str]:
    """Return the kinds that installed packages offer."""
    return frozenset(entry_points(group=ENTRY_POINT_GROUP).names)


@asynccontextmanager
async def open_connector(kind: str, settings: object) -> AsyncIterator[GuardedConnector]:
    """Open a connector of `kind` (for `http`: `HttpSettings`) and close it afterwards.

    Raises:
        UnknownKind: where no installed package offers `kind`.
    """
    found = tuple(entry_points(group=ENTRY_POINT_GROUP, name=kind))
    if not found:
        known = ", ".join(sorted(kinds())) or "none"
        raise UnknownKind(f"there is no connector of kind {kind!r}; installed kinds: {known}")
    opener: Opener = found[0].load()
    async with opener(settings) as connector:
        yield GuardedConnector(connector)
