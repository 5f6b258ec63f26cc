"""Retention: how long each class of section is kept, and the daily expiry of what is due.

The classes are the sealed sections. `core` and `peer` name no person and stay as long as the shard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.audit.entry import EntryInvalid
from gateway.audit.holds import Holds
from gateway.audit.keys.files import KeyFileUnusable
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.log import AuditLog
from gateway.audit.people import year_of
from gateway.audit.place import Place, home_of
from gateway.audit.privacy.erasable import Guard, Slot, exchanges_on_hold, slot_of
from gateway.audit.privacy.erase import (
    Order,
    carry_out,
    empty_wal_in_time,
    holds_of,
    log_erasure,
    next_chunk,
    year_destroyed,
)
from gateway.audit.privacy.keyed import (
    Beginning,
    Beginnings,
    Connection,
    KeyedRow,
    Opener,
    keyed_rows,
)
from gateway.audit.reading.reader import find_shards, shard_name, snapshot
from gateway.audit.rounds import Report, pause
from gateway.audit.seal import DAY_US
from gateway.audit.search.follow import index_anew
from gateway.audit.store import LogBusy, LogUnavailable, Overtaken
from gateway.clock import system_time_us
from policies.times import Duration

INTERVAL_S: Final = 3_600.0
"""How often the time of day is looked at; each day is gone through once."""
EXPIRED: Final = "RETENTION_EXPIRED"
"""The reason of every erasure by retention."""
NET: Final = "net"
"""The class that is kept for a short time: addresses and how the call came in."""

MEMORY_NAME: Final = "retention-due"
"""The file that says when each day is next to be gone through; losing it costs time alone."""
LEFT_TOLD_MAX: Final = 10
"""How much of what a round could not read is told in one message."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER_US: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """How long sections are kept: `net` at most, and `records` where no agreement says it."""

    net: Duration
    records: Duration

    @property
    def text(self) -> str:
        """Both periods in a line."""
        return f"{self.net.text} {self.records.text}"

    def due_us(self, name: str, at_us: int, beginning: Beginning) -> int:
        """Return when a section is due, as system time in microseconds.

        An agreement's `retention.audit_kept_for`, as it was at the time, goes for its records.
        """
        kept = self.records
        if beginning.kept_for is not None:
            kept = Duration.parse(beginning.kept_for)
        at = _EPOCH + timedelta(microseconds=at_us)
        due = kept.after(at)
        if name == NET:
            due = min(due, self.net.after(at))
        return (due - _EPOCH) // timedelta(microseconds=1)


@dataclass(slots=True)
class Day:
    """What one day's key still opens: sections due, on hold, and when the next others are due.

    `left` counts what cannot be read, and may be on hold for all that anybody can tell. `where` is
    in which shards something is due.
    """

    due: int = 0
    held: int = 0
    left: int = 0
    next_us: int = _NEVER_US
    where: set[Place] = field(default_factory=set)

    def __iadd__(self, other: Day) -> Day:
        """Count in what was found in another shard."""
        self.due += other.due
        self.held += other.held
        self.left += other.left
        self.next_us = min(self.next_us, other.next_us)
        return self

    @property
    def ends(self) -> bool:
        """Whether the key itself may go, and all that it opens with it."""
        return self.held == 0 and self.left == 0 and self.next_us == _NEVER_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round goes by, and what it gathers: shards it changed, and what it had to leave.

    `about` are the exchanges that name people on hold, found once in each shard.
    """

    now_us: int
    shards: Sequence[Place]
    holds: Holds
    agreements: Collection[str]
    stop: asyncio.Event
    about: dict[Place, frozenset[bytes]] = field(default_factory=dict)
    changed: set[Place] = field(default_factory=set)
    left: list[str] = field(default_factory=list)

    def guard(self, db: Connection, opener: Opener, shard: Place) -> Guard:
        """Return what tells the records of a shard that are on hold."""
        about = self.about.get(shard)
        if about is None:
            about = self.about[shard] = exchanges_on_hold(db, self.holds, opener)
        return Guard(db, opener, self.holds, self.agreements, about=about)


class Expirer:
    """Erases what is due, once a day, in the control process."""

    def __init__(
        self,
        log: AuditLog,
        keys: LogKeys,
        periods: Periods,
        *,
        agreements_on_hold: Callable[[], Collection[str]],
    ) -> None:
        """Expire by `periods`; `agreements_on_hold` says which texts put their records on hold."""
        self._log = log
        self._keys = keys
        self._periods = periods
        self._agreements_on_hold = agreements_on_hold
        self._memory = log.directory / MEMORY_NAME
        self._next_us = self._remembered()
        self._stale: set[Place] = set()
        self.left: tuple[str, ...] = ()
        """What the last round could not read, and left as it is."""

    async def run(self, stop: asyncio.Event, report: Report) -> None:
        """Expire once a day until `stop` is set; `report` is told whether it failed.

        A round that failed is tried again after `INTERVAL_S`; what it had to leave, on the morrow.
        """
        done = -1
        while not stop.is_set():
            now_us = system_time_us()
            if now_us // DAY_US != done:
                try:
                    await self.expire(now_us, stop)
                    done = now_us // DAY_US
                    report(LogUnavailable("; ".join(self.left)) if self.left else None)
                except LogUnavailable as failure:
                    report(failure)
                except Overtaken:
                    pass  # a hold was changed meanwhile: the next round goes by it
                except (OSError, EntryInvalid) as broken:
                    report(LogUnavailable(f"nothing could expire: {broken}"))
            await pause(stop, INTERVAL_S)

    async def expire(self, now_us: int, stop: asyncio.Event | None = None) -> int:
        """Erase everything that is due at `now_us`; return how many sections went.

        A day all of whose sections are due loses its key, after the record that says so. What
        cannot be read stays, and `left` tells of it. Once `stop` is set the rest waits for the next
        round. Raises LogUnavailable where the log does not answer, and Overtaken where something
        was put on hold meanwhile: what went by then is on record.
        """
        this = Round(
            now_us=now_us,
            agreements=frozenset(await asyncio.to_thread(self._agreements_on_hold)),
            holds=await asyncio.to_thread(holds_of, self._log.path, self._keys),
            shards=await asyncio.to_thread(find_shards, home_of(self._log.path)),
            stop=stop or asyncio.Event(),
        )
        gone = 0
        try:
            for day in self._keys.days():
                if this.stop.is_set():
                    break
                if (day + 1) * DAY_US <= now_us and self._next_us.get(day, 0) <= now_us:
                    gone += await self._expire_readable(day, this)
        finally:
            for shard in this.changed:
                await asyncio.to_thread(empty_wal_in_time, shard)
            await asyncio.to_thread(self._remember)
            await asyncio.to_thread(self._index_anew, this)
            self.left = tuple(dict.fromkeys(this.left))[:LEFT_TOLD_MAX]
        if not this.stop.is_set():
            await self._destroy_years(now_us)
        return gone

    def _remembered(self) -> dict[int, int]:
        """Return when each day is next to be gone through, under the same periods."""
        try:
            first, *lines = self._memory.read_text("ascii").splitlines()
            if first != self._periods.text:
                return {}
            due = {int(day): int(due) for day, due in (line.split() for line in lines)}
        except (OSError, ValueError):
            return {}  # every day is looked through once more
        # A day that nothing more can be due of has no key any more, so that this was an error.
        return {day: due_us for day, due_us in due.items() if due_us < _NEVER_US}

    def _remember(self) -> None:
        """Write it down: without it a start would go through the whole log."""
        lines = [f"{day} {due}" for day, due in sorted(self._next_us.items())]
        draft = self._memory.with_name(f".{MEMORY_NAME}")
        with suppress(OSError):  # on a full disk the memory is that of an earlier round
            draft.write_text("\n".join([self._periods.text, *lines]), "ascii")
            draft.replace(self._memory)

    def _index_anew(self, this: Round) -> None:
        """Have no ended shard's index name who was erased; the next round tries again."""
        self._stale |= this.changed - {self._log.path}
        for shard in sorted(self._stale, key=shard_name):
            try:
                index_anew(shard, self._keys)
                self._stale.discard(shard)
            except (LogUnavailable, OSError) as broken:
                this.left.append(f"{shard_name(shard)} may still find who was erased: {broken}")

    async def _expire_readable(self, day: int, this: Round) -> int:
        """Expire a day; one whose files do not let it is left, and the others go on."""
        try:
            return await self._expire_day(day, this)
        except OSError as broken:
            this.left.append(f"{_date(day)} cannot expire: {broken}")
            return 0

    async def _expire_day(self, day: int, this: Round) -> int:
        # It is not known when to come back before all of it is done.
        self._next_us.pop(day, None)
        found = await self._find_due(day, this)
        if found.due or found.ends:
            await self._check_agreements(this)
        if found.ends:
            record = log_erasure(
                {"by": "day", "day": day, "sections": found.due}, Order(reason=EXPIRED)
            )
            await self._log.append(record, counters=[this.holds.unchanged()])
            this.changed.update(found.where)
            await asyncio.to_thread(self._keys.destroy_day, day)
            return found.due
        gone = 0
        if found.due:
            for shard in this.shards:
                gone += await self._erase_due(shard, day, this, found)
        # What is held or left is looked at again every day: a hold may end at any time.
        if not (found.held or found.left or this.stop.is_set()):
            self._next_us[day] = found.next_us
        return gone

    async def _check_agreements(self, this: Round) -> None:
        """Raise Overtaken if an agreement's text puts records on hold that the round would erase.

        Holds in the log itself are checked in the transaction of every erasure's record.
        """
        on_hold = frozenset(await asyncio.to_thread(self._agreements_on_hold))
        if not on_hold.issubset(this.agreements):
            raise Overtaken("an agreement put its records on hold meanwhile")

    async def _find_due(self, day: int, this: Round) -> Day:
        """Count what a day's key opens in all shards; tell of what cannot be read."""
        found = Day()
        for shard in this.shards:
            try:
                here = await asyncio.to_thread(self._look, shard, day, this)
            except LogUnavailable as broken:
                if shard == self._log.path:
                    raise
                here = Day(left=1)
                this.left.append(f"{shard_name(shard)}: {broken}")
            else:
                _tell(this, day, shard, here.left)
            found += here
            found.where |= {shard} if here.due else set()
        return found

    def _look(self, shard: Place, day: int, this: Round) -> Day:
        found = Day()
        with snapshot(shard) as db:
            guard = this.guard(db, Opener(db, self._keys), shard)
            for _ in self._due(db, day, this.now_us, guard, found):
                pass
        return found

    async def _erase_due(self, shard: Place, day: int, this: Round, found: Day) -> int:
        """Erase what is due of a day in a shard; return how many sections that were."""
        gone, spoilt = 0, list[int]()
        try:
            with snapshot(shard) as db:
                opener = Opener(db, self._keys)

                def prepare() -> Iterator[Slot]:
                    guard = this.guard(db, opener, shard)
                    for row, names in self._due(db, day, this.now_us, guard, Day()):
                        try:
                            slot = slot_of(row, names, opener)
                        except EntryInvalid:
                            spoilt.append(row.leaf_index)
                        except KeyFileUnusable as unusable:  # the other days have other keys
                            this.left.append(f"{_date(day)} cannot expire: {unusable}")
                            found.left += 1
                            return
                        else:
                            if slot is not None:
                                yield slot

                slots, order, told = prepare(), Order(reason=EXPIRED), "retention"
                while not this.stop.is_set() and (
                    chunk := await asyncio.to_thread(next_chunk, slots)
                ):
                    this.changed.add(shard)
                    await carry_out(
                        self._log, self._keys, chunk, order, by=told, holds=this.holds, shard=shard
                    )
                    gone += sum(len(slot.sections) for slot in chunk)
        except LogUnavailable as broken:
            if shard == self._log.path or isinstance(broken, LogBusy):
                raise
            found.left += 1
            this.left.append(f"{shard_name(shard)}: {broken}")
        found.left += len(spoilt)
        _tell(this, day, shard, len(spoilt))
        return gone

    def _due(
        self, db: Connection, day: int, now_us: int, guard: Guard, found: Day
    ) -> Iterator[tuple[KeyedRow, list[str]]]:
        """Yield the records of a day with those of their sections that are due, and count."""
        beginnings = Beginnings(db)
        first_ms, last_ms = day * DAY_US // 1_000, (day + 1) * DAY_US // 1_000
        # A day to either side: none may be missed whose clock was stepped, or whose body was slow.
        after = max(0, first_ms - DAY_US // 1_000).to_bytes(6, "big")
        until = (last_ms + DAY_US // 1_000).to_bytes(6, "big")
        for row in keyed_rows(db, after=after, until=until):
            if row.day != day:
                continue
            try:
                due_us = self._due_us(row, beginnings)
                held = guard.holds(row) is not None
            except (ValueError, OverflowError):  # its bytes are not what was written
                found.left += 1
                continue
            names = [name for name, at_us in due_us.items() if at_us <= now_us]
            later = [at_us for at_us in due_us.values() if at_us > now_us]
            found.next_us = min([found.next_us, *later])
            if held:
                found.held += len(names)
            elif names:
                found.due += len(names)
                yield row, names

    def _due_us(self, row: KeyedRow, beginnings: Beginnings) -> dict[str, int]:
        """Return when each of a record's sections is due; raises ValueError if it is damaged."""
        said = beginnings.of(row)
        return {name: self._periods.due_us(name, row.at_us, said) for name in row.names}

    async def _destroy_years(self, now_us: int) -> None:
        """Destroy the subject keys of past years of which no day can be opened any more."""
        left = {year_of(day * DAY_US) for day in self._keys.days()} | {year_of(now_us)}
        for year in self._keys.subject_years():
            if year not in left and year < year_of(now_us):
                await self._log.append(year_destroyed({}, year, reason=EXPIRED))
                await asyncio.to_thread(self._keys.destroy_year, year)


def _date(day: int) -> str:
    return f"{_EPOCH + timedelta(days=day):%Y-%m-%d}"


def _tell(this: Round, day: int, shard: Place, spoilt: int) -> None:
    if spoilt:
        this.left.append(f"{spoilt} records of {_date(day)} in {shard_name(shard)} are damaged")
