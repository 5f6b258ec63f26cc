"""Ending a shard in PostgreSQL and beginning the next: what differs from files (see `shards`).

The next shard is made in one transaction, with all that it takes over from the one before, so that
it is there whole or not at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from gateway.audit.lifecycle.carry import NEWER_TABLES, STATE_TABLES
from gateway.audit.lifecycle.file_shards import is_open_here
from gateway.audit.lifecycle.start import gone, hold_to_heads
from gateway.audit.merkle import EMPTY_ROOT
from gateway.audit.note import Verifier
from gateway.audit.place import PostgresFailed, PostgresLog, home_of, place_of
from gateway.audit.postgresql.presence import BEAT_S, SILENCE_S_MAX
from gateway.audit.postgresql.schema import (
    begin_making,
    create_shard,
    hand_on_rights,
    is_provisioned,
)
from gateway.audit.postgresql.session import PostgresSession, open_session, quoted
from gateway.audit.seal import Sealed
from gateway.audit.store import LogFrozen, LogUnavailable
from gateway.clock import monotonic_s

# Of PostgreSQL's codes those that say that what is stored is damaged, or is gone (appendix A of its
# manual): what a connection, a right or a disk refuses now may be there at the next try.
_SPOILT: Final = frozenset({"XX001", "XX002", "42P01", "42703", "58P01"})

_TABLE: Final = "SELECT 1 FROM pg_tables WHERE schemaname = ? AND tablename = ?"
_BEATS: Final = "SELECT name, beat FROM audit_instance"
_FORGET: Final = "DELETE FROM audit_instance WHERE name = ?"
_COLUMNS: Final = """
SELECT attname FROM pg_attribute
WHERE attrelid = CAST(? AS regclass) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
_MAY_CREATE: Final = "SELECT has_database_privilege(current_database(), 'CREATE')"


class PostgresDriver:
    """A shard in a schema; see `shards.Driver`."""

    def __init__(self, place: PostgresLog) -> None:
        """End the shard in this schema."""
        self._place = place

    def is_in_use(self) -> bool:
        """Watch the counts of who has it open, and forget who died; see Driver.

        Takes `SILENCE_S_MAX` where somebody died lately: a count must be seen to stand still.
        Raises LogUnavailable where the server does not answer, or this role may make no schema.
        """
        if is_open_here(self._place.directory):  # such as a gateway that only says it is frozen
            return True
        with _session(self._place) as session:
            if not session.execute(_MAY_CREATE).fetchone()[0]:
                raise LogUnavailable("the role of the audit log's URL may not make the next schema")
            if session.execute(_TABLE, (self._place.schema, "audit_instance")).fetchone() is None:
                return False
            first = beats = dict(session.execute(_BEATS).fetchall())
            deadline_s = monotonic_s() + SILENCE_S_MAX
            while beats and monotonic_s() < deadline_s:
                time.sleep(BEAT_S / 2)
                beats = dict(session.execute(_BEATS).fetchall())
                if any(first.get(name) != beat for name, beat in beats.items()):
                    return True
            session.executemany(_FORGET, [(name,) for name in beats])
        return False

    def contradiction(self, sealed_head: str | None, verifier: Verifier) -> str | None:
        """Hold the schema to its heads; see Driver."""
        if not is_provisioned(self._place):
            return gone(sealed_head)
        try:
            session = open_session(self._place, reads=True)
            try:
                session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                hold_to_heads(session, self._place, sealed_head, verifier)
            finally:
                session.close()
        except LogFrozen as frozen:
            return str(frozen)
        except PostgresFailed as broken:
            said = f"the audit log cannot be read: {broken}"
            if broken.sqlstate not in _SPOILT:
                raise LogUnavailable(said) from broken
            return said
        return None

    def begin(
        self, origin: str, first: Callable[[Sequence[str]], Sealed], *, frozen: bool
    ) -> Sequence[str]:
        """Make the next schema and all that is in it in one transaction; see Driver.

        Who has a gateway's rights on the old shard has them on the new.
        """
        place = place_of(home_of(self._place), origin.rpartition("/")[2])
        assert isinstance(place, PostgresLog)  # noqa: S101 - of the same home
        lost: list[str] = []

        def opening() -> Sealed:
            lost.extend(self._carry(session, frozen=frozen))
            return first(lost)

        with _session(place) as session:
            if begin_making(session, place) is not None:
                raise LogUnavailable("the next shard has been begun meanwhile")
            create_shard(session, place, origin, EMPTY_ROOT, opening)
            hand_on_rights(session, self._place, place)
            session.execute("COMMIT")
            if session.in_doubt:
                raise LogUnavailable(
                    "the next shard has begun, and the gateway goes on in it once it is started;"
                    " a standby may not have it yet"
                )
        return lost

    def _carry(self, session: PostgresSession, *, frozen: bool) -> Iterator[str]:
        """Copy the tables of state, each whole or not at all; yield those that cannot be read."""
        for table in STATE_TABLES:
            there = session.execute(_TABLE, (self._place.schema, table)).fetchone()
            if there is None and table in NEWER_TABLES:
                continue
            session.execute("SAVEPOINT carrying")
            try:
                found = session.execute(_COLUMNS, (table,)).fetchall()
                columns = ", ".join(quoted(name) for (name,) in found)
                source = f"SELECT {columns} FROM {quoted(self._place.schema)}.{table}"  # noqa: S608 - names of ours
                session.execute(f"INSERT INTO {table} ({columns}) {source}")
            except PostgresFailed as failure:
                if not frozen or failure.sqlstate not in _SPOILT:
                    raise
                session.execute("ROLLBACK TO carrying")
                yield table


@contextmanager
def _session(place: PostgresLog) -> Iterator[PostgresSession]:
    try:
        session = open_session(place)
        try:
            yield session
        finally:
            session.close()
    except PostgresFailed as failure:
        raise LogUnavailable(f"the audit log cannot be changed: {failure}") from failure
