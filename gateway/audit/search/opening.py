"""Records as read from the log, and their sealed sections opened for who has the keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.audit.entry import (
    DEPTH_MAX,
    KIND_CODES,
    EntryInvalid,
    Kind,
    StoredSection,
    open_body,
    section_context,
    unpack_sections,
    unwrap_keys,
)
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.sqlite import Connection
from policies.hot import hot_value

KINDS_BY_CODE: Final = {code: kind for kind, code in KIND_CODES.items()}
COLUMNS: Final = "leaf_index, record_id, exchange, kind, t, leaf_hash, sections"
"""What of `audit_record` makes a `Found`, in its order."""
UNKNOWN: Final = "unknown"
"""What stands for the kind of a record whose code is that of none."""
BEGINNING_SKEW_MS: Final = 60_000
"""How far the clocks of two writers may be apart."""
BODY_MS_MAX: Final = 3_600_000
"""An exchange's first record is made this soon after its identifier: its body may come slowly."""
_LEVELS_WRITABLE: Final = 128
"""Half of what `orjson` writes: a section with fewer brackets need not be looked through."""

_BEGINNINGS: Final = (Kind.INTENT, Kind.DENY, Kind.TRAFFIC_REFUSED)


@hot_value(frozen=True, slots=True, kw_only=False)
class Found:
    """One record as read; `kind` is None where the stored code is that of none, so damaged."""

    index: int
    record_id: bytes
    exchange: bytes | None
    kind: Kind | None
    at_us: int
    leaf_hash: bytes
    sections: bytes

    @property
    def kind_text(self) -> str:
        """The kind as people read it."""
        return UNKNOWN if self.kind is None else self.kind.value

    def core(self) -> dict[str, object]:
        """Return what the record says in clear; raise EntryInvalid where that is damaged."""
        return _core_of(unpack_sections(self.sections))


class Wrapped(NamedTuple):
    """The keys of a record's sealed sections, under a key of their day."""

    day: int
    keys: bytes


def found(row: Sequence[Any]) -> Found:
    """Return the record of a row of `COLUMNS`."""
    index, record_id, exchange, kind, at_us, leaf_hash, sections = row
    return Found(index, record_id, exchange, KINDS_BY_CODE.get(kind), at_us, leaf_hash, sections)


def beginning_of(db: Connection, exchange: bytes) -> int | None:
    """Return the index of an exchange's first record; None where the log has none of it.

    There is no index of exchanges on the hot path. Record and exchange identifiers are UUIDv7: the
    time in the exchange's bounds the range of record identifiers, which are indexed, and the record
    is among the first of that range.
    """
    made_ms = int.from_bytes(exchange[:6], "big")
    low = max(0, made_ms - BEGINNING_SKEW_MS).to_bytes(6, "big")
    near = made_ms.to_bytes(6, "big")
    high = min(made_ms + BODY_MS_MAX, (1 << 48) - 1).to_bytes(6, "big")
    for first, end in ((near, high), (low, near)):
        row = db.execute(
            "SELECT leaf_index FROM audit_record WHERE record_id >= ? AND record_id < ?"
            " AND exchange = ? AND kind IN (?, ?, ?) ORDER BY record_id LIMIT 1",
            (first, end, exchange, *[KIND_CODES[kind] for kind in _BEGINNINGS]),
        ).fetchone()
        if row is not None:
            return int(row[0])
    return None


class Opener:
    """Opens sealed sections for a reader who has the keys.

    What is damaged stays closed, and its record's index is in `damaged`: one bad byte must not hide
    the rest of the log. Whether the log is whole is for verification to tell.
    """

    def __init__(self, db: Connection, keys: LogKeys | None) -> None:
        """Open records of the log that `db` reads; without `keys` nothing is opened."""
        self._db = db
        self._origin: str = db.execute("SELECT origin FROM audit_head").fetchone()[0]
        self._keys = keys
        self._day_keys: dict[int, AESGCM | None] = {}
        self.damaged: set[int] = set()

    def core(self, record: Found) -> dict[str, object]:
        """Return what a record says in clear, nothing where that is damaged."""
        return self._core(record, self._unpacked(record))

    def open(self, record: Found) -> dict[str, object]:
        """Return the sections other than `core` by name; None stands for one that is not readable.

        It was erased, or the record is `damaged`.
        """
        if self._keys is None:
            return {}
        row = self._db.execute(
            "SELECT kek_id, wrapped FROM audit_key WHERE leaf_index = ?", (record.index,)
        ).fetchone()
        return self.open_with(record, Wrapped(*row) if row else None)

    def open_with(self, record: Found, wrapped: Wrapped | None) -> dict[str, object]:
        """Return what `open` returns, with keys that were read along with the record."""
        closed = [section for section in self._unpacked(record) if section.name != "core"]
        opened: dict[str, object] = dict.fromkeys(section.name for section in closed)
        for name, body in self._bodies(record, closed, wrapped):
            opened[name] = self.parsed(record, body)
        return opened

    def read(
        self, record: Found, wrapped: Wrapped | None, names: Collection[str]
    ) -> tuple[dict[str, object], list[tuple[str, bytes]]]:
        """Return what `core` does, and the bytes of those sections in `names` that are readable."""
        sections = self._unpacked(record)
        wanted = [section for section in sections if section.name in names]
        return self._core(record, sections), self._bodies(record, wanted, wrapped)

    def parsed(self, record: Found, body: bytes) -> dict[str, object] | None:
        """Return a section of a record; None where it is damaged."""
        try:
            return _parsed(body)
        except EntryInvalid:
            self.damaged.add(record.index)
            return None

    def _unpacked(self, record: Found) -> Sequence[StoredSection]:
        if record.kind is None:
            self.damaged.add(record.index)
        try:
            return unpack_sections(record.sections)
        except EntryInvalid:
            self.damaged.add(record.index)
            return ()

    def _core(self, record: Found, sections: Sequence[StoredSection]) -> dict[str, object]:
        try:
            return _core_of(sections)
        except EntryInvalid:
            self.damaged.add(record.index)
            return {}

    def _bodies(
        self, record: Found, sections: Sequence[StoredSection], wrapped: Wrapped | None
    ) -> list[tuple[str, bytes]]:
        """Return the names and bytes of those sections that are clear, or whose key there is."""
        if not sections:
            return []
        keys = self._section_keys(record, wrapped)
        place = section_context(self._origin, record.record_id, "")
        bodies: list[tuple[str, bytes]] = []
        for name, salt, body in sections:
            if salt is not None:
                bodies.append((name, body))
            elif name in keys:
                try:
                    bodies.append((name, open_body(keys[name], place + name.encode(), body)))
                except EntryInvalid:
                    self.damaged.add(record.index)
        return bodies

    def _section_keys(self, record: Found, wrapped: Wrapped | None) -> Mapping[str, bytes]:
        day_key = self._day_key(wrapped.day) if wrapped else None
        if wrapped is None or day_key is None:
            return {}
        try:
            return unwrap_keys(day_key, self._origin, record.record_id, wrapped.keys)
        except EntryInvalid:
            self.damaged.add(record.index)
            return {}

    def _day_key(self, day: int) -> AESGCM | None:
        """Return the cipher that unwraps the keys of a day; None where the day's key is gone."""
        if day not in self._day_keys:
            key = self._keys.find_day_key(day) if self._keys else None
            self._day_keys[day] = AESGCM(key) if key is not None else None
        return self._day_keys[day]


def _core_of(sections: Sequence[StoredSection]) -> dict[str, object]:
    for section in sections:
        if section.name == "core":
            return _parsed(section.body)
    return {}


def _parsed(body: bytes) -> dict[str, object]:
    """Return a section; raise EntryInvalid for what is none, or nested deeper than any may be.

    What was read may be written again, as an answer's JSON, and writers take fewer levels.
    """
    try:
        section = orjson.loads(body)
    except orjson.JSONDecodeError as broken:
        raise EntryInvalid("a section is not JSON") from broken
    if not isinstance(section, dict):
        raise EntryInvalid("a section is not an object")
    opening = body.count(b"[") + body.count(b"{")
    if opening > _LEVELS_WRITABLE and _is_deeper(section, DEPTH_MAX):
        raise EntryInvalid(f"a section is nested deeper than {DEPTH_MAX}")
    return section


def _is_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    items = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in items)
