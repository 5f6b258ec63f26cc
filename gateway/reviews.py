"""What follows where urgent access is not reviewed: it is suspended until somebody does.

An agreement says so (`access.break_glass.unreviewed_effect`). The control process looks for uses
whose review is overdue, and stops the user's urgent access under that agreement; the review, once
it is noted, ends the stop. What somebody stopped by hand is left to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from threading import Event
from typing import Final

from gateway.audit.entry import Kind, Record
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.log import AuditLog
from gateway.audit.place import LogHome
from gateway.audit.search.due import Due, State, notes_about, reviews
from gateway.audit.search.notes import NoteKind
from gateway.audit.store import LogUnavailable
from gateway.clock import new_uuid7, system_time_us
from gateway.registry.documents import Kind as DocumentKind
from gateway.registry.store import Registry, RegistryUnavailable, StopKind

INTERVAL_S: Final = 60.0
SUSPEND_USER: Final = "suspend_break_glass_for_user"
"""The one effect that is carried out; any other word is kept on record."""
BY: Final = "unreviewed_effect"
"""Who made such a stop, as the registry and the record say it."""

_REASON: Final = "The review of this urgent access is overdue: "


class ReviewWatch:
    """Suspends urgent access that was not reviewed in time, and resumes it with the review."""

    def __init__(self, home: LogHome, log: AuditLog, keys: LogKeys, registry: Registry) -> None:
        """Watch the uses in the shards of `home`, the newest of which is `log`.

        The stops are in `registry`, which every worker reads.
        """
        self._home = home
        self._log = log
        self._keys = keys
        self._registry = registry

    async def run(self, report: Callable[[int, LogUnavailable | None], None]) -> None:
        """Look about once a minute, until cancelled.

        `report` is told each time how many users are suspended, and whether it failed.
        """
        while True:
            try:
                report(await self.look(system_time_us()), None)
            except LogUnavailable as failure:
                report(0, failure)
            except RegistryUnavailable as failure:
                report(0, LogUnavailable(str(failure)))
            except Exception as failure:  # noqa: BLE001 - it must not end unnoticed
                report(0, LogUnavailable(type(failure).__name__))
            await asyncio.sleep(INTERVAL_S)

    async def look(self, now_us: int) -> int:
        """Stop and resume what is due at `now_us` (system time); return how many are stopped.

        Raises:
            LogUnavailable: the log cannot be read, or a change not be recorded and so not made.
            RegistryUnavailable: the registry's database does not answer.
        """
        loop = asyncio.get_running_loop()
        return await asyncio.to_thread(self._look, now_us, loop)

    def _look(self, now_us: int, loop: asyncio.AbstractEventLoop) -> int:
        suspended = {
            one.key: one.reason.removeprefix(_REASON)
            for one in self._registry.stopped()
            if one.kind is StopKind.GRANT and one.by == BY
        }
        agreements = suspending(self._registry)
        if not agreements and not suspended:
            return 0
        missed = Event()
        overdue, reviewed = self._uses(agreements, now_us, missed.set)
        for grant, use in overdue.items():
            if grant not in suspended:
                reason = f"{_REASON}{use.exchange_id}"
                record = self._recording(loop, "stop", grant, reason, use.agreement)
                if self._registry.stop(StopKind.GRANT, grant, reason=reason, by=BY, record=record):
                    suspended[grant] = use.exchange_id
        for grant, exchange_id in list(suspended.items()):
            # Only a review that was found ends a stop: an index that is made anew lacks uses first.
            if grant not in overdue and exchange_id in reviewed:
                reason = f"The review was noted: {exchange_id}"
                record = self._recording(loop, "resume", grant, reason, None)
                self._registry.resume(StopKind.GRANT, grant, record=record)
                del suspended[grant]
        if missed.is_set():  # what was found is dealt with; that there is more must be seen
            raise LogUnavailable("there are more uses of urgent access than one look takes")
        return len(suspended)

    def _uses(
        self, agreements: frozenset[str], now_us: int, shortened: Callable[[], None]
    ) -> tuple[Mapping[str, Due], frozenset[str]]:
        """Return by grant the latest use whose review is overdue, and all that was reviewed.

        `shortened` is called where there may be more.
        """
        reviewed = frozenset(notes_about(self._home, NoteKind.REVIEW, self._keys, shortened))
        uses = reviews(self._home, keys=self._keys, now_us=now_us, shortened=shortened)
        overdue = {
            use.grant: use
            for use in reversed(uses)
            if use.state is State.OVERDUE and use.grant is not None and use.agreement in agreements
        }
        return overdue, reviewed

    def _recording(
        self,
        loop: asyncio.AbstractEventLoop,
        verb: str,
        grant: str,
        reason: str,
        agreement: str | None,
    ) -> Callable[[], None]:
        """Return what makes the record of a stop, or of its end, durable from this thread."""
        core: dict[str, object] = {"verb": verb, "what": "grant", "grant": grant, "by": BY}
        if agreement is not None:
            core["agreement"] = agreement
        record = Record(
            record_id=new_uuid7(),
            kind=Kind.CHANGE,
            exchange=None,
            at_us=system_time_us(),
            sections={"core": core, "payload": {"reason": reason}},
        )

        def append() -> None:
            asyncio.run_coroutine_threadsafe(self._log.append(record), loop).result()

        return append


def suspending(registry: Registry) -> frozenset[str]:
    """Return the agreements whose newest text suspends a user whose urgent access nobody reviewed.

    Raises RegistryUnavailable.
    """
    states = registry.newest(DocumentKind.AGREEMENT)
    return frozenset(key for key, state in states.items() if _suspends(state.document))


def _suspends(document: Mapping[str, object]) -> bool:
    access = document.get("access")
    urgent = access.get("break_glass") if isinstance(access, Mapping) else None
    return isinstance(urgent, Mapping) and urgent.get("unreviewed_effect") == SUSPEND_USER
