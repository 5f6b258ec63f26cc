"""Minding the log: its disk and the machine's clock, and records of what befalls them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from gateway.audit.incident import Incident, incident_record
from gateway.audit.lifecycle.clock_watch import ClockWatch
from gateway.audit.log import AuditLog
from gateway.audit.store import LogUnavailable

INTERVAL_S: Final = 1.0


class Minder:
    """One process of a host minds the log for all of them."""

    def __init__(self, log: AuditLog, clock: ClockWatch | None = None) -> None:
        """Mind the log that `log` appends to; `clock` is another one in tests only."""
        self._log = log
        self._clock = clock or ClockWatch()
        self._was_full = False

    async def run(self) -> None:
        """Look about once a second, until cancelled; then the reserve is given up."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(INTERVAL_S)
        finally:
            self._log.room.drop_reserve()

    async def look(self) -> None:
        """Keep the reserve, and record that the disk ran full or the clock was set."""
        room = self._log.room
        room.look()
        await asyncio.to_thread(room.keep_reserve)
        if room.refuses != self._was_full:
            self._was_full = room.refuses
            what = Incident.DISK_FULL if room.refuses else Incident.DISK_FREE
            await self._record(what, free_bytes=room.free_bytes)
        stepped_us = self._clock.step_us()
        if stepped_us:
            await self._record(Incident.CLOCK_STEP, step_us=stepped_us)

    async def _record(self, what: Incident, **facts: int) -> None:
        """Record an incident, where the log takes records at all."""
        with suppress(LogUnavailable):
            await self._log.append(incident_record(what, **facts))
