"""The follower: reads the log behind its writers, and keeps the search index up with it."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.disk.locks import FileLock
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.people import subject_tag, year_of
from gateway.audit.place import Place, PostgresFailed
from gateway.audit.reading.reader import snapshot
from gateway.audit.rounds import Report, keep_at
from gateway.audit.search.index import (
    FORM,
    NAMES,
    Mark,
    index_path,
    index_snapshot,
    mark_of,
    open_index,
    watermark,
)
from gateway.audit.search.indexing import Batch, Opened, Remembered
from gateway.audit.store import LogUnavailable
from gateway.clock import monotonic_s, system_time_us

INTERVAL_S: Final = 1.0
RECORDS_PER_STEP_MAX: Final = 2_000
CATCH_UP_S: Final = 2.0
"""How long a search waits for the index to come up with the log, before it shows what there is."""
CATCH_UP_PAUSE_S: Final = 0.01
LOCK_NAME: Final = "index.lock"

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
        self._remembered = Remembered()
        self._tags: dict[tuple[int, str, str], bytes | None] = {}
        self._year_keys: dict[int, bytes | None] = {}
        self._damaged: set[int] = set()
        self._left: Mark | None = None
        """Where our last step left the index, None where it was not kept: SQLite may roll one back
        by itself. What is remembered holds of an index that nobody has changed since."""

    async def run(self, stop: asyncio.Event, report: Report) -> None:
        """Step about once a second until `stop` is set; see `keep_at`.

        `report` is told of damaged records, too.
        """

        async def work() -> LogUnavailable | None:
            while await asyncio.to_thread(self.step) and not stop.is_set():
                pass
            return self._damage()

        await keep_at(work, stop, report, interval_s=INTERVAL_S)

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
            # Names in clear, and keys that may be destroyed, are known during a step only.
            self._tags.clear()
            self._year_keys.clear()
            if self._db.in_transaction:
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
            mark = mark_of(self._db, log)
            start = 0 if mark is None else mark.next_index
            if start == end:
                return False
            self._db.execute("BEGIN IMMEDIATE")
            if mark is None:  # none yet, or of another history
                self._empty()
            elif mark != self._left:
                self._remembered.forget()
            self._left = None
            stop = min(end, start + RECORDS_PER_STEP_MAX)
            opened = Opened(log, self._keys)
            batch = Batch(self._db, opened, self._remembered, self._tag)
            last = None
            for last, core, bodies in opened.rows(start, stop):
                batch.add(last, core, bodies)
            if last is None:
                raise LogUnavailable(f"record {start} is missing from the log")
            batch.write()
            self._db.execute(_MARK, (FORM, last.index + 1, last.at_us, last.leaf_hash))
            self._db.execute("COMMIT")
            self._left = Mark(last.index + 1, last.leaf_hash)
            self._damaged |= opened.damaged
            self._remembered.trim()
            return stop < end

    def _empty(self) -> None:
        for name in NAMES:
            self._db.execute(f"DELETE FROM {name}")  # noqa: S608 - constants
        self._remembered.forget()

    def _tag(self, year: int, id_type: str, value: str) -> bytes | None:
        """Return the tag of a year; None where the year's key is gone."""
        if year not in self._year_keys:
            # A key is made in its own year only: one that was destroyed later is not made again.
            now = year == year_of(system_time_us())
            known = self._keys.subject_key(year) if now else self._keys.find_subject_key(year)
            self._year_keys[year] = known
        key = self._year_keys[year]
        if key is None:
            return None
        tag = self._tags.get((year, id_type, value))
        if tag is None:
            tag = self._tags[year, id_type, value] = subject_tag(key, id_type, value)
        return tag


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


def index_anew(ended: Place, keys: LogKeys) -> None:
    """Empty an ended shard's search index, which nobody keeps up: it may name who was erased.

    Whoever searches next has it made from what is left. Raises LogUnavailable.
    """
    follower = Follower(ended, keys=keys)
    try:
        follower.forget_all()
    except sqlite.Error as broken:
        raise LogUnavailable(f"the search index cannot be emptied: {broken}") from broken
    finally:
        follower.close()
