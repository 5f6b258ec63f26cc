"""What refused unauthenticated traffic leaves behind: records up to a rate, counts above it.

Strangers must leave a trace and must not be able to grow the log (docs/decisions/0005). Up to
the named rates each refusal is a record of its own; above them refusals are counted per source
and reason, and one record a minute carries the counts.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from gateway.audit.entry import EntryInvalid, Kind, Record
from gateway.audit.log import AuditLog
from gateway.audit.store import LogUnavailable
from gateway.clock import monotonic_s, new_uuid7, system_time_us
from gateway.exchange.pace import RefusalPace
from gateway.identity.caller import Unauthenticated

RECORDS_PER_SOURCE_PER_MINUTE: Final = 30
RECORDS_PER_MINUTE: Final = 600
SOURCES_COUNTED_MAX: Final = 1_000
"""Sources told apart in one minute's counts; those beyond share the name ``other``."""
COUNTS_PER_RECORD_MAX: Final = 400
"""Counts in one record, so that a section holds them whatever the addresses are."""
WINDOW_S: Final = 60.0


class RefusedTraffic:
    """Keeps the account of refused unauthenticated requests of one worker.

    Records are written behind the answer: a 401 discloses nothing, so it does not wait for the
    log. While the log takes no records they go to the counts, and nothing is lost silently.
    """

    def __init__(self, log: AuditLog, pace: RefusalPace | None = None) -> None:
        """Write to `log`; nothing runs until the first refusal. `pace` is for tests."""
        self.pace: Final = pace or RefusalPace()
        self._log = log
        self._window_began_s = monotonic_s()
        self._recorded: Counter[str] = Counter()
        self._recorded_in_all = 0
        self._counted: Counter[tuple[str, str]] = Counter()
        self._sources: set[str] = set()
        self._writes: set[asyncio.Task[None]] = set()

    def admit(self, source: str, reason: str) -> bool:
        """Tell whether a refusal may leave a record of its own; if not, it is counted."""
        self.tick()
        if (
            self._recorded_in_all < RECORDS_PER_MINUTE
            and self._recorded[source] < RECORDS_PER_SOURCE_PER_MINUTE
        ):
            self._recorded[source] += 1
            self._recorded_in_all += 1
            return True
        self.count(source, reason)
        return False

    def count(self, source: str, reason: str) -> None:
        """Count a refusal that leaves no record of its own."""
        self._count((source, reason), 1)

    def note(self, refusal: Unauthenticated, *, source: str, exchange_id: bytes) -> None:
        """Take down one refusal from `source`, as a record or in the counts."""
        if not self.admit(source, refusal.reason):
            return
        core = {
            "reason": refusal.reason.value,
            "problem": refusal.problem,
            "status": refusal.status,
            "issuer": refusal.unverified_issuer,
            "key_id": refusal.unverified_key_id,
        }
        record = _record(
            exchange_id,
            core={name: value for name, value in core.items() if value is not None},
            net={"source": source},
        )
        self._write(record, Counter({(source, refusal.reason.value): 1}))

    def tick(self) -> None:
        """Begin a new minute when the last one is over; its counts become a record."""
        now_s = monotonic_s()
        if now_s - self._window_began_s < WINDOW_S:
            return
        self._window_began_s = now_s
        self._recorded.clear()
        self._recorded_in_all = 0
        self._flush_counts()

    @property
    def counted(self) -> int:
        """Return how many refusals wait to be recorded as counts."""
        return self._counted.total()

    async def flush(self) -> None:
        """Wait for every record under way."""
        while self._writes:
            await asyncio.gather(*self._writes)

    async def close(self) -> None:
        """Write what is still counted and wait for every record under way."""
        self._flush_counts()
        await self.flush()

    def _count(self, key: tuple[str, str], count: int) -> None:
        source, reason = key
        if source not in self._sources:
            if len(self._sources) >= SOURCES_COUNTED_MAX:
                source = "other"
            self._sources.add(source)
        self._counted[source, reason] += count

    def _flush_counts(self) -> None:
        if not self._counted:
            return
        counted, self._counted = sorted(self._counted.items()), Counter()
        self._sources.clear()
        for first in range(0, len(counted), COUNTS_PER_RECORD_MAX):
            part = Counter(dict(counted[first : first + COUNTS_PER_RECORD_MAX]))
            self._write(_counts_record(part), part)

    def _write(self, record: Record, counted: Counter[tuple[str, str]]) -> None:
        task = asyncio.get_running_loop().create_task(self._append(record, counted))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _append(self, record: Record, counted: Counter[tuple[str, str]]) -> None:
        try:
            await self._log.append(record)
        except (LogUnavailable, EntryInvalid):
            for key, count in counted.items():
                self._count(key, count)


def _counts_record(counted: Counter[tuple[str, str]]) -> Record:
    return _record(
        None,
        core={"count": counted.total(), "sources": len({source for source, _ in counted})},
        net={
            "counts": [
                {"source": source, "reason": reason, "count": count}
                for (source, reason), count in counted.items()
            ]
        },
    )


def _record(
    exchange_id: bytes | None, *, core: dict[str, object], net: dict[str, object]
) -> Record:
    return Record(
        record_id=new_uuid7(),
        kind=Kind.TRAFFIC_REFUSED,
        exchange=exchange_id,
        at_us=system_time_us(),
        sections={"core": core, "net": net},
    )
