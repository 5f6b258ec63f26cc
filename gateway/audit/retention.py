"""Retention: how long each class of section is kept, and the daily expiry of what is due.

The classes are the sealed sections. `core` and `peer` name no person and stay as long as the shard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.audit.entry import Kind, Record
from gateway.audit.erase import (
    Guard,
    Order,
    Slot,
    carry_out,
    empty_wal_in_time,
    holds_of,
    log_erasure,
    next_chunk,
    slot_of,
)
from gateway.audit.holds import Holds
from gateway.audit.keyed import (
    Beginning,
    Beginnings,
    Connection,
    KeyedRow,
    Opener,
    keyed_rows,
)
from gateway.audit.keys import LogKeys
from gateway.audit.log import AuditLog
from gateway.audit.people import year_of
from gateway.audit.place import Place, home_of
from gateway.audit.reader import find_shards, snapshot
from gateway.audit.seal import DAY_US
from gateway.audit.store import LogUnavailable, Overtaken
from gateway.clock import new_uuid7, system_time_us
from policies.times import Duration

INTERVAL_S: Final = 3_600.0
"""How often the time of day is looked at; each day is gone through once."""
EXPIRED: Final = "RETENTION_EXPIRED"
"""The reason of every erasure by retention."""
NET: Final = "net"
"""The class that is kept for a short time: addresses and how the call came in."""

MEMORY_NAME: Final = "retention-due"
"""The file that says when each day is next to be gone through; losing it costs time alone."""

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
    """What one day's key still opens: sections due, on hold, and when the next others are due."""

    due: int = 0
    held: int = 0
    next_us: int = _NEVER_US

    @property
    def ends(self) -> bool:
        """Whether the key itself may go, and all that it opens with it."""
        return self.held == 0 and self.next_us == _NEVER_US


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

    async def run(
        self, stop: asyncio.Event, report: Callable[[LogUnavailable | None], None]
    ) -> None:
        """Expire once a day until `stop` is set; `report` is told whether it failed."""
        done = -1
        while not stop.is_set():
            now_us = system_time_us()
            if now_us // DAY_US != done:
                try:
                    await self.expire(now_us)
                    done = now_us // DAY_US
                    report(None)
                except LogUnavailable as failure:
                    report(failure)
                except Overtaken:
                    pass  # a hold was changed meanwhile: the next round goes by it
            try:
                await asyncio.wait_for(stop.wait(), INTERVAL_S)
            except TimeoutError:
                continue

    async def expire(self, now_us: int) -> int:
        """Erase everything that is due at `now_us`; return how many sections went.

        A day all of whose sections are due loses its key, after the record that says so.
        """
        agreements = frozenset(await asyncio.to_thread(self._agreements_on_hold))
        holds = await asyncio.to_thread(holds_of, self._log.path, self._keys)
        gone, shards = 0, set[Place]()
        for day in self._keys.days():
            if (day + 1) * DAY_US > now_us or self._next_us.get(day, 0) > now_us:
                continue
            gone += await self._expire_day(day, now_us, holds, agreements, shards)
        for shard in shards:
            await asyncio.to_thread(empty_wal_in_time, shard)
        await self._destroy_years(now_us)
        await asyncio.to_thread(self._remember)
        return gone

    def _remembered(self) -> dict[int, int]:
        """Return when each day is next to be gone through, under the same periods."""
        try:
            first, *lines = self._memory.read_text("ascii").splitlines()
            if first != self._periods.text:
                return {}
            return {int(day): int(due) for day, due in (line.split() for line in lines)}
        except (OSError, ValueError):
            return {}  # every day is looked through once more

    def _remember(self) -> None:
        """Write it down: without it a start would go through the whole log."""
        lines = [f"{day} {due}" for day, due in sorted(self._next_us.items())]
        draft = self._memory.with_name(f".{MEMORY_NAME}")
        draft.write_text("\n".join([self._periods.text, *lines]), "ascii")
        draft.replace(self._memory)

    async def _expire_day(
        self, day: int, now_us: int, holds: Holds, agreements: Collection[str], changed: set[Place]
    ) -> int:
        found = Day()
        shards = await asyncio.to_thread(find_shards, home_of(self._log.path))
        for shard in shards:
            found_here = await asyncio.to_thread(self._look, shard, day, now_us, holds, agreements)
            found.due += found_here.due
            found.held += found_here.held
            found.next_us = min(found.next_us, found_here.next_us)
        self._next_us[day] = found.next_us
        if found.ends:
            what = {"by": "day", "day": day, "sections": found.due}
            await self._log.append(log_erasure(what, Order(reason=EXPIRED)))
            await asyncio.to_thread(self._keys.destroy_day, day)
            self._next_us.pop(day)
            return found.due
        if found.held:  # looked at again every day: a hold may end at any time
            self._next_us.pop(day)
        if found.due:
            for shard in shards:
                changed.add(shard)
                await self._erase_due(shard, day, now_us, holds, agreements)
        return found.due

    def _look(
        self, shard: Place, day: int, now_us: int, holds: Holds, agreements: Collection[str]
    ) -> Day:
        found = Day()
        with snapshot(shard) as db:
            opener = Opener(db, self._keys)
            for _ in self._due(db, day, now_us, Guard(db, opener, holds, agreements), found):
                pass
        return found

    async def _erase_due(
        self, shard: Place, day: int, now_us: int, holds: Holds, agreements: Collection[str]
    ) -> None:
        with snapshot(shard) as db:
            opener = Opener(db, self._keys)

            def prepare() -> Iterator[Slot]:
                guard = Guard(db, opener, holds, agreements)
                for row, names in self._due(db, day, now_us, guard, Day()):
                    slot = slot_of(row, names, opener)
                    if slot is not None:
                        yield slot

            slots, order = prepare(), Order(reason=EXPIRED)
            while chunk := await asyncio.to_thread(next_chunk, slots):
                await carry_out(self._log, chunk, order, by="retention", holds=holds, shard=shard)

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
            beginning, names = beginnings.of(row), list[str]()
            for name in row.names:
                due_us = self._periods.due_us(name, row.at_us, beginning)
                if due_us <= now_us:
                    names.append(name)
                else:
                    found.next_us = min(found.next_us, due_us)
            if not names:
                continue
            if guard.holds(row) is not None:
                found.held += len(names)
                continue
            found.due += len(names)
            yield row, names

    async def _destroy_years(self, now_us: int) -> None:
        """Destroy the subject keys of past years of which no day can be opened any more."""
        left = {year_of(day * DAY_US) for day in self._keys.days()} | {year_of(now_us)}
        for year in self._keys.subject_years():
            if year not in left and year < year_of(now_us):
                await self._log.append(year_destroyed({}, year, reason=EXPIRED))
                await asyncio.to_thread(self._keys.destroy_year, year)


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
