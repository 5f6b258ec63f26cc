"""Tests of the registry on a real database file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.database import open_engine
from gateway.registry.configuration import Configuration, Kind
from gateway.registry.store import Changes, Registry, RegistryUnavailable, StopKind
from policies.document import digest
from tests.configured import open_registry, pack_configuration

KEY = "DSA-2020-0001"


def suspended(configuration: Configuration) -> Configuration:
    """Return the configuration with one agreement suspended in its document."""
    agreement = {**configuration.agreements[KEY], "status": "suspended"}
    return replace(configuration, agreements={**configuration.agreements, KEY: agreement})


def test_what_is_applied_is_what_is_loaded(tmp_path: Path) -> None:
    """A configuration comes back whole, and an empty registry holds an empty one."""
    registry = open_registry(tmp_path)
    configuration = pack_configuration()

    assert registry.load() == (0, Configuration())
    changes = registry.apply(configuration, by="test")

    assert registry.load() == (1, configuration)
    assert len(changes.added) == len(list(configuration.documents()))


def test_applying_the_same_again_changes_nothing(tmp_path: Path) -> None:
    """The revision counts changes, not attempts."""
    registry = open_registry(tmp_path)
    registry.apply(pack_configuration(), by="test")

    assert registry.apply(pack_configuration(), by="test") == Changes(revision=1)
    assert registry.revision() == 1


def test_every_state_of_a_document_is_kept(tmp_path: Path) -> None:
    """A changed and then removed agreement still shows both of its states."""
    registry = open_registry(tmp_path)
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


def test_the_newest_state_is_known_of_what_was_removed(tmp_path: Path) -> None:
    """Each agreement has one newest state, present or not."""
    registry = open_registry(tmp_path)
    first = pack_configuration()
    registry.apply(first, by="test")
    registry.apply(suspended(first), by="test")
    registry.apply(replace(first, agreements={}), by="test")

    newest = registry.newest(Kind.AGREEMENT)
    assert set(newest) == set(first.agreements)
    assert newest[KEY].document["status"] == "suspended"
    assert (newest[KEY].since, newest[KEY].until) == (2, 3)


def test_a_stop_holds_until_it_is_resumed(tmp_path: Path) -> None:
    """Stopping and resuming twice changes nothing the second time; revisions are left alone."""
    registry = open_registry(tmp_path)

    assert registry.stop(StopKind.AGREEMENT, KEY, reason="incident", by="test")
    assert not registry.stop(StopKind.AGREEMENT, KEY, reason="again", by="test")
    assert registry.stops() == {("agreement", KEY)}
    assert registry.resume(StopKind.AGREEMENT, KEY)
    assert not registry.resume(StopKind.AGREEMENT, KEY)
    assert registry.stops() == frozenset()
    assert registry.revision() == 0


def test_a_stop_that_cannot_be_recorded_is_not_made(tmp_path: Path) -> None:
    """Neither the stop nor its end; what changes nothing is not recorded."""
    registry = open_registry(tmp_path)

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


def test_what_an_apply_would_change_can_be_asked(tmp_path: Path) -> None:
    """Comparing changes nothing, and foretells what applying then does."""
    registry = open_registry(tmp_path)
    first = pack_configuration()
    foretold = registry.compare(first)
    applied = registry.apply(first, by="test")

    assert (foretold.revision, applied.revision) == (0, 1)
    assert (foretold.added, foretold.digest) == (applied.added, applied.digest)
    assert registry.compare(first).nothing
    assert registry.compare(suspended(first)).changed == ((Kind.AGREEMENT, KEY),)
    assert registry.compare(suspended(first)).digest != applied.digest
    assert registry.revision() == 1


def test_the_bootstrap_secret_is_kept_as_a_hash(tmp_path: Path) -> None:
    """Only the secret made last holds, and the file does not contain it."""
    registry = open_registry(tmp_path)
    assert not registry.is_bootstrap_secret("")
    old = registry.make_bootstrap_secret()
    new = registry.make_bootstrap_secret()

    assert registry.is_bootstrap_secret(new)
    assert not registry.is_bootstrap_secret(old)
    assert not registry.is_bootstrap_secret("")
    written = b"".join(file.read_bytes() for file in tmp_path.glob("registry.db*"))
    assert new.encode() not in written


def test_a_database_without_tables_is_unavailable(tmp_path: Path) -> None:
    """A failure of the database is the registry's own error, without its statement."""
    registry = Registry(open_engine(f"sqlite+pysqlite:///{tmp_path / 'empty.db'}"))

    with pytest.raises(RegistryUnavailable) as failed:
        registry.stops()
    assert "SELECT" not in str(failed.value)
