"""Upkeep of a log in PostgreSQL: the leader of a step, barriers, partitions, what is forgotten."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

from gateway.audit.place import PostgresFailed, PostgresLog
from gateway.audit.postgresql.presence import Presence
from gateway.audit.postgresql.session import PostgresSession, open_session
from gateway.audit.store import LogUnavailable
from gateway.clock import system_time_us

RETRY_WINDOW_MS: Final = 24 * 3600 * 1000
"""How long a record's identifier is kept apart, so that a retry finds its place."""
FORGOTTEN_PER_SWEEP_MAX: Final = 20_000

# The lock belongs to the transaction of one step: a leader that hangs loses it with the
# transaction, after `IDLE_IN_TRANSACTION_MS_MAX`. The table's number tells shards apart.
_LEAD: Final = "SELECT pg_try_advisory_xact_lock(1129270852, 'audit_tree'::regclass::oid::int)"
_BARRIER: Final = """
INSERT INTO audit_barrier VALUES ('integrator', 1)
ON CONFLICT (instance) DO UPDATE SET n = audit_barrier.n + 1"""
_SEALED_HERE: Final = "INSERT INTO audit_host VALUES (?) ON CONFLICT DO NOTHING"
_FORGET_RECENT: Final = """
DELETE FROM audit_recent WHERE record_id IN
    (SELECT record_id FROM audit_recent WHERE record_id < ? ORDER BY record_id LIMIT ?)"""
_FORGET_INSTANCES: Final = """
DELETE FROM audit_instance WHERE name = ANY (string_to_array(?, ','))"""
_FORGET_BARRIERS: Final = """
DELETE FROM audit_barrier WHERE instance <> 'integrator'
AND instance NOT IN (SELECT name FROM audit_instance)"""


class PostgresUpkeep:
    """Upkeep through one session, which is opened again where it was lost."""

    def __init__(self, place: PostgresLog) -> None:
        """Connect to a provisioned shard; raises LogUnavailable."""
        self._place = place
        self._presence = Presence()
        self._begun = False
        try:
            self._session = open_session(place)
        except PostgresFailed as failure:
            raise LogUnavailable(f"the audit log cannot be opened: {failure}") from failure

    @property
    def db(self) -> PostgresSession:
        """Return the session; see Upkeep. Half a transaction is never gone on with in another."""
        if not self._begun:
            self._reconnect()
        return self._session

    def lead(self) -> bool:
        """Take the lead for one step, which is one transaction; see Upkeep."""
        self._reconnect()
        self._session.execute("BEGIN")
        leads: bool = self._session.execute(_LEAD).fetchone()[0]
        if not leads:
            self._session.execute("ROLLBACK")
        self._begun = leads
        return leads

    def rest(self) -> None:
        """End the step's transaction, and the lead with it; see Upkeep."""
        self._begun = False
        if not self._session.broken and self._session.in_transaction:
            self._session.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[PostgresSession]:
        """Open a transaction, or go on with the leader's; see Upkeep."""
        self._reconnect()
        db = self._session
        if not db.in_transaction:
            db.execute("BEGIN")
        self._begun, db.in_doubt = True, False
        try:
            yield db
            db.execute("COMMIT")
        finally:
            self.rest()
        if db.in_doubt:
            raise LogUnavailable("a commit's wait for its standby was cut short")

    def confirm(self) -> None:
        """Write something and wait for it: WAL is in order; see Upkeep."""
        with self.writing() as db:
            db.execute(_BARRIER)

    def alive(self, instances: Collection[str]) -> Collection[str]:
        """Look who has counted on; see Upkeep."""
        return set(instances) & set(self._presence.alive(self.db))

    def tidy(self, needed: Collection[str]) -> None:
        """Forget dead instances, and the identifiers of records nobody will retry; see Upkeep."""
        known = {row[0] for row in self.db.execute("SELECT name FROM audit_instance").fetchall()}
        dead = known - set(self._presence.alive(self.db)) - set(needed)
        self.db.execute(_FORGET_INSTANCES, (",".join(dead),))
        self.db.execute(_FORGET_BARRIERS)
        # Identifiers begin with their time (UUIDv7), so the oldest are the first.
        oldest = (system_time_us() // 1_000 - RETRY_WINDOW_MS).to_bytes(6, "big")
        self.db.execute(_FORGET_RECENT, (oldest, FORGOTTEN_PER_SWEEP_MAX))

    def note_sealed(self) -> None:
        """Keep that this host has sealed a head; see Upkeep."""
        with self.writing() as db:
            db.execute(_SEALED_HERE, (self._place.host,))

    def extend(self) -> None:
        """Make the partitions that are needed soon; see Upkeep."""
        self.db.execute("SELECT audit_extend()")

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    def _reconnect(self) -> None:
        if self._session.broken:
            self._session = open_session(self._place)
