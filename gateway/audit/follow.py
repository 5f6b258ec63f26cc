"""The follower: reads the log behind its writers, and keeps the search index up with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.entry import Kind
from gateway.audit.index import (
    FORM,
    HOUR_US,
    NAMES,
    Range,
    bounds,
    index_path,
    index_snapshot,
    members,
    open_index,
    watermark,
)
from gateway.audit.keys import LogKeys
from gateway.audit.locks import FileLock
from gateway.audit.opening import COLUMNS, Found, Opener, Wrapped, found
from gateway.audit.people import subject_tag, year_of
from gateway.audit.place import Place, PostgresFailed
from gateway.audit.reader import snapshot
from gateway.audit.seal import DAY_US
from gateway.audit.sqlite import Connection
from gateway.audit.store import LogUnavailable
from gateway.audit.terms import UNCOUNTED, figures_of, named_in, term_of, words_of
from gateway.clock import monotonic_s, system_time_us

INTERVAL_S: Final = 1.0
RECORDS_PER_STEP_MAX: Final = 2_000
CATCH_UP_S: Final = 2.0
"""How long a search waits for the index to come up with the log, before it shows what there is."""
CATCH_UP_PAUSE_S: Final = 0.01
WORDS_REMEMBERED_MAX: Final = 50_000
TAGS_REMEMBERED_MAX: Final = 50_000
LOCK_NAME: Final = "index.lock"

_ROWS: Final = (
    f"SELECT {', '.join(f'r.{name}' for name in COLUMNS.split(', '))}, k.kek_id, k.wrapped"  # noqa: S608 - constants
    " FROM audit_record AS r LEFT JOIN audit_key AS k ON k.leaf_index = r.leaf_index"
    " WHERE r.leaf_index >= ? AND r.leaf_index < ? ORDER BY r.leaf_index"
)
_CONTINUES: Final = frozenset({Kind.PROGRESS, Kind.OUTCOME, Kind.INDETERMINATE, Kind.LATE_OUTCOME})
_POST: Final = "INSERT INTO search_posting VALUES (?, ?) ON CONFLICT DO NOTHING"
_TAG: Final = "INSERT INTO search_tag VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_WORD: Final = "INSERT INTO search_word VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_MEMBER: Final = "INSERT INTO search_exchange VALUES (?, ?) ON CONFLICT DO NOTHING"
_ROW: Final = "INSERT INTO search_row VALUES (?, ?, 0, 0, 0, 0) ON CONFLICT DO NOTHING"
_FIGURES: Final = (
    "UPDATE search_row SET records = ?, people = ?, dropped = ?, octets = ? WHERE leaf_index = ?"
)
_HOUR: Final = (
    "INSERT INTO search_hour VALUES (?, ?, ?) ON CONFLICT (hour) DO UPDATE SET"
    " first_index = CASE WHEN excluded.first_index < search_hour.first_index"
    " THEN excluded.first_index ELSE search_hour.first_index END,"
    " last_index = CASE WHEN excluded.last_index > search_hour.last_index"
    " THEN excluded.last_index ELSE search_hour.last_index END"
)
_FORGET: Final = "DELETE FROM search_tag WHERE leaf_index = ?"
_FORGET_DAY: Final = (
    "DELETE FROM search_tag WHERE leaf_index IN (SELECT leaf_index FROM search_row"
    " WHERE leaf_index >= ? AND leaf_index < ? AND t >= ? AND t < ?)"
)
_MARK: Final = (
    "INSERT INTO search_mark VALUES (1, ?, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET"
    " form = excluded.form, next_index = excluded.next_index, at_us = excluded.at_us,"
    " leaf_hash = excluded.leaf_hash"
)


class Follower:
    """Brings new records into the index; of several processes, one works at a time.

    A step is one transaction, so that a crash anywhere leaves the index as it was before it. Where
    index and log contradict each other, as after a restored backup, the index is made anew.
    """

    def __init__(self, log: Place, *, keys: LogKeys) -> None:
        """Follow the log in this file; tags are made with its subject keys."""
        self._path = log
        self._keys = keys
        self._lock = FileLock(log.parent / LOCK_NAME)
        try:
            if index_path(log).exists():
                self._db = open_index(log)
            else:
                with self._lock:
                    self._db = open_index(log)
        except sqlite.Error as broken:
            self._lock.close()
            raise LogUnavailable(f"the search index cannot be opened: {broken}") from broken
        self._words: set[int] = set()
        self._tags: dict[tuple[int, str, str], bytes | None] = {}
        self._year_keys: dict[int, bytes | None] = {}
        self._damaged: set[int] = set()

    async def run(
        self, stop: asyncio.Event, report: Callable[[LogUnavailable | None], None]
    ) -> None:
        """Step about once a second until `stop` is set, and a last time then.

        `report` is told after every step whether it failed, or came upon damaged records.
        """
        while True:
            stopping = stop.is_set()
            try:
                while await asyncio.to_thread(self.step) and not stop.is_set():
                    pass
                report(self._damage())
            except LogUnavailable as failure:
                report(failure)
            if stopping:
                return
            try:
                await asyncio.wait_for(stop.wait(), INTERVAL_S)
            except TimeoutError:
                continue

    def step(self) -> bool:
        """Index some of what has come; tell whether there may be more at once.

        Raises LogUnavailable where log or index cannot be read or written.
        """
        if not self._lock.try_acquire():
            return False
        try:
            return self._step()
        except (sqlite.Error, PostgresFailed, OSError, ValueError, LookupError) as broken:
            raise LogUnavailable(f"the search index cannot be kept up: {broken}") from broken
        finally:
            if self._db.in_transaction:
                self._words.clear()
                self._db.execute("ROLLBACK")
            self._lock.release()

    def forget_all(self) -> None:
        """Empty the index, so that the next steps make it anew."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            self._empty()
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the files."""
        self._db.close()
        self._lock.close()

    def _damage(self) -> LogUnavailable | None:
        """Return, once, what the steps could not read of the records that they indexed."""
        if not self._damaged:
            return None
        first, count = min(self._damaged), len(self._damaged)
        self._damaged.clear()
        text = (
            f"{count} of the records are damaged, and found by what is whole of them; the first is"
        )
        return LogUnavailable(f"{text} {first}: see concordat audit verify")

    def _step(self) -> bool:
        with snapshot(self._path) as log:
            end: int = log.execute("SELECT next_index FROM audit_head").fetchone()[0]
            start = self._start(log, end)
            if start == end:
                return False
            self._db.execute("BEGIN IMMEDIATE")
            if start == 0:
                self._empty()
            stop = min(end, start + RECORDS_PER_STEP_MAX)
            self._year_keys.clear()
            batch = _Batch(self._db, _Opened(log, self._keys), self._words, self._tag)
            last = None
            for last, sections in batch.opened.rows(_ROWS, (start, stop)):
                batch.add(last, sections)
            if last is None:
                raise LogUnavailable(f"record {start} is missing from the log")
            batch.write()
            self._db.execute(_MARK, (FORM, last.index + 1, last.at_us, last.leaf_hash))
            self._db.execute("COMMIT")
            self._damaged |= batch.opened.damaged
            if len(self._words) > WORDS_REMEMBERED_MAX:
                self._words.clear()
            if len(self._tags) > TAGS_REMEMBERED_MAX:
                self._tags.clear()
            return stop < end

    def _start(self, log: Connection, end: int) -> int:
        """Return where to go on: at the beginning if the index is of another history."""
        row = self._db.execute("SELECT form, next_index, leaf_hash FROM search_mark").fetchone()
        if row is None or row[0] != FORM or not 0 < row[1] <= end:
            return 0
        last = log.execute(
            "SELECT leaf_hash FROM audit_record WHERE leaf_index = ?", (row[1] - 1,)
        ).fetchone()
        return int(row[1]) if last is not None and last[0] == row[2] else 0

    def _empty(self) -> None:
        for name in NAMES:
            self._db.execute(f"DELETE FROM {name}")  # noqa: S608 - constants
        self._words.clear()

    def _tag(self, at_us: int, id_type: str, value: str) -> bytes | None:
        """Return the tag of the record's year; None where the year's key is gone."""
        year = year_of(at_us)
        if year not in self._year_keys:
            # A key is made in its own year only: one that was destroyed later is not made again.
            now = year == year_of(system_time_us())
            known = self._keys.subject_key(year) if now else self._keys.find_subject_key(year)
            self._year_keys[year] = known
            if known is None:
                self._tags.clear()
        key = self._year_keys[year]
        if key is None:
            return None
        tag = self._tags.get((year, id_type, value))
        if tag is None:
            tag = self._tags[year, id_type, value] = subject_tag(key, id_type, value)
        return tag


class _Opened:
    """Records of the log with their sections opened."""

    def __init__(self, log: Connection, keys: LogKeys) -> None:
        self._log = log
        self._opener = Opener(log, keys)
        self.core = self._opener.core
        self.damaged = self._opener.damaged

    def rows(
        self, statement: str, values: tuple[object, ...]
    ) -> Iterator[tuple[Found, dict[str, object]]]:
        for *columns, day, wrapped in self._log.execute(statement, values):
            record = found(tuple(columns))
            keys = Wrapped(day, wrapped) if wrapped is not None else None
            yield record, self._opener.open_with(record, keys)

    def exchange_of(self, index: int) -> bytes | None:
        row = self._log.execute(
            "SELECT exchange FROM audit_record WHERE leaf_index = ?", (index,)
        ).fetchone()
        return row[0] if row else None


class _Batch:
    """What one step adds to the index."""

    def __init__(
        self,
        db: Connection,
        opened: _Opened,
        words: set[int],
        tag: Callable[[int, str, str], bytes | None],
    ) -> None:
        self.opened = opened
        self._db = db
        self._known = words
        self._tag = tag
        self._firsts: dict[bytes, int] = {}
        self._postings: list[tuple[int, int]] = []
        self._tags: list[tuple[bytes, int, int]] = []
        self._words: list[tuple[str, str, int]] = []
        self._members: list[tuple[bytes, int]] = []
        self._rows: list[tuple[int, int]] = []
        self._figures: list[tuple[int, int, int, int, int]] = []
        self._forgotten: list[int] = []
        self._ended_days: list[int] = []
        self._hours: dict[int, tuple[int, int]] = {}

    def add(self, record: Found, sections: dict[str, object]) -> None:
        core = self.opened.core(record)
        first = self._first(record)
        if record.exchange is not None:
            self._members.append((record.exchange, record.index))
        if first == record.index:
            self._rows.append((first, record.at_us))
            hour = record.at_us // HOUR_US
            self._hours[hour] = (self._hours.get(hour, (first, first))[0], first)
        words = words_of(record.kind, core)
        for name, word in words if first == record.index else _without_kind(words):
            self._post(name, word, first)
        if record.kind in (Kind.OUTCOME, Kind.LATE_OUTCOME):
            self._figures.append((*figures_of(core), first))
        self._tags += self._tags_of(record, sections, first)
        if record.kind is Kind.ERASURE:
            self._forgotten += _erased(core)
            day = core.get("day")
            if isinstance(day, int):
                self._ended_days.append(day)

    def write(self) -> None:
        many = self._db.executemany
        many(_WORD, self._words)
        many(_ROW, self._rows)
        many(_MEMBER, self._members)
        many(_POST, sorted(self._postings))
        many(_TAG, sorted(self._tags))
        many(_FIGURES, self._figures)
        many(_HOUR, [(hour, *span) for hour, span in self._hours.items()])
        self._forget()

    def _forget(self) -> None:
        """Tag exchanges anew of which something was erased, by what can still be opened.

        Of a day whose key goes nothing can be opened any more: what began in it loses its tags.
        """
        for day in self._ended_days:
            times = Range(from_us=day * DAY_US, until_us=(day + 1) * DAY_US)
            values = (*bounds(self._db, times), times.from_us, times.until_us)
            self._db.execute(_FORGET_DAY, values)
        for index in self._forgotten:
            exchange = self.opened.exchange_of(index)
            indices = members(self._db, exchange) if exchange is not None else [index]
            self._db.execute(_FORGET, (indices[0],))
            for member in indices:
                for record, sections in self.opened.rows(_ROWS, (member, member + 1)):
                    tags = list(self._tags_of(record, sections, indices[0]))
                    self._db.executemany(_TAG, tags)

    def _tags_of(
        self, record: Found, sections: dict[str, object], first: int
    ) -> Iterator[tuple[bytes, int, int]]:
        for what, id_type, value in named_in(sections):
            tag = self._tag(record.at_us, id_type, value)
            if tag is not None:
                yield tag, first, what.value

    def _first(self, record: Found) -> int:
        """Return the index of the record that the exchange of `record` begins with."""
        exchange = record.exchange
        if exchange is None:
            return record.index
        if exchange not in self._firsts:
            known = members(self._db, exchange) if record.kind in _CONTINUES else []
            self._firsts[exchange] = known[0] if known else record.index
        return self._firsts[exchange]

    def _post(self, name: str, word: str, first: int) -> None:
        term = term_of(name, word)
        self._postings.append((term, first))
        if term not in self._known and name not in UNCOUNTED:
            self._known.add(term)
            self._words.append((name, word, term))


def _without_kind(words: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Leave out what kind the later records of an exchange are: they are found with its first."""
    return ((name, word) for name, word in words if name != "kind")


def _erased(core: Mapping[str, object]) -> Iterator[int]:
    """Yield the records of this shard that a `log.erasure` names: as runs, by sections."""
    groups = core.get("erased") if "shard" not in core else None
    for group in groups if isinstance(groups, list) else ():
        for first, last in group["indices"]:
            yield from range(first, last + 1)


def catch_up(log: Place, keys: LogKeys) -> None:
    """Bring the index up with the log as it is now, or as far as that goes in `CATCH_UP_S`.

    Raises LogUnavailable where log or index cannot be read or written.
    """
    with snapshot(log) as db:
        end: int = db.execute("SELECT next_index FROM audit_head").fetchone()[0]
    deadline_s = monotonic_s() + CATCH_UP_S
    follower = Follower(log, keys=keys)
    try:
        while monotonic_s() < deadline_s:
            if not follower.step():
                with index_snapshot(log) as index:
                    if watermark(index).next_index >= end:
                        break
                time.sleep(CATCH_UP_PAUSE_S)  # another process is at it
    finally:
        follower.close()
