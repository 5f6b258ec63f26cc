"""Erasure: the keys of personal sections are overwritten, and every proof stays valid (I9).

What is erased, and the `log.erasure` record that tells of it, are one transaction: a crash leaves
both or neither. The ciphertext stays where it is, in the log and in every copy of it, as noise.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from gateway.audit.entry import Kind, Record
from gateway.audit.holds import Holds, read_holds
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.log import AuditLog
from gateway.audit.place import Place, PostgresLog
from gateway.audit.privacy.erasable import Selection, Slot, Tally, planned, slot_of
from gateway.audit.privacy.keyed import Opener, row_at
from gateway.audit.privacy.scrub import empty_wal, rewrite
from gateway.audit.reading.reader import shard_name, snapshot
from gateway.audit.search.access import Reader
from gateway.audit.store import Overtaken
from gateway.clock import monotonic_s, new_uuid7, system_time_us

SLOTS_PER_RECORD_MAX: Final = 500
"""Records erased in one transaction: for about 10 ms nobody else appends."""
REPLANS_MAX: Final = 10
"""How often an erasure on record is begun anew because somebody else erases of the same keys."""
WAL_WAIT_S: Final = 10.0
"""How long an erasure waits for readers who keep the write-ahead log from being emptied."""
_WAL_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Why something is erased: a code for all to read; who did it and by what authority, sealed."""

    reason: str
    who: Reader | None = None
    authority: str | None = None


def count(
    place: Place, keys: LogKeys, selection: Selection, holds: Holds, agreements: Collection[str]
) -> Tally:
    """Return what a selection would erase in a shard, and what is held; nothing is changed.

    `agreements` are those whose own text says that their records are on legal hold.
    """
    tally = Tally()
    with snapshot(place) as db:
        found = planned(db, place, keys, selection, tally, holds=holds, agreements=agreements)
        for _ in found:
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
        slots = planned(db, place, keys, selection, tally, holds=holds, agreements=agreements)
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


def year_destroyed(sealed: Mapping[str, Mapping[str, object]], year: int, *, reason: str) -> Record:
    """Return the record that the key goes under which people of a year are found."""
    core: dict[str, object] = {"verb": "destroy-key", "what": "subject-year", "year": year}
    return Record(
        record_id=new_uuid7(),
        kind=Kind.CHANGE,
        exchange=None,
        at_us=system_time_us(),
        sections={"core": {**core, "reason": reason}, **sealed},
    )


def next_chunk(slots: Iterator[Slot]) -> list[Slot]:
    """Return as many slots as one transaction takes; none at the end."""
    return list(islice(slots, SLOTS_PER_RECORD_MAX))


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
