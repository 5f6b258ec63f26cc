"""Which processes have a log in PostgreSQL open: each counts up in a row of its own."""

from __future__ import annotations

import threading
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from gateway.audit.place import PostgresFailed, PostgresLog
from gateway.audit.postgresql.session import PostgresSession, open_session
from gateway.clock import monotonic_s, new_uuid7

BEAT_S: Final = 2.0
"""How often a process counts up."""
SILENCE_S_MAX: Final = 15.0
"""A process whose count has stood still for so long, while it was watched, is dead."""
WATCH_GAP_S_MAX: Final = 10.0
"""Who has not looked for so long has not watched: the database or the watcher may have hung."""
_END_S_MAX: Final = 2.0

# What is lost of these in a crash is counted again; nobody shall wait for a standby because of it.
_UNHURRIED: Final = "SET synchronous_commit = off"
_BEAT: Final = """
INSERT INTO audit_instance VALUES (?, 1)
ON CONFLICT (name) DO UPDATE SET beat = audit_instance.beat + 1"""
_LEAVE: Final = "DELETE FROM audit_instance WHERE name = ?"
_ALL: Final = "SELECT name, beat FROM audit_instance"


class PostgresInstance:
    """This process, known to be alive by a count that a thread of its own keeps raising.

    `flock` says at once that a process is dead, but only to its own host; gateways on one
    PostgreSQL run on several.
    """

    def __init__(self, place: PostgresLog, *, label: str) -> None:
        """Begin to count under a new name, which is never used again; raises PostgresFailed."""
        self.name = f"{label}-{new_uuid7().hex()}"
        self._place = place
        self._session: PostgresSession | None = None
        self._beat()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep_on, name="audit-presence", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop counting; what this instance left open may now be closed by others."""
        self._end.set()
        self._thread.join(_END_S_MAX)

    def _keep_on(self) -> None:
        while not self._end.wait(BEAT_S):
            with suppress(PostgresFailed):
                self._beat()
        with suppress(PostgresFailed):
            self._connected().execute(_LEAVE, (self.name,))
        self._drop()

    def _beat(self) -> None:
        try:
            self._connected().execute(_BEAT, (self.name,))
        except PostgresFailed:
            self._drop()
            raise

    def _connected(self) -> PostgresSession:
        if self._session is None:
            self._session = open_session(self._place)
            self._session.execute(_UNHURRIED)
        return self._session

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


class Presence:
    """Watches the counts of all instances, by its own monotonic clock and no other."""

    def __init__(self) -> None:
        """Watch from now on."""
        self._seen: dict[str, tuple[int, float]] = {}
        self._looked_s = monotonic_s()

    def alive(self, session: PostgresSession) -> Collection[str]:
        """Return the instances that may be alive; raises PostgresFailed."""
        now_s = monotonic_s()
        if now_s - self._looked_s > WATCH_GAP_S_MAX:
            self._seen.clear()
        seen: dict[str, tuple[int, float]] = {}
        for name, beat in session.execute(_ALL).fetchall():
            known = self._seen.get(name)
            seen[name] = known if known is not None and known[0] == beat else (beat, now_s)
        self._seen, self._looked_s = seen, now_s
        return {name for name, (_, since_s) in seen.items() if now_s - since_s < SILENCE_S_MAX}
