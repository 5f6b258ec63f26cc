"""Who is alive is told by a count that goes on, watched by one's own clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.audit.place import PostgresLog
from gateway.audit.postgresql import presence as postgres_presence
from gateway.audit.postgresql.presence import PostgresInstance, Presence
from gateway.audit.postgresql.session import PostgresSession, open_session


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def session(place: PostgresLog) -> Iterator[PostgresSession]:
    """A session of who watches."""
    session = open_session(place)
    yield session
    session.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of who watches."""
    clock = Clock()
    monkeypatch.setattr(postgres_presence, "monotonic_s", clock)
    return clock


def watched(presence: Presence, session: PostgresSession, clock: Clock, seconds: int) -> set[str]:
    """Return who is alive after so many seconds of watching."""
    alive = set(presence.alive(session))
    for _ in range(seconds):
        clock.now_s += 1
        alive = set(presence.alive(session))
    return alive


def test_a_count_that_stands_still_is_of_a_dead_process(
    place: PostgresLog, session: PostgresSession, clock: Clock
) -> None:
    """One that counts on, by whatever machine's clock, is alive (I8, F14)."""
    presence, alive = Presence(), set[str]()
    session.execute("INSERT INTO audit_instance VALUES ('dead', 7), ('alive', 7)")
    for _ in range(16):
        session.execute("UPDATE audit_instance SET beat = beat + 1 WHERE name = 'alive'")
        alive = watched(presence, session, clock, 1)

    assert alive == {"alive"}


def test_who_has_not_looked_has_not_watched(
    place: PostgresLog, session: PostgresSession, clock: Clock
) -> None:
    """While the database or the watcher hung nobody could count: nobody is dead of that (F13)."""
    presence = Presence()
    session.execute("INSERT INTO audit_instance VALUES ('worker', 7)")
    watched(presence, session, clock, 10)
    clock.now_s += 3_600

    assert watched(presence, session, clock, 10) == {"worker"}
    assert watched(presence, session, clock, 10) == set()


def test_an_instance_counts_and_leaves_no_row(
    place: PostgresLog, session: PostgresSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is known before it opens an exchange, and gone at once when it closes."""
    monkeypatch.setattr(postgres_presence, "BEAT_S", 0.01)
    instance = PostgresInstance(place, label="worker-1")
    beat = "SELECT beat FROM audit_instance WHERE name = ?"
    while session.execute(beat, (instance.name,)).fetchone()[0] < 3:
        pass
    # A connection that is lost costs a beat or two.
    session.execute("SELECT pg_terminate_backend(?)", (instance._connected().raw.info.backend_pid,))
    before = session.execute(beat, (instance.name,)).fetchone()[0]
    while session.execute(beat, (instance.name,)).fetchone()[0] < before + 3:
        pass
    instance.close()
    assert session.execute(beat, (instance.name,)).fetchone() is None
