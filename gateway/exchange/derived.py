"""A memory of what follows from values that many exchanges share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

SOURCES_MAX: Final = 4_096
"""Values whose derivation is kept at once by one memory."""

Source = TypeVar("Source")
Value = TypeVar("Value")


class Derived(Generic[Source, Value]):
    """Works out once for each of its sources what follows from it; sources never change.

    Sources are told apart by identity: hashing a frozen value would walk all of it. An entry
    keeps its source alive, so that no other value can come by its id. When full, all is forgotten.
    """

    __slots__ = ("_derive", "_entries")

    def __init__(self, derive: Callable[[Source], Value]) -> None:
        """Use `derive`, which depends on nothing but its argument."""
        self._derive = derive
        self._entries: dict[int, tuple[Source, Value]] = {}

    def of(self, source: Source) -> Value:
        """Return what follows from `source`."""
        entry = self._entries.get(id(source))
        if entry is None:
            if len(self._entries) >= SOURCES_MAX:
                self._entries.clear()
            entry = self._entries[id(source)] = (source, self._derive(source))
        return entry[1]
