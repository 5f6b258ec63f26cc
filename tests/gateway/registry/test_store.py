"""Tests of the registry on real databases, a SQLite file and PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from gateway.database import DatabaseUnsuitable, open_engine, reading, upgrade, writing
from gateway.registry.configuration import Configuration, Kind
from gateway.registry.store import Changes, Registry, RegistryUnavailable, StopKind
from policies.document import digest
from tests.configured import pack_configuration

KEY = "DSA-2020-0001"


@pytest.fixture
def registry(registry_engine: Engine) -> Registry:
    """Return an empty registry, on each kind of database."""
    return Registry(registry_engine)


def suspended(configuration: Configuration) -> Configuration:
    """Return the configuration with one agreement suspended in its document."""
    agreement = {**configuration.agreements[KEY], "status": "suspended"}
    return replace(configuration, agreements={**configuration.agreements, KEY: agreement})


def test_what_is_applied_is_what_is_loaded(registry: Registry) -> None:
    """A configuration comes back whole, and an empty registry holds an empty one."""
    configuration = pack_configuration()

    assert registry.load() == (0, Configuration())
    changes = registry.apply(configuration, by="test")

    assert registry.load() == (1, configuration)
    assert len(changes.added) == len(list(configuration.documents()))


def test_applying_the_same_again_changes_nothing(registry: Registry) -> None:
    """The revision counts changes, not attempts."""
    registry.apply(pack_configuration(), by="test")

    assert registry.apply(pack_configuration(), by="test") == Changes(revision=1)
    assert registry.revision() == 1


def test_every_state_of_a_document_is_kept(registry: Registry) -> None:
    """A changed and then removed agreement still shows both of its states."""
    first = pack_configuration()
    second = suspended(first)
    third = replace(
        first, agreements={key: it for key, it in first.agreements.items() if key != KEY}
    )
    registry.apply(first, by="test")

    assert registry.apply(second, by="test").changed == ((Kind.AGREEMENT, KEY),)
    assert registry.apply(third, by="test").removed == ((Kind.AGREEMENT, KEY),)

    states = registry.history(Kind.AGREEMENT, KEY)
    assert [(state.since, state.until) for state in states] == [(2, 3), (1, 2)]
    assert [state.document["status"] for state in states] == ["suspended", "active"]
    assert states[1].digest == digest(first.agreements[KEY])
    assert KEY not in {state.document["agreement_id"] for state in registry.present(Kind.AGREEMENT)}
    assert registry.history(Kind.AGREEMENT, "DSA-2026-9999") == ()


def test_the_newest_state_is_known_of_what_was_removed(registry: Registry) -> None:
    """Each agreement has one newest state, present or not."""
    first = pack_configuration()
    registry.apply(first, by="test")
    registry.apply(suspended(first), by="test")
    registry.apply(replace(first, agreements={}), by="test")

    newest = registry.newest(Kind.AGREEMENT)
    assert set(newest) == set(first.agreements)
    assert newest[KEY].document["status"] == "suspended"
    assert (newest[KEY].since, newest[KEY].until) == (2, 3)


def test_a_stop_holds_until_it_is_resumed(registry: Registry) -> None:
    """Stopping and resuming twice changes nothing the second time; revisions are left alone."""

    assert registry.stop(StopKind.AGREEMENT, KEY, reason="incident", by="test")
    assert not registry.stop(StopKind.AGREEMENT, KEY, reason="again", by="test")
    assert registry.stops() == {("agreement", KEY)}
    assert registry.resume(StopKind.AGREEMENT, KEY)
    assert not registry.resume(StopKind.AGREEMENT, KEY)
    assert registry.stops() == frozenset()
    assert registry.revision() == 0


def test_a_stop_that_cannot_be_recorded_is_not_made(registry: Registry) -> None:
    """Neither the stop nor its end; what changes nothing is not recorded."""

    def refuse() -> None:
        raise OSError("the log is full")

    with pytest.raises(OSError, match="full"):
        registry.stop(StopKind.KEY, "k1", reason="lost", by="test", record=refuse)
    assert registry.stops() == frozenset()
    assert not registry.resume(StopKind.KEY, "k1", record=refuse)

    registry.stop(StopKind.KEY, "k1", reason="lost", by="test")
    assert not registry.stop(StopKind.KEY, "k1", reason="again", by="test", record=refuse)
    with pytest.raises(OSError, match="full"):
        registry.resume(StopKind.KEY, "k1", record=refuse)
    (stopped,) = registry.stopped()
    assert (stopped.kind, stopped.key, stopped.reason, stopped.by) == ("key", "k1", "lost", "test")


def test_what_an_apply_would_change_can_be_asked(registry: Registry) -> None:
    """Comparing changes nothing, and foretells what applying then does."""
    first = pack_configuration()
    foretold = registry.compare(first)
    applied = registry.apply(first, by="test")

    assert (foretold.revision, applied.revision) == (0, 1)
    assert (foretold.added, foretold.digest) == (applied.added, applied.digest)
    assert registry.compare(first).nothing
    assert registry.compare(suspended(first)).changed == ((Kind.AGREEMENT, KEY),)
    assert registry.compare(suspended(first)).digest != applied.digest
    assert registry.revision() == 1


def test_the_bootstrap_secret_is_kept_as_a_hash(
    registry: Registry, registry_engine: Engine, tmp_path: Path
) -> None:
    """Only the secret made last holds, and the database does not contain it."""
    assert not registry.is_bootstrap_secret("")
    old = registry.make_bootstrap_secret()
    new = registry.make_bootstrap_secret()

    assert registry.is_bootstrap_secret(new)
    assert not registry.is_bootstrap_secret(old)
    assert not registry.is_bootstrap_secret("")
    written = b"".join(file.read_bytes() for file in tmp_path.glob("registry.db*"))
    assert new.encode() not in written
    with reading(registry_engine) as connection:
        rows = connection.execute(text("SELECT * FROM secret")).all()
    assert len(rows) == 1
    assert new not in str(rows)


def test_documents_come_in_the_order_of_their_code_points(registry: Registry) -> None:
    """Whatever language's order the database knows, all engines give one order."""
    names = ("a-1", "B-1", "Z_1", "a.2", "É-1")
    first = pack_configuration()
    model = next(iter(first.agreements.values()))
    registry.apply(replace(first, agreements={name: dict(model) for name in names}), by="test")

    assert list(registry.load()[1].agreements) == sorted(names)


def test_a_database_without_tables_is_unavailable(registry_url: str) -> None:
    """A failure of the database is the registry's own error, without its statement."""
    engine = open_engine(registry_url)

    with pytest.raises(RegistryUnavailable) as failed:
        Registry(engine).stops()
    assert "SELECT" not in str(failed.value)
    engine.dispose()


def test_whoever_changes_the_registry_does_so_alone(registry_engine: Engine) -> None:
    """A second writer waits for the first, and then sees what it has left."""
    registry, other = Registry(registry_engine), Registry(registry_engine)
    begun = threading.Event()
    results: list[object] = []

    def record() -> None:
        begun.set()
        results.append("recorded")

    def second() -> None:
        assert begun.wait(10)
        results.append(other.stop(StopKind.KEY, "k1", reason="later", by="test"))

    thread = threading.Thread(target=second)
    thread.start()
    assert registry.stop(StopKind.KEY, "k1", reason="first", by="test", record=record)
    thread.join()

    assert results == ["recorded", False]


def test_readers_do_not_wait_for_a_writer(registry_engine: Engine) -> None:
    """The stop-list is read while a change is being recorded; it shows the state before."""
    registry = Registry(registry_engine)
    seen = []

    registry.stop(
        StopKind.KEY,
        "k1",
        reason="lost",
        by="test",
        record=lambda: seen.append(Registry(registry_engine).stops()),
    )

    assert seen == [frozenset()]
    assert registry.stops() == {("key", "k1")}


def test_a_registry_of_a_later_version_is_left_alone(registry_engine: Engine) -> None:
    """A schema that this version does not know is neither changed nor used as if it were known."""
    with writing(registry_engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(DatabaseUnsuitable, match="9999"):
        upgrade(registry_engine)
