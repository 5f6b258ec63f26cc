"""Records picked from the log for whoever takes them elsewhere, with their sections opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final, Literal, NamedTuple

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
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.search.opening import KINDS_BY_CODE
from gateway.audit.sqlite import Connection

ROWS_PER_READ: Final = 1_000
SKEW_US: Final = 60_000_000
"""How far records may lie from the order of their times: the clocks of two writers differ."""
EXCHANGE_MS_MAX: Final = 2 * 3_600_000
"""How long after an exchange began its last record is expected, at most."""
INTENTS_REMEMBERED_MAX: Final = 4_096

# What is closed as not known may still end, late: a record to look for as well.
_UNENDED: Final = frozenset(
    {KIND_CODES[Kind.INTENT], KIND_CODES[Kind.PROGRESS], KIND_CODES[Kind.INDETERMINATE]}
)
_COLUMNS: Final = (
    "r.leaf_index, r.record_id, r.exchange, r.kind, r.t, r.leaf_hash, r.entry, r.sections,"
    " k.kek_id, k.wrapped"
)
_TABLES: Final = "audit_record AS r LEFT JOIN audit_key AS k ON k.leaf_index = r.leaf_index"

Closed = Literal["closed", "erased"]
"""Why a section is not shown: nobody asked for it, or its key is gone."""


class Opening(NamedTuple):
    """A section as its commitment covers it: what an outsider needs, and never its key."""

    salt: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which records: of the time from `from_us` to before `until_us`, and of such exchanges.

    What is None is not asked. Times are a record's own (system time, microseconds); everything
    else is asked of what an exchange's first record says in clear, and of it follow its others.
    """

    from_us: int | None = None
    until_us: int | None = None
    organisation: str | None = None
    agreement: str | None = None
    purpose: str | None = None
    decision: str | None = None
    reason: str | None = None
    service: str | None = None
    kind: Kind | None = None
    exchanges: tuple[bytes, ...] = ()

    def asked(self) -> dict[str, object]:
        """Return what is asked for, as a record can hold it."""
        asked = {field.name: getattr(self, field.name) for field in fields(self)}
        asked["exchanges"] = [exchange.hex() for exchange in self.exchanges]
        return {name: value for name, value in asked.items() if value not in (None, [])}

    def takes(self, core: Mapping[str, Any]) -> bool:
        """Tell whether an exchange that begins with this `core` is asked for."""
        parties = (core.get("consumer"), core.get("provider"))
        if self.organisation is not None and self.organisation not in parties:
            return False
        names = ("agreement", "purpose", "decision", "reason", "service")
        return all(getattr(self, name) in (None, core.get(name)) for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """A record as it leaves the log of this origin: a shard, in which its index is its place.

    `sections` has every section that the entry names, and `begun` those of its exchange's intent,
    for a record that follows one.
    """

    origin: str
    index: int
    record_id: bytes
    exchange: bytes | None
    kind: Kind
    at_us: int
    leaf_hash: bytes
    entry: bytes
    sections: Mapping[str, Opening | Closed]
    begun: Mapping[str, Opening | Closed]

    def section(self, name: str) -> dict[str, Any]:
        """Return what a section holds, over what the exchange's first record holds in it.

        Empty where it is not there or not open.
        """
        found: dict[str, Any] = {}
        for sections in (self.begun, self.sections):
            opening = sections.get(name)
            if isinstance(opening, Opening):
                found |= orjson.loads(opening.body)
        return found


def pick(
    db: Connection,
    selection: Selection,
    *,
    end: int,
    start: int = 0,
    keys: LogKeys | None = None,
    told: Callable[[int], None] | None = None,
) -> Iterator[Picked]:
    """Yield the records of a selection with indices from `start` to below `end`, in index order.

    `start` does not go for `exchanges`. Personal sections are opened with `keys`, and closed
    without. `told` hears how far the reading is. Raises EntryInvalid where a stored record is
    damaged: it must not leave as if it were whole.
    """
    picker = _Picker(db, selection, keys)
    first = max(start, _first_index(db, selection.from_us, end))
    last = end if selection.until_us is None else _end_index(db, selection.until_us, end)
    if selection.exchanges:
        yield from picker.of_exchanges(end)
        return
    while first < last:
        until = min(first + ROWS_PER_READ, last)
        rows = db.execute(
            f"SELECT {_COLUMNS} FROM {_TABLES}"  # noqa: S608 - constants
            " WHERE r.leaf_index >= ? AND r.leaf_index < ? ORDER BY r.leaf_index",
            (first, until),
        ).fetchall()
        yield from filter(None, map(picker.picked, rows))
        first = until
        if told is not None:
            told(first)


def _first_index(db: Connection, from_us: int | None, end: int) -> int:
    """Return an index before which nothing is as late as `from_us`."""
    if from_us is None:
        return 0
    return _bisect(db, end, partial(_is_before, from_us - SKEW_US))


def _end_index(db: Connection, until_us: int, end: int) -> int:
    """Return an index from which on nothing is as early as `until_us`."""
    return _bisect(db, end, partial(_is_before, until_us + SKEW_US))


def _is_before(limit_us: int, at_us: int) -> bool:
    return at_us < limit_us


def _bisect(db: Connection, end: int, before: Callable[[int], bool]) -> int:
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        row = db.execute("SELECT t FROM audit_record WHERE leaf_index = ?", (middle,)).fetchone()
        if row is not None and before(row[0]):
            low = middle + 1
        else:
            high = middle
    return low


class _Picker:
    def __init__(self, db: Connection, selection: Selection, keys: LogKeys | None) -> None:
        self._db = db
        self._selection = selection
        self._keys = keys
        self._day_keys: dict[int, bytes | None] = {}
        self._origin: str = db.execute("SELECT origin FROM audit_head").fetchone()[0]
        self._intents: dict[int, Mapping[str, Opening | Closed]] = {}

    def of_exchanges(self, end: int) -> Iterator[Picked]:
        """Find them without an index of exchanges: identifiers are UUIDv7, and begin with a time.

        Records are looked for around the exchange's time, which the index of their identifiers
        bounds; and beyond it only for an exchange whose end is not there.
        """
        indices: set[int] = set()
        for wanted in self._selection.exchanges:
            made_ms = int.from_bytes(wanted[:6], "big")
            low = max(0, made_ms - SKEW_US // 1000).to_bytes(6, "big")
            near = min(made_ms + EXCHANGE_MS_MAX, (1 << 48) - 1).to_bytes(6, "big")
            found = self._find(wanted, low, near)
            kinds = {kind for _, kind in found}
            if kinds and kinds <= _UNENDED:
                found += self._find(wanted, near, b"\xff" * 17)
            indices.update(index for index, _ in found)
        for index in sorted(indices):
            row = self._db.execute(
                f"SELECT {_COLUMNS} FROM {_TABLES} WHERE r.leaf_index = ?",  # noqa: S608 - constants
                (index,),
            ).fetchone()
            picked = self.picked(row) if index < end else None
            if picked is not None:
                yield picked

    def _find(self, wanted: bytes, low: bytes, high: bytes) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = self._db.execute(
            "SELECT leaf_index, kind FROM audit_record WHERE record_id >= ? AND record_id < ?"
            " AND (exchange = ? OR record_id = ?) ORDER BY leaf_index",
            (low, high, wanted, wanted),
        ).fetchall()
        return found

    def picked(self, row: tuple[Any, ...]) -> Picked | None:
        """Return a row as it leaves the log, or None where it is not asked for."""
        index, record_id, exchange, code, at_us, leaf_hash, entry, block, day, wrapped = row
        kind, asked = KINDS_BY_CODE[code], self._selection
        if (asked.from_us is not None and at_us < asked.from_us) or (
            asked.until_us is not None and at_us >= asked.until_us
        ):
            return None
        if asked.kind is not None and kind is not asked.kind:
            return None
        sections = self._opened(record_id, block, day, wrapped)
        core = _core(sections)
        if kind is Kind.INTENT:
            self._remember(index, sections)
        begun = self._begun(core["intent"]) if exchange is not None and "intent" in core else {}
        if not asked.takes(_core(begun or sections)):
            return None
        return Picked(
            origin=self._origin, index=index, record_id=record_id, exchange=exchange, kind=kind,
            at_us=at_us, leaf_hash=leaf_hash, entry=entry, sections=sections, begun=begun,
        )  # fmt: skip

    def _opened(
        self, record_id: bytes, block: bytes, day: int | None, wrapped: bytes | None
    ) -> dict[str, Opening | Closed]:
        section_keys = self._section_keys(record_id, day, wrapped)
        sections: dict[str, Opening | Closed] = {}
        for name, salt, body in unpack_sections(block):
            if salt is not None:
                sections[name] = Opening(salt, body)
            elif section_keys is None:
                sections[name] = "closed"
            elif name in section_keys:
                context = section_context(self._origin, record_id, name)
                sections[name] = Opening(*open_section(section_keys[name], context, body))
            else:
                sections[name] = "erased"
        return sections

    def _remember(self, index: int, sections: Mapping[str, Opening | Closed]) -> None:
        if len(self._intents) >= INTENTS_REMEMBERED_MAX:
            self._intents.pop(next(iter(self._intents)))
        self._intents[index] = sections

    def _begun(self, index: int) -> Mapping[str, Opening | Closed]:
        """Return the sections of the intent to which a later record belongs."""
        if index not in self._intents:
            row = self._db.execute(
                f"SELECT r.record_id, r.sections, k.kek_id, k.wrapped FROM {_TABLES}"  # noqa: S608 - constants
                " WHERE r.leaf_index = ?",
                (index,),
            ).fetchone()
            if row is None:
                raise EntryInvalid(f"the intent at index {index} is missing")
            self._remember(index, self._opened(*row))
        return self._intents[index]

    def _section_keys(
        self, record_id: bytes, day: int | None, wrapped: bytes | None
    ) -> dict[str, bytes] | None:
        if self._keys is None:
            return None
        if day is None or wrapped is None:
            return {}
        if day not in self._day_keys:
            self._day_keys[day] = self._keys.find_day_key(day)
        kek = self._day_keys[day]
        return {} if kek is None else unwrap_keys(kek, self._origin, record_id, wrapped)


def _core(sections: Mapping[str, Opening | Closed]) -> dict[str, Any]:
    opening = sections.get("core")
    core: dict[str, Any] = orjson.loads(opening.body) if isinstance(opening, Opening) else {}
    return core
