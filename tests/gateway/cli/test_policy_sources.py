"""Where the policy commands take agreements from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.cli.policy_sources import agreement_named, rules_of
from gateway.database import open_engine
from gateway.demo.packs import BUILT_IN
from gateway.registry.configuration import read_directory
from gateway.registry.store import Registry


@pytest.fixture
def used_home(new_home: NewHome, tmp_path: Path) -> NewHome:
    """A home to which two versions of an agreement were applied."""
    changed = tmp_path / "pack"
    shutil.copytree(BUILT_IN, changed)
    path = changed / "agreements/DSA-2026-0005.yaml"
    path.write_text(path.read_text().replace("version: 1", "version: 2", 1))
    engine = open_engine(new_home.settings.database_url)
    try:
        for directory in (BUILT_IN, changed):
            Registry(engine).apply(read_directory(directory), by="test")
    finally:
        engine.dispose()
    return new_home


def test_a_home_has_what_is_in_force(used_home: NewHome) -> None:
    """The registry's present configuration is what is asked about."""
    rules = rules_of(None, used_home.settings.home)
    assert {one.agreement_id: one.version for one in rules.agreements}["DSA-2026-0005"] == 2


def test_without_a_home_the_built_in_pack_stands() -> None:
    """So that the commands can be tried at once."""
    assert len(rules_of(None, None).agreements) == 5


def test_versions_of_a_registry_are_found(used_home: NewHome) -> None:
    """By id and version, or the newest by id alone."""
    home = used_home.settings.home
    assert agreement_named("DSA-2026-0005@1", home).version == 1
    assert agreement_named("DSA-2026-0005", home).version == 2


def test_a_version_that_is_not_there_is_told_with_those_that_are(used_home: NewHome) -> None:
    """The mend names what could have been asked for."""
    with pytest.raises(Stop) as stopped:
        agreement_named("DSA-2026-0005@9", used_home.settings.home)
    assert "DSA-2026-0005@1" in stopped.value.mend
    assert stopped.value.code == 2


def test_a_broken_pack_stops_with_its_faults(tmp_path: Path) -> None:
    """Every fault of every file is told."""
    shutil.copytree(BUILT_IN, tmp_path / "pack")
    (tmp_path / "pack/parties.yaml").write_text("parties: 1\n")
    with pytest.raises(Stop):
        rules_of(tmp_path / "pack", None)
