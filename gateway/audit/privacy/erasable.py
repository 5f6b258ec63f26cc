"""What of a log may be erased: the records that are meant, without those that are held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.audit.entry import EntryInvalid
from gateway.audit.holds import Holds
from gateway.audit.keys.files import KeyFileUnusable
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.people import Person
from gateway.audit.place import Place
from gateway.audit.privacy.keyed import (
    BODY_MS_MAX,
    SUBJECT,
    Beginnings,
    Connection,
    KeyedRow,
    Opener,
    exchanges_about,
    keyed_rows,
    rewrapped,
    rows_of_exchange,
)
from gateway.audit.store import KeyChange

OF_A_PERSON: Final = frozenset({"payload", SUBJECT})
"""Sections that are about the people whom an exchange concerns, not about who asked."""


class HeldBy(StrEnum):
    """Why a record is not erased."""

    EXCHANGE = "exchange on legal hold"
    AGREEMENT = "agreement on legal hold"
    PERSON = "person on legal hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is to be erased: `sections` of all records of a person, of an exchange, or of a time.

    Exactly one of the three is given; `before_us` is system time in microseconds. Without
    `sections` these are all of an exchange, and those about people (`OF_A_PERSON`) of a person.
    """

    person: Person | None = None
    exchange: bytes | None = None
    before_us: int | None = None
    sections: frozenset[str] | None = None

    @property
    def by(self) -> str:
        """The word for what the selection goes by."""
        if self.person is not None:
            return "person"
        return "exchange" if self.exchange is not None else "time"

    def takes(self, name: str) -> bool:
        """Tell whether a section is among those to be erased."""
        if self.sections is not None:
            return name in self.sections
        return self.person is None or name in OF_A_PERSON


class Slot(NamedTuple):
    """One record's keys that are to go, and the change that makes them go."""

    leaf_index: int
    sections: tuple[str, ...]
    change: KeyChange


@dataclass(slots=True)
class Tally:
    """How much was found: records, sections by name, what is held and by what.

    `shared` counts records that name other people too, whose identifiers go with the person's;
    `unreadable` damaged ones, which stay: nobody can tell whether they are meant, or held.
    """

    records: int = 0
    shared: int = 0
    unreadable: int = 0
    sections: Counter[str] = field(default_factory=Counter)
    held: Counter[HeldBy] = field(default_factory=Counter)

    def __iadd__(self, other: Tally) -> Tally:
        """Count in what was found in another shard."""
        self.records += other.records
        self.shared += other.shared
        self.unreadable += other.unreadable
        self.sections += other.sections
        self.held += other.held
        return self

    def add(self, slot: Slot) -> None:
        """Count one record that is erased."""
        self.records += 1
        self.sections.update(slot.sections)


class Guard:
    """Tells which records are on legal hold, by the holds of one moment."""

    def __init__(
        self,
        db: Connection,
        opener: Opener,
        holds: Holds,
        agreements: Collection[str],
        *,
        about: Collection[bytes] | None = None,
    ) -> None:
        """Go by `holds`, and by `agreements` whose own text says that records are on hold.

        `about` is what `exchanges_on_hold` returned, where that was asked already.
        """
        self._exchanges = holds.exchanges
        self._about = exchanges_on_hold(db, holds, opener) if about is None else about
        self._agreements = holds.agreements | frozenset(agreements)
        self._beginnings = Beginnings(db)

    def holds(self, row: KeyedRow) -> HeldBy | None:
        """Tell why a record must stay as it is, if so."""
        whole = row.exchange or row.record_id
        if whole in self._exchanges:
            return HeldBy.EXCHANGE
        if whole in self._about:
            return HeldBy.PERSON
        if self._agreements and self._beginnings.of(row).agreement in self._agreements:
            return HeldBy.AGREEMENT
        return None


def exchanges_on_hold(
    db: Connection, holds: Holds, opener: Opener, *, among: Iterable[KeyedRow] | None = None
) -> frozenset[bytes]:
    """Return the exchanges that name people on hold; of what cannot be read nobody knows better.

    `among` are the records to look at, if not all of the log.
    """
    rows = keyed_rows(db) if among is None else among
    named = exchanges_about(rows, holds.people, opener)
    return named.exchanges.union(named.unreadable)


def planned(
    db: Connection,
    place: Place,
    keys: LogKeys,
    selection: Selection,
    tally: Tally,
    *,
    holds: Holds,
    agreements: Collection[str],
) -> Iterator[Slot]:
    """Yield what a selection would erase of the log at `place`, which `db` reads.

    `agreements` are those whose own text says that their records are on legal hold. In `tally` is
    counted what is yielded, what is held, and what cannot be read.
    """
    opener, about = Opener(db, keys), None
    if selection.exchange is not None:  # whom other exchanges name does not matter
        among = rows_of_exchange(db, place, selection.exchange) if holds.people else ()
        about = exchanges_on_hold(db, holds, opener, among=among)
    guard = Guard(db, opener, holds, agreements, about=about)
    for row in _selected(db, place, selection, opener, tally):
        try:
            slot = _slot_within(row, selection, guard, opener, tally)
        except (EntryInvalid, KeyFileUnusable):
            tally.unreadable += 1
            continue
        if slot is not None:
            tally.add(slot)
            yield slot


def _slot_within(
    row: KeyedRow, selection: Selection, guard: Guard, opener: Opener, tally: Tally
) -> Slot | None:
    """Return what a selection erases of a record; raises EntryInvalid where that is damaged."""
    names = [name for name in row.names if selection.takes(name)]
    if not names or (selection.before_us is not None and row.at_us >= selection.before_us):
        return None
    held = guard.holds(row)
    if held is not None:
        tally.held[held] += 1
        return None
    slot = slot_of(row, names, opener)
    if slot is not None and selection.person is not None and SUBJECT in names:
        tally.shared += _names_several(row, opener)
    return slot


def _names_several(row: KeyedRow, opener: Opener) -> bool:
    try:
        return len((opener.section(row, SUBJECT) or {}).get("ids", ())) > 1
    except EntryInvalid:  # another record of the exchange names the person
        return False


def slot_of(row: KeyedRow, names: Collection[str], opener: Opener) -> Slot | None:
    """Return the change that overwrites the keys of `names`; None where nothing can open them.

    It is refused if the keys are no longer those that were read.
    """
    kek = opener.day_key(row.day)
    if kek is None:  # gone with its day's key
        return None
    keep = [name for name in row.names if name not in names]
    if not keep:
        return Slot(row.leaf_index, row.names, KeyChange(row.leaf_index, row.wrapped, None))
    wrapped = rewrapped(kek, opener.origin, row, keep)
    gone = tuple(name for name in row.names if name in names)
    return Slot(row.leaf_index, gone, KeyChange(row.leaf_index, row.wrapped, wrapped))


def _selected(
    db: Connection, place: Place, selection: Selection, opener: Opener, tally: Tally
) -> Iterator[KeyedRow]:
    if selection.before_us is not None:
        latest_ms = selection.before_us // 1_000 + BODY_MS_MAX
        yield from keyed_rows(db, until=min(latest_ms, (1 << 48) - 1).to_bytes(6, "big"))
        return
    if selection.person is not None:
        named = exchanges_about(keyed_rows(db), {selection.person}, opener)
        tally.unreadable += sum(named.unreadable.values())
        # Once through all, whatever their number: nothing orders the records of an exchange.
        for row in keyed_rows(db):
            if (row.exchange or row.record_id) in named.exchanges:
                yield row
        return
    yield from rows_of_exchange(db, place, selection.exchange or b"")
