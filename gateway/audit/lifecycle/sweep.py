"""Closing the exchanges of processes that died, and forgetting what has expired (invariant I8)."""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from typing import Final

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.day_people import find_ended, forget
from gateway.audit.entry import Kind, Record
from gateway.audit.log import AuditLog
from gateway.audit.place import Place, home_of
from gateway.audit.reading.reader import find_shards, snapshot
from gateway.audit.rounds import Report, keep_at
from gateway.audit.sqlite import SEALED_STATE, failure_of
from gateway.audit.store import AlreadyClosed, LogUnavailable
from gateway.audit.upkeep import STORE_ERRORS, Connection, Upkeep, open_upkeep
from gateway.clock import monotonic_s, new_uuid7, system_time_us

INTERVAL_S: Final = 2.0
# Longer than any exchange may take, streams included: one still open then has lost its end.
EXCHANGE_AGE_MAX_S: Final = 3_300
ORPHANS_PER_SWEEP_MAX: Final = 1_000
CLAIMS_PER_SWEEP_MAX: Final = 5_000
PEOPLE_PER_SWEEP_MAX: Final = 5_000
ENDED_INTERVAL_S: Final = 3_600.0
"""How often ended shards are looked at: what they have of past days goes, and nothing comes."""

_SEALED: Final = "SELECT 1 FROM audit_head WHERE state = ?"
_FORGET_CLAIM: Final = "DELETE FROM audit_claim WHERE key = ? AND expires <= ?"


class Sweeper:
    """Closes what dead processes left open, forgets expired claims and the people of past days."""

    def __init__(self, log: AuditLog) -> None:
        """Sweep the log that `log` appends to."""
        self._log = log
        self._upkeep = open_upkeep(log.path)
        self._next_claim = b""
        self._ended_at_s = -ENDED_INTERVAL_S

    @property
    def _db(self) -> Connection:
        return self._upkeep.db

    async def run(self, stop: asyncio.Event, report: Report) -> None:
        """Sweep every two seconds until `stop` is set; see `keep_at`."""

        async def work() -> None:
            try:
                await self.sweep()
            except STORE_ERRORS as broken:
                if isinstance(broken, sqlite.Error):
                    failure_of(broken, self._log.directory)  # an I/O error leaves its mark
                failed = f"orphaned exchanges cannot be looked for: {broken}"
                raise LogUnavailable(failed) from broken

        await keep_at(work, stop, report, interval_s=INTERVAL_S)

    async def sweep(self) -> int:
        """Close orphaned exchanges as `exchange.indeterminate`; return how many were closed."""
        orphans = await asyncio.to_thread(self._find_orphans)
        closed = 0
        for exchange, intent_index, reason in orphans:
            try:
                await self._log.append(_indeterminate(exchange, intent_index, reason))
                closed += 1
            except AlreadyClosed:  # its worker was quicker: the open row is the arbiter
                continue
        await asyncio.to_thread(self._forget_claims)
        await asyncio.to_thread(self._forget_people, self._upkeep)
        if monotonic_s() - self._ended_at_s >= ENDED_INTERVAL_S:
            await asyncio.to_thread(self._forget_in_ended)
            self._ended_at_s = monotonic_s()
        return closed

    def close(self) -> None:
        """Give up the connection."""
        self._upkeep.close()

    def _find_orphans(self) -> list[tuple[bytes, int, str]]:
        rows = self._db.execute(
            "SELECT exchange, intent_index, instance, started FROM audit_open"
        ).fetchall()
        needed = {row[2] for row in rows}
        alive = self._upkeep.alive(needed)
        self._upkeep.tidy(needed)
        oldest_us = system_time_us() - EXCHANGE_AGE_MAX_S * 1_000_000
        orphans = []
        for exchange, intent_index, instance, started_us in rows:
            if instance not in alive:
                orphans.append((exchange, intent_index, "INSTANCE_DIED"))
            elif started_us < oldest_us:
                orphans.append((exchange, intent_index, "OVERDUE"))
        return orphans[:ORPHANS_PER_SWEEP_MAX]

    def _forget_claims(self) -> None:
        """Delete some expired claims; they are looked for without holding up the writers."""
        rows = self._db.execute(
            "SELECT key, expires FROM audit_claim WHERE key > ? ORDER BY key LIMIT ?",
            (self._next_claim, CLAIMS_PER_SWEEP_MAX),
        ).fetchall()
        self._next_claim = rows[-1][0] if len(rows) == CLAIMS_PER_SWEEP_MAX else b""
        now_us = system_time_us()
        expired = [(row[0], now_us) for row in rows if row[1] <= now_us]
        if not expired:
            return
        with self._upkeep.writing() as db:
            db.executemany(_FORGET_CLAIM, expired)

    def _forget_people(self, upkeep: Upkeep) -> bool:
        """Delete some tags of people who were counted for a day that is over; tell if any were."""
        ended = find_ended(upkeep.db, system_time_us(), PEOPLE_PER_SWEEP_MAX)
        if ended:
            with upkeep.writing() as db:
                forget(db, ended)
        return bool(ended)

    def _forget_in_ended(self) -> None:
        """Do so in shards that have ended: what they counted goes on in the present one.

        One that is frozen, cannot be read, or is of a version that counted nobody stays as it is;
        one that has nobody of a past day is not opened for writing, so that nothing an old file
        does can cast doubt on the present one.
        """
        for shard in find_shards(home_of(self._log.path)):
            if shard == self._log.path:
                continue
            with suppress(LogUnavailable, *STORE_ERRORS):
                if not _has_past_people(shard):
                    continue
                with closing(open_upkeep(shard)) as upkeep:
                    while self._forget_people(upkeep):
                        pass


def _has_past_people(ended: Place) -> bool:
    with snapshot(ended) as db:
        sealed = db.execute(_SEALED, (SEALED_STATE,)).fetchone() is not None
        return sealed and bool(find_ended(db, system_time_us(), 1))


def _indeterminate(exchange: bytes, intent_index: int, reason: str) -> Record:
    return Record(
        record_id=new_uuid7(),
        kind=Kind.INDETERMINATE,
        exchange=exchange,
        at_us=system_time_us(),
        sections={"core": {"intent": intent_index, "reason": reason}},
    )
