"""Changes of the configuration are applied whole, and are on record before they are in force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.administration import (
    NAMES_BYTES_RECORDED_MAX,
    SuccessionRefused,
    apply_configuration,
    resume,
    stop,
)
from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log
from gateway.audit.search.access import Reader, Via
from gateway.audit.search.query import Filters, find
from gateway.audit.sqlite import database_path, open_database
from gateway.audit.store import LogUnavailable
from gateway.data_plane import log_origin
from gateway.database import open_engine
from gateway.registry.configuration import read_directory
from gateway.registry.documents import Configuration
from gateway.registry.store import Registry, StopKind
from gateway.settings import Settings
from tests.homes import make_settings
from tests.world import PACK


def revision_of(settings: Settings) -> int:
    """Return the registry's revision."""
    engine = open_engine(settings.database_url)
    try:
        return Registry(engine).revision()
    finally:
        engine.dispose()


def changes_on_record(settings: Settings) -> list[Any]:
    """Return every recorded change, oldest first, with its sealed sections."""
    path, keys = find_log(settings.audit_directory), LogKeys(settings.keys_directory)
    found = find(path, Filters(kind=Kind.CHANGE), keys=keys)
    return list(reversed(found.items))


def freeze(settings: Settings) -> None:
    """Freeze the log as an integrator does that finds it contradicting itself."""
    database = open_database(database_path(settings.audit_directory, log_origin(settings)))
    database.execute("UPDATE audit_head SET state = 'frozen'")
    database.close()


def test_a_change_is_on_record_with_what_it_changed(tmp_path: Path) -> None:
    """Each change is one `admin.change` record; applying the same again leaves none."""
    settings = make_settings(tmp_path)
    configuration = read_directory(PACK)
    apply_configuration(configuration, settings, by="alice")
    apply_configuration(configuration, settings, by="alice")
    fewer = replace(configuration, agreements={})
    changes = apply_configuration(fewer, settings, by="bob")

    page = find(
        find_log(settings.audit_directory),
        Filters(kind=Kind.CHANGE),
        keys=LogKeys(settings.keys_directory),
    )
    second, first = page.items
    assert (first["by"], first["revision"]) == ("alice", 1)
    assert (second["by"], second["revision"]) == ("bob", changes.revision)
    assert second["removed"] == [f"agreement {key}" for key in sorted(configuration.agreements)]


def test_who_changed_it_is_sealed_and_what_is_present_is_vouched_for(tmp_path: Path) -> None:
    """The record names the person in a section that can be erased, and the whole by its digest."""
    settings = make_settings(tmp_path)
    who = Reader(principal="alice", via=Via.CONSOLE)
    configuration = read_directory(PACK)
    changes = apply_configuration(configuration, settings, by="concordat apply", who=who)

    (record,) = changes_on_record(settings)
    assert record["by"] == "concordat apply"
    assert record["digest"] == changes.digest
    assert record["sections"]["actor"] == {"principal": "alice", "via": "console"}


def test_of_very_many_names_the_first_are_kept(tmp_path: Path) -> None:
    """A change of thousands of documents has its record, with how many there were."""
    settings = make_settings(tmp_path)
    parties = {f"gss:E{n:08}": {"ref": f"gss:E{n:08}", "name": "Synthetic"} for n in range(2_000)}
    changes = apply_configuration(Configuration(organisations=parties), settings, by="alice")

    (record,) = changes_on_record(settings)
    assert len(changes.added) == record["added_in_all"] == 2_000
    assert 0 < sum(len(name) for name in record["added"]) <= NAMES_BYTES_RECORDED_MAX


def test_what_was_signed_is_refused_while_nobody_else_can_change_it(tmp_path: Path) -> None:
    """Neither record nor change is made of an apply that alters a signed version."""
    settings = make_settings(tmp_path)
    configuration = read_directory(PACK)
    apply_configuration(configuration, settings, by="alice")
    key, document = next(iter(configuration.agreements.items()))
    altered = {**configuration.agreements, key: {**document, "title": "Other"}}

    with pytest.raises(SuccessionRefused, match="SIGNED_VERSION_CHANGED"):
        apply_configuration(replace(configuration, agreements=altered), settings, by="bob")
    assert revision_of(settings) == 1
    assert len(changes_on_record(settings)) == 1


def test_a_stop_and_its_end_are_on_record(tmp_path: Path) -> None:
    """Each once, with what was stopped; whom it is about, and why, is sealed."""
    settings = make_settings(tmp_path)
    for kind, key in ((StopKind.AGREEMENT, "DSA-2026-0003"), (StopKind.CLIENT, "a-client")):
        assert stop(settings, kind, key, reason="incident", by="alice")
        assert not stop(settings, kind, key, reason="incident", by="alice")
        assert resume(settings, kind, key, reason="mended", by="bob")
        assert not resume(settings, kind, key, reason="mended", by="bob")

    records = changes_on_record(settings)
    assert [(one["verb"], one["what"]) for one in records] == [
        ("stop", "agreement"), ("resume", "agreement"), ("stop", "client"), ("resume", "client"),
    ]  # fmt: skip
    assert records[0]["agreement"] == "DSA-2026-0003"
    assert "client" not in records[2]
    assert records[2]["sections"]["payload"] == {"client": "a-client", "reason": "incident"}


def test_a_stop_that_cannot_be_recorded_is_not_made(tmp_path: Path) -> None:
    """No evidence, no stop: the operator is told, and can stop the gateway itself."""
    settings = make_settings(tmp_path)
    stop(settings, StopKind.KEY, "k1", reason="lost", by="alice")
    freeze(settings)

    with pytest.raises(LogUnavailable):
        stop(settings, StopKind.KEY, "k2", reason="lost", by="alice")
    with pytest.raises(LogUnavailable):
        resume(settings, StopKind.KEY, "k1", reason="found", by="alice")
    engine = open_engine(settings.database_url)
    assert Registry(engine).stops() == {("key", "k1")}
    engine.dispose()


def test_a_change_that_cannot_be_recorded_is_not_made(tmp_path: Path) -> None:
    """No evidence, no change."""
    settings = make_settings(tmp_path)
    configuration = read_directory(PACK)
    apply_configuration(configuration, settings, by="alice")
    freeze(settings)

    with pytest.raises(LogUnavailable):
        apply_configuration(replace(configuration, agreements={}), settings, by="bob")
    assert revision_of(settings) == 1
