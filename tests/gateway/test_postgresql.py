"""Tests of the registry on PostgreSQL: time limits, restarts, standbys and servers that hang."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import InternalError

from gateway import postgresql
from gateway.database import open_engine, reading, upgrade
from gateway.registry.store import Registry, RegistryUnavailable, StopKind
from tests.configured import postgresql_url
from tests.postgres import Postgres


def test_postgresql_limits_how_long_it_may_take(postgres_url: str) -> None:
    """Every transaction has its time limits, and a reader can change nothing."""
    engine = open_engine(postgresql_url(postgres_url))
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    with reading(engine) as connection:
        limits = [connection.execute(text(f"SHOW {name}")).scalar() for name in names]
        isolation = connection.execute(text("SHOW transaction_isolation")).scalar()

    assert limits == ["8s", "5s", "1min"]
    assert isolation == "repeatable read"
    with pytest.raises(InternalError, match="read-only"), reading(engine) as connection:
        connection.execute(text("CREATE TABLE t (a INTEGER)"))
    engine.dispose()


def test_postgresql_that_restarts_is_used_on(postgres: Postgres) -> None:
    """While it is down every use fails; afterwards the same engine works, whoever asks first."""
    engine = open_engine(postgresql_url(postgres.url()))
    registry = Registry(engine)
    upgrade(engine)
    registry.stop(StopKind.KEY, "k1", reason="lost", by="test")

    postgres.stop("immediate")
    for _ in range(2):
        with pytest.raises(RegistryUnavailable) as failed:
            registry.stops()
        assert postgres.password not in str(failed.value)
    postgres.start()

    assert registry.stops() == {("key", "k1")}
    engine.dispose()


def test_a_standby_is_not_believed(postgres: Postgres) -> None:
    """Its stop-list may be old: fail closed, never stale. Promoted, it is the registry."""
    engine = open_engine(postgresql_url(postgres.url()))
    upgrade(engine)
    engine.dispose()
    with postgres.standby() as standby:
        replica = open_engine(postgresql_url(standby.url()))
        with pytest.raises(RegistryUnavailable, match="StandbyServer"):
            Registry(replica).stops()

        postgres.stop("immediate")
        standby.promote()

        assert Registry(replica).stops() == frozenset()
        replica.dispose()


def test_a_writer_that_stands_still_loses_its_lock(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever for a process that was stopped while it changed the registry."""
    engine = open_engine(postgresql_url(postgres_url))
    upgrade(engine)
    registry = Registry(engine)
    waited = threading.Event()

    def record() -> None:
        # The second change, which has its time, waits for the lock until the server has ended the
        # first one.
        patched.undo()
        registry.stop(StopKind.KEY, "k2", reason="lost", by="test")
        waited.set()

    with monkeypatch.context() as patched:
        patched.setattr(postgresql, "IDLE_TIMEOUT_MS", 1_000)
        with pytest.raises(RegistryUnavailable):
            registry.stop(StopKind.KEY, "k1", reason="lost", by="test", record=record)

    assert waited.is_set()
    assert registry.stops() == {("key", "k2")}
    engine.dispose()


def test_a_server_that_hangs_is_given_up(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever for an answer, and the same engine works once there are answers."""
    engine = open_engine(f"{postgresql_url(postgres.url())}?connect_timeout=2")
    upgrade(engine)
    engine.dispose()
    registry = Registry(engine)
    assert registry.stops() == frozenset()

    with postgres.hanging(), monkeypatch.context() as patched:
        patched.setattr(postgresql._Patient, "answer_s", 0.5)
        with pytest.raises(RegistryUnavailable):
            registry.stops()

    assert registry.stops() == frozenset()
    engine.dispose()
