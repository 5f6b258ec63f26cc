"""Closing the exchanges of processes that died, and forgetting what has expired (invariant I8)."""

from __future__ import annotations

import asyncio
from typing import Final

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.day_people import find_ended, forget
from gateway.audit.entry import Kind, Record
from gateway.audit.log import AuditLog
from gateway.audit.rounds import Report, keep_at
from gateway.audit.sqlite import failure_of
from gateway.audit.store import AlreadyClosed, LogUnavailable
from gateway.audit.upkeep import STORE_ERRORS, Connection, open_upkeep
from gateway.clock import new_uuid7, system_time_us

INTERVAL_S: Final = 2.0
# Longer than any exchange may take, streams included: one still open then has lost its end.
EXCHANGE_AGE_MAX_S: Final = 3_300
ORPHANS_PER_SWEEP_MAX: Final = 1_000
CLAIMS_PER_SWEEP_MAX: Final = 5_000
PEOPLE_PER_SWEEP_MAX: Final = 5_000

_FORGET_CLAIM: Final = "DELETE FROM audit_claim WHERE key = ? AND expires <= ?"


class Sweeper:
    """Closes what dead processes left open, forgets expired claims and the people of past days."""

    def __init__(self, log: AuditLog) -> None:
        """Sweep the log that `log` appends to."""
        self._log = log
        self._upkeep = open_upkeep(log.path)
        self._next_claim = b""

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
        await asyncio.to_thread(self._forget_people)
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

    def _forget_people(self) -> None:
        """Delete some tags of people who were counted for a day that is over."""
        ended = find_ended(self._db, system_time_us(), PEOPLE_PER_SWEEP_MAX)
        if not ended:
            return
        with self._upkeep.writing() as db:
            forget(db, ended)


def _indeterminate(exchange: bytes, intent_index: int, reason: str) -> Record:
    return Record(
        record_id=new_uuid7(),
        kind=Kind.INDETERMINATE,
        exchange=exchange,
        at_us=system_time_us(),
        sections={"core": {"intent": intent_index, "reason": reason}},
    )
