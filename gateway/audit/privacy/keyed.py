"""Records that still have keys of sealed sections: found, opened, and their keys wrapped anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.audit.entry import (
    KIND_CODES,
    EntryInvalid,
    Kind,
    open_section,
    section_context,
    unpack_sections,
    unwrap_keys,
    wrapping_context,
)
from gateway.audit.keys.files import KeyFileUnusable
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.people import Person, normalise
from gateway.audit.place import Place
from gateway.audit.reading.reader import snapshot
from gateway.audit.search.index import index_snapshot, mark_of, members
from gateway.audit.store import LogUnavailable
from gateway.clock import random_bytes

SUBJECT: Final = "subject"
"""The section that names people."""
ROWS_PER_READ: Final = 1_000
BEGINNINGS_REMEMBERED_MAX: Final = 50_000
SKEW_MS: Final = 60_000
"""How far the clocks of two writers may be apart."""
BODY_MS_MAX: Final = 3_600_000
"""How long after its first time a record may get its identifier: a body may come slowly."""

_INTENT: Final = KIND_CODES[Kind.INTENT]
_ENDS: Final = frozenset({KIND_CODES[Kind.OUTCOME], KIND_CODES[Kind.INDETERMINATE]})
_WHOLE: Final = frozenset({KIND_CODES[Kind.DENY], KIND_CODES[Kind.TRAFFIC_REFUSED]})
_NONCE_BYTES: Final = 12
_FIRST_ID: Final = b""
_COLUMNS: Final = """
SELECT r.leaf_index, r.record_id, r.exchange, r.t, r.sections, k.kek_id, k.wrapped
FROM audit_record AS r JOIN audit_key AS k ON k.leaf_index = r.leaf_index"""

Connection = Any


class KeyedRow(NamedTuple):
    """A record with the keys it has left; `day` is that of the key that wraps them."""

    leaf_index: int
    record_id: bytes
    exchange: bytes | None
    at_us: int
    sections: bytes
    day: int
    wrapped: bytes

    @property
    def names(self) -> tuple[str, ...]:
        """The sections that can still be opened with the day's key."""
        return wrapped_names(self.wrapped)

    def core(self) -> dict[str, Any]:
        """Return the clear section."""
        return core_of(self.sections)


class Beginning(NamedTuple):
    """What the first record of an exchange says of all: its agreement, and how long it is kept."""

    agreement: str | None
    kept_for: str | None


def wrapped_names(wrapped: bytes) -> tuple[str, ...]:
    """Return the names of the sections whose keys are wrapped here; EntryInvalid if damaged."""
    try:
        return tuple(wrapped[1 : 1 + wrapped[0]].decode("ascii").split(","))
    except (IndexError, UnicodeDecodeError) as damaged:
        raise EntryInvalid("wrapped keys do not say what they are of") from damaged


def core_of(sections: bytes) -> dict[str, Any]:
    """Return the clear section of a stored block; raises EntryInvalid if it is damaged."""
    for section in unpack_sections(sections):
        if section.name == "core":
            try:
                core = orjson.loads(section.body)
            except orjson.JSONDecodeError as damaged:
                raise EntryInvalid("a clear section cannot be read") from damaged
            if not isinstance(core, dict):
                raise EntryInvalid("a clear section is no object")
            return core
    return {}


def rewrapped(kek: bytes, origin: str, row: KeyedRow, keep: Collection[str]) -> bytes:
    """Return the keys of the sections `keep` alone, wrapped anew; raises EntryInvalid if changed.

    The layout is told at `entry.unwrap_keys`.
    """
    keys = unwrap_keys(kek, origin, row.record_id, row.wrapped)
    names = [name for name in row.names if name in keep]
    listed = ",".join(names).encode()
    nonce = random_bytes(_NONCE_BYTES)
    context = wrapping_context(origin, row.record_id, listed)
    body = AESGCM(kek).encrypt(nonce, b"".join([keys[name] for name in names]), context)
    return bytes([len(listed)]) + listed + nonce + body


def keyed_rows(
    db: Connection, *, after: bytes = _FIRST_ID, until: bytes | None = None
) -> Iterator[KeyedRow]:
    """Yield the records that have keys, by identifier and so about by time, a few at a time.

    `after` is the identifier to go on behind, `until` the one to stop before.
    """
    while True:
        bound, values = ("", ()) if until is None else (" AND r.record_id < ?", (until,))
        rows = db.execute(
            f"{_COLUMNS} WHERE r.record_id > ?{bound} ORDER BY r.record_id LIMIT {ROWS_PER_READ}",
            (after, *values),
        ).fetchall()
        yield from map(KeyedRow._make, rows)
        if len(rows) < ROWS_PER_READ:
            return
        after = rows[-1][1]


def row_at(db: Connection, leaf_index: int) -> KeyedRow | None:
    """Return the record at an index, or None where it has no keys left."""
    row = db.execute(f"{_COLUMNS} WHERE r.leaf_index = ?", (leaf_index,)).fetchone()
    return None if row is None else KeyedRow._make(row)


def rows_of_exchange(db: Connection, place: Place, exchange: bytes) -> list[KeyedRow]:
    """Return the records of one exchange, or the one of no exchange with this identifier.

    Those that the search index has come to it tells; the log is read through from there on, or
    whole without an index of this very log, or where what it tells does not run from a beginning
    to an end: a lost row of it must spare nothing. Nothing else leads to them: identifiers tell
    when they were made, by clocks that may have been put back by more than any margin, and a late
    outcome may come any time after the exchange.
    """
    indices, end = _indexed(place, exchange)
    if not _runs_to_its_end(db, exchange, indices):
        indices, end = [], 0
    known = [row_at(db, index) for index in indices]
    found = [row for row in known if row is not None and row.exchange == exchange]
    newer = f"{_COLUMNS} WHERE r.exchange = ? AND r.leaf_index >= ? ORDER BY r.leaf_index"
    found += map(KeyedRow._make, db.execute(newer, (exchange, end)).fetchall())
    if not found:
        alone = f"{_COLUMNS} WHERE r.record_id = ? AND r.exchange IS NULL"
        found += map(KeyedRow._make, db.execute(alone, (exchange,)).fetchall())
    return found


def _runs_to_its_end(db: Connection, exchange: bytes, indices: Sequence[int]) -> bool:
    """Tell whether records are an exchange from its beginning to an end that names the beginning.

    It is of the log that they are asked: an index that lost some would know no better.
    """
    statement = "SELECT exchange, kind, sections FROM audit_record WHERE leaf_index = ?"
    rows = [db.execute(statement, (index,)).fetchone() for index in indices]
    if not rows or any(row is None or row[0] != exchange for row in rows):
        return False
    if rows[0][1] != _INTENT:
        return len(rows) == 1 and rows[0][1] in _WHOLE
    try:
        ends = [core_of(sections) for _, kind, sections in rows if kind in _ENDS]
    except EntryInvalid:
        return False
    return bool(ends) and all(core.get("intent") == indices[0] for core in ends)


def _indexed(place: Place, exchange: bytes) -> tuple[list[int], int]:
    """Return an exchange's records by the search index, and the index before which it knows all."""
    try:
        with index_snapshot(place) as index, snapshot(place) as log:
            mark = mark_of(index, log)
            if mark is None:  # of another history, or empty: it will be made anew
                return [], 0
            return members(index, exchange), mark.next_index
    except LogUnavailable:  # there is none yet, or it cannot be read
        return [], 0


class Opener:
    """Opens sealed sections with the day keys of the log, each of which is fetched once."""

    def __init__(self, db: Connection, keys: LogKeys) -> None:
        """Open the sections of the log that `db` reads."""
        self.origin: str = db.execute("SELECT origin FROM audit_head").fetchone()[0]
        self._keys = keys
        self._days: dict[int, bytes | None] = {}

    def day_key(self, day: int) -> bytes | None:
        """Return a day's key, or None once it was destroyed."""
        if day not in self._days:
            self._days[day] = self._keys.find_day_key(day)
        return self._days[day]

    def section(self, row: KeyedRow, name: str) -> dict[str, Any] | None:
        """Return a sealed section, or None where it is erased; raises EntryInvalid if changed."""
        kek = self.day_key(row.day) if name in row.names else None
        if kek is None:
            return None
        key = unwrap_keys(kek, self.origin, row.record_id, row.wrapped)[name]
        context = section_context(self.origin, row.record_id, name)
        for section in unpack_sections(row.sections):
            if section.name == name:
                opened: dict[str, Any] = orjson.loads(open_section(key, context, section.body)[1])
                return opened
        raise EntryInvalid(f"a key of a section {name} that is not there")


class Beginnings:
    """What the first records of exchanges say, for their later records."""

    def __init__(self, db: Connection) -> None:
        """Look things up in the log that `db` reads."""
        self._db = db
        self._known: dict[bytes, Beginning] = {}

    def of(self, row: KeyedRow) -> Beginning:
        """Return what holds for a record; nothing is said of one that belongs to no exchange."""
        if row.exchange is None:
            return _NO_BEGINNING
        found = self._known.get(row.exchange)
        if found is None:
            if len(self._known) >= BEGINNINGS_REMEMBERED_MAX:
                self._known.clear()
            found = self._known[row.exchange] = self._find(row.core())
        return found

    def _find(self, core: dict[str, Any]) -> Beginning:
        if "intent" in core:
            if not isinstance(core["intent"], int):
                raise EntryInvalid("a clear section says no intent")
            first = self._db.execute(
                "SELECT sections FROM audit_record WHERE leaf_index = ?", (core["intent"],)
            ).fetchone()
            core = core_of(first[0]) if first else {}
        said = core.get("agreement"), core.get("kept_for")
        if not all(text is None or isinstance(text, str) for text in said):
            raise EntryInvalid("a clear section says no agreement, or no time that it is kept for")
        return Beginning(*said)


class Named(NamedTuple):
    """Exchanges, and records of none: those that name people, and those of which nobody can tell.

    `unreadable` counts the damaged records of each that no other record tells of.
    """

    exchanges: frozenset[bytes]
    unreadable: Mapping[bytes, int]


def exchanges_about(rows: Iterable[KeyedRow], people: Collection[Person], opener: Opener) -> Named:
    """Return which of the exchanges, and records of none, in `rows` name one of `people`.

    Every record that can be opened is looked at, so that nobody is missed whom no index knows.
    """
    if not people:
        return Named(frozenset(), {})
    types = {person.id_type for person in people}
    found: set[bytes] = set()
    unreadable: Counter[bytes] = Counter()
    for row in rows:
        whole = row.exchange or row.record_id
        if whole in found:
            continue
        try:
            named = opener.section(row, SUBJECT) or {}
        except (EntryInvalid, KeyFileUnusable):
            unreadable[whole] += 1
            continue
        id_type = named.get("type")
        if id_type in types and any(
            Person(id_type, normalise(id_type, one)) in people for one in named.get("ids", ())
        ):
            found.add(whole)
            unreadable.pop(whole, None)
    return Named(frozenset(found), unreadable)


_NO_BEGINNING: Final = Beginning(None, None)
