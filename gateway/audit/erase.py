"""Erasure: the keys of personal sections are overwritten, and every proof stays valid (I9).

What is erased, and the `log.erasure` record that tells of it, are one transaction: a crash leaves
both or neither. The ciphertext stays where it is, in the log and in every copy of it, as noise.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, Final, NamedTuple

from gateway.audit.access import Reader
from gateway.audit.entry import Kind, Record
from gateway.audit.holds import Holds, read_holds
from gateway.audit.keyed import (
    SUBJECT,
    Beginnings,
    Connection,
    KeyedRow,
    Opener,
    exchanges_about,
    keyed_rows,
    rewrapped,
    row_at,
    rows_of_exchange,
)
from gateway.audit.keys import LogKeys
from gateway.audit.log import AuditLog
from gateway.audit.people import Person
from gateway.audit.place import Place, PostgresLog
from gateway.audit.reader import shard_name, snapshot
from gateway.audit.scrub import empty_wal, rewrite
from gateway.audit.store import KeyChange, Overtaken
from gateway.clock import monotonic_s, new_uuid7, system_time_us

SLOTS_PER_RECORD_MAX: Final = 500
"""Records erased in one transaction: for about 10 ms nobody else appends."""
REPLANS_MAX: Final = 10
"""How often an erasure on record is begun anew because somebody else erases of the same keys."""
BODY_MS_MAX: Final = 3_600_000
"""How long after its first time a record may get its identifier: a body may come slowly."""
WAL_WAIT_S: Final = 10.0
"""How long an erasure waits for readers who keep the write-ahead log from being emptied."""
_WAL_LOOK_S: Final = 0.05

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Why something is erased: a code for all to read; who did it and by what authority, sealed."""

    reason: str
    who: Reader | None = None
    authority: str | None = None


class Slot(NamedTuple):
    """One record's keys that are to go, and the change that makes them go."""

    leaf_index: int
    sections: tuple[str, ...]
    change: KeyChange


@dataclass(slots=True)
class Tally:
    """How much was found: records, sections by name, what is held and by what.

    `shared` counts records that name other people too, whose identifiers go with the person's.
    """

    records: int = 0
    shared: int = 0
    sections: Counter[str] = field(default_factory=Counter)
    held: Counter[HeldBy] = field(default_factory=Counter)

    def __iadd__(self, other: Tally) -> Tally:
        """Count in what was found in another shard."""
        self.records += other.records
        self.shared += other.shared
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


def exchanges_on_hold(db: Connection, holds: Holds, opener: Opener) -> frozenset[bytes]:
    """Return the exchanges that name people on hold; of what cannot be read nobody knows better."""
    return frozenset(exchanges_about(db, holds.people, opener, unreadable_too=True))


def find_slots(
    db: Connection, selection: Selection, guard: Guard, opener: Opener, tally: Tally
) -> Iterator[Slot]:
    """Yield what a selection would erase, and count it, and what is held, in `tally`."""
    for row in _selected(db, selection, opener):
        names = [name for name in row.names if selection.takes(name)]
        if not names or (selection.before_us is not None and row.at_us >= selection.before_us):
            continue
        held = guard.holds(row)
        if held is not None:
            tally.held[held] += 1
            continue
        slot = slot_of(row, names, opener)
        if slot is None:
            continue
        if selection.person is not None and SUBJECT in names:
            tally.shared += len((opener.section(row, SUBJECT) or {}).get("ids", ())) > 1
        tally.add(slot)
        yield slot


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


def count(
    place: Place, keys: LogKeys, selection: Selection, holds: Holds, agreements: Collection[str]
) -> Tally:
    """Return what a selection would erase in a shard, and what is held; nothing is changed.

    `agreements` are those whose own text says that their records are on legal hold.
    """
    tally = Tally()
    with snapshot(place) as db:
        opener = Opener(db, keys)
        guard = Guard(db, opener, holds, agreements)
        for _ in find_slots(db, selection, guard, opener, tally):
            pass
    return tally


async def erase(
    log: AuditLog,
    keys: LogKeys,
    selection: Selection,
    order: Order,
    *,
    agreements: Collection[str],
    shard: Place | None = None,
) -> Tally:
    """Erase a selection, some hundred records at a time, and return how much there was.

    `shard` is where the records lie, if not in the one that `log` appends to. Raises Overtaken
    where a hold or a key changed meanwhile: what was erased by then is on record, and the rest can
    be erased by going on. `empty_wal_in_time` is to follow in any case.
    """
    tally, place = Tally(), shard or log.path
    holds = await asyncio.to_thread(holds_of, log.path, keys)
    with snapshot(place) as db:
        opener = Opener(db, keys)

        def prepare() -> Iterator[Slot]:
            return find_slots(db, selection, Guard(db, opener, holds, agreements), opener, tally)

        slots = await asyncio.to_thread(prepare)
        while chunk := await asyncio.to_thread(next_chunk, slots):
            await carry_out(log, keys, chunk, order, by=selection.by, holds=holds, shard=place)
    return tally


async def carry_out(
    log: AuditLog,
    keys: LogKeys,
    slots: Sequence[Slot],
    order: Order,
    *,
    by: str,
    holds: Holds,
    shard: Place,
) -> None:
    """Erase what fits one transaction, together with the record that says so.

    An ended shard takes no records: there the record comes first, in the present one, and the keys
    go right after it. Should the process die in between, the same erasure can be given again.
    Raises Overtaken where a hold or a key changed meanwhile; in an ended shard that is only where
    keys change faster than they can be read, for what is on record there has to be done.
    """
    changes = [slot.change for slot in slots]
    record = erasure_record(slots, order, by=by, shard=None if shard == log.path else shard)
    if shard == log.path:
        await log.append(record, counters=[holds.unchanged(), *changes])
        return
    await log.append(record, counters=[holds.unchanged()])
    await asyncio.to_thread(_do_as_recorded, shard, keys, slots)


def _do_as_recorded(shard: Place, keys: LogKeys, slots: Sequence[Slot]) -> None:
    """Erase in an ended shard what is on record, whatever else of the same keys has gone since."""
    for _ in range(REPLANS_MAX):
        try:
            rewrite(shard, [slot.change for slot in slots])
        except Overtaken:
            slots = _planned_again(shard, keys, slots)
        else:
            return
    raise Overtaken("keys of an ended shard change all the time")


def _planned_again(shard: Place, keys: LogKeys, slots: Sequence[Slot]) -> list[Slot]:
    """Return what is left to do of a plan, by the keys as they are now."""
    left = list[Slot]()
    with snapshot(shard) as db:
        opener = Opener(db, keys)
        for slot in slots:
            row = row_at(db, slot.leaf_index)
            names = [name for name in row.names if name in slot.sections] if row else []
            again = slot_of(row, names, opener) if row and names else None
            if again is not None:
                left.append(again)
    return left


def holds_of(place: Place, keys: LogKeys) -> Holds:
    """Return the legal holds in force, which lie in the shard that is appended to."""
    with snapshot(place) as db:
        return read_holds(db, keys.state_key())


def empty_wal_in_time(place: Place) -> bool:
    """Empty a file's write-ahead log, where old keys may stand; tell whether readers let it.

    It waits, so call it in a thread. What PostgreSQL keeps of old rows only its owner can end
    (docs/privacy-of-the-log.md): there it returns at once.
    """
    if isinstance(place, PostgresLog):
        return True
    deadline_s = monotonic_s() + WAL_WAIT_S
    while not empty_wal(place):
        if monotonic_s() > deadline_s:
            return False
        time.sleep(_WAL_LOOK_S)
    return True


def erasure_record(
    slots: Sequence[Slot], order: Order, *, by: str, shard: Place | None = None
) -> Record:
    """Return the record of an erasure: which sections of which records, and why, and no person."""
    what: dict[str, object] = {"by": by, "records": len(slots), "erased": _told(slots)}
    if shard is not None:
        what["shard"] = shard_name(shard)
    return log_erasure(what, order)


def log_erasure(what: Mapping[str, object], order: Order) -> Record:
    """Return a `log.erasure` record made now."""
    sections: dict[str, Mapping[str, object]] = {"core": {**what, "reason": order.reason}}
    if order.who is not None:
        sections["actor"] = {"principal": order.who.principal, "via": order.who.via.value}
    if order.authority:
        sections["payload"] = {"authority": order.authority}
    return Record(
        record_id=new_uuid7(),
        kind=Kind.ERASURE,
        exchange=None,
        at_us=system_time_us(),
        sections=sections,
    )


def next_chunk(slots: Iterator[Slot]) -> list[Slot]:
    """Return as many slots as one transaction takes; none at the end."""
    return list(islice(slots, SLOTS_PER_RECORD_MAX))


def _selected(db: Connection, selection: Selection, opener: Opener) -> Iterator[KeyedRow]:
    if selection.before_us is not None:
        latest_ms = selection.before_us // 1_000 + BODY_MS_MAX
        yield from keyed_rows(db, until=min(latest_ms, (1 << 48) - 1).to_bytes(6, "big"))
        return
    if selection.person is not None:
        about = exchanges_about(db, {selection.person}, opener)
        # Once through all, whatever their number: nothing orders the records of an exchange.
        yield from (row for row in keyed_rows(db) if (row.exchange or row.record_id) in about)
        return
    yield from rows_of_exchange(db, selection.exchange or b"")


def _told(slots: Sequence[Slot]) -> list[dict[str, Any]]:
    """Return indices by sections, runs of indices as first and last."""
    by_sections: dict[tuple[str, ...], list[list[int]]] = {}
    for slot in sorted(slots, key=lambda one: one.leaf_index):
        runs = by_sections.setdefault(slot.sections, [])
        if runs and runs[-1][1] == slot.leaf_index - 1:
            runs[-1][1] = slot.leaf_index
        else:
            runs.append([slot.leaf_index, slot.leaf_index])
    return [
        {"sections": list(names), "indices": runs} for names, runs in sorted(by_sections.items())
    ]
