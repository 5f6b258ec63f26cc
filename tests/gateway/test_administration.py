"""Changes of the configuration are applied whole, and are on record before they are in force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.administration import apply_configuration
from gateway.audit.entry import Kind
from gateway.audit.reader import find_log
from gateway.audit.search import Filters, find
from gateway.audit.sqlite import database_path, open_database
from gateway.audit.store import LogUnavailable
from gateway.data_plane import log_origin
from gateway.database import open_engine
from gateway.registry.configuration import read_directory
from gateway.registry.store import Registry
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


def test_a_change_is_on_record_with_what_it_changed(tmp_path: Path) -> None:
    """Each change is one `admin.change` record; applying the same again leaves none."""
    settings = make_settings(tmp_path)
    configuration = read_directory(PACK)
    apply_configuration(configuration, settings, by="alice")
    apply_configuration(configuration, settings, by="alice")
    fewer = replace(configuration, agreements={})
    changes = apply_configuration(fewer, settings, by="bob")

    page = find(find_log(settings.audit_directory), Filters(kind=Kind.CHANGE))
    second, first = page.items
    assert (first["by"], first["revision"]) == ("alice", 1)
    assert (second["by"], second["revision"]) == ("bob", changes.revision)
    assert second["removed"] == [f"agreement {key}" for key in sorted(configuration.agreements)]


def test_a_change_that_cannot_be_recorded_is_not_made(tmp_path: Path) -> None:
    """No evidence, no change."""
    settings = make_settings(tmp_path)
    configuration = read_directory(PACK)
    apply_configuration(configuration, settings, by="alice")
    database = open_database(database_path(settings.audit_directory, log_origin(settings)))
    database.execute("UPDATE audit_head SET state = 'frozen'")
    database.close()

    with pytest.raises(LogUnavailable):
        apply_configuration(replace(configuration, agreements={}), settings, by="bob")
    assert revision_of(settings) == 1
