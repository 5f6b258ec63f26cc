"""Records as read from the log, and their sealed sections opened for who has the keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import orjson

from gateway.audit.entry import (
    KIND_CODES,
    EntryInvalid,
    Kind,
    open_section,
    section_context,
    unpack_sections,
    unwrap_keys,
)
from gateway.audit.keys import LogKeys
from gateway.audit.sqlite import Connection

KINDS_BY_CODE: Final = {code: kind for kind, code in KIND_CODES.items()}
COLUMNS: Final = "leaf_index, record_id, exchange, kind, t, leaf_hash, sections"
"""What of `audit_record` makes a `Found`, in its order."""


@dataclass(frozen=True, slots=True)
class Found:
    """One record as read."""

    index: int
    record_id: bytes
    exchange: bytes | None
    kind: Kind
    at_us: int
    leaf_hash: bytes
    sections: bytes

    def core(self) -> dict[str, object]:
        """Return what the record says in clear."""
        for section in unpack_sections(self.sections):
            if section.name == "core":
                core: dict[str, object] = orjson.loads(section.body)
                return core
        return {}


class Wrapped(NamedTuple):
    """The keys of a record's sealed sections, under a key of their day."""

    day: int
    keys: bytes


def found(row: tuple[int, bytes, bytes | None, int, int, bytes, bytes]) -> Found:
    """Return the record of a row of `COLUMNS`."""
    index, record_id, exchange, kind, at_us, leaf_hash, sections = row
    return Found(index, record_id, exchange, KINDS_BY_CODE[kind], at_us, leaf_hash, sections)


class Opener:
    """Opens sealed sections for a reader who has the keys."""

    def __init__(self, db: Connection, keys: LogKeys | None) -> None:
        """Open records of the log that `db` reads; without `keys` nothing is opened."""
        self._db = db
        self._origin: str = db.execute("SELECT origin FROM audit_head").fetchone()[0]
        self._keys = keys
        self._day_keys: dict[int, bytes | None] = {}

    def open(self, record: Found) -> dict[str, object]:
        """Return the sections other than `core` by name; None stands for an erased one."""
        if self._keys is None:
            return {}
        row = self._db.execute(
            "SELECT kek_id, wrapped FROM audit_key WHERE leaf_index = ?", (record.index,)
        ).fetchone()
        return self.open_with(record, Wrapped(*row) if row else None)

    def open_with(self, record: Found, wrapped: Wrapped | None) -> dict[str, object]:
        """Return what `open` returns, with keys that were read along with the record."""
        keys = self._section_keys(record, wrapped)
        opened: dict[str, object] = {}
        for name, salt, body in unpack_sections(record.sections):
            if salt is not None:
                if name != "core":
                    opened[name] = orjson.loads(body)
            elif name in keys:
                context = section_context(self._origin, record.record_id, name)
                opened[name] = orjson.loads(open_section(keys[name], context, body)[1])
            else:
                opened[name] = None
        return opened

    def _section_keys(self, record: Found, wrapped: Wrapped | None) -> Mapping[str, bytes]:
        day_key = self._day_key(wrapped.day) if wrapped else None
        if wrapped is None or day_key is None:
            return {}
        try:
            return unwrap_keys(day_key, self._origin, record.record_id, wrapped.keys)
        except EntryInvalid:  # told by verification; a search goes on without
            return {}

    def _day_key(self, day: int) -> bytes | None:
        if day not in self._day_keys:
            self._day_keys[day] = self._keys.find_day_key(day) if self._keys else None
        return self._day_keys[day]
