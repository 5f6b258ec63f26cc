"""Reading, checking and applying a directory."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from gateway.cli.configuration import (
    apply_directory,
    check_directory,
    compare_directory,
    read_checked,
)
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.demo.packs import BUILT_IN
from gateway.registry.documents import Configuration
from tests.gateway.cli.configuring import configure, write_folder


def test_applies_what_reads_and_compiles(new_home: NewHome) -> None:
    """The first apply adds everything; the second changes nothing, nor the revision."""
    configuration = read_checked(BUILT_IN)
    first = apply_directory(configuration, new_home.settings)
    again = apply_directory(configuration, new_home.settings)
    assert first["revision"] == again["revision"] == 1
    assert len(first["added"]) == sum(1 for _ in configuration.documents())
    assert again["added"] == again["changed"] == again["removed"] == []


def test_what_is_left_out_is_removed(new_home: NewHome) -> None:
    """A document that the directory lacks is no longer present."""
    configuration = read_checked(BUILT_IN)
    apply_directory(configuration, new_home.settings)
    fewer: Configuration = replace(
        configuration, agreements=dict(list(configuration.agreements.items())[1:])
    )
    assert len(apply_directory(fewer, new_home.settings)["removed"]) == 1


def test_a_service_without_an_address_is_not_applied(new_home: NewHome, tmp_path: Path) -> None:
    """The built-in pack leaves addresses to whoever runs it, so it cannot be served as it is."""
    directory = tmp_path / "configuration"
    shutil.copytree(BUILT_IN, directory)
    with pytest.raises(Stop, match="base_url"):
        check_directory(directory, new_home.settings)


def test_a_comparison_is_with_one_state_of_the_registry(new_home: NewHome, tmp_path: Path) -> None:
    """An apply between two readings would make a comparison with what never was."""
    configure(new_home.settings)
    directory = write_folder(tmp_path / "configuration")
    transactions: list[object] = []

    def note(connection: object) -> None:
        transactions.append(connection)

    event.listen(Engine, "begin", note)
    try:
        assert compare_directory(directory, new_home.settings).changes.nothing
    finally:
        event.remove(Engine, "begin", note)

    assert len(transactions) == 1


def test_what_was_signed_is_not_changed_by_applying(new_home: NewHome) -> None:
    """A signed agreement changes by a new version alone, even after it went away."""
    configuration = read_checked(BUILT_IN)
    apply_directory(configuration, new_home.settings)
    key, document = next(iter(configuration.agreements.items()))
    changed = replace(
        configuration, agreements={**configuration.agreements, key: {**document, "title": "Other"}}
    )
    apply_directory(replace(configuration, agreements={}), new_home.settings)
    with pytest.raises(Stop, match="SIGNED_VERSION_CHANGED"):
        apply_directory(changed, new_home.settings)


def test_an_agreement_that_the_law_forbids_is_not_read(tmp_path: Path) -> None:
    """The stop names file, line, code and mend."""
    directory = tmp_path / "configuration"
    shutil.copytree(BUILT_IN, directory)
    agreement = directory / "agreements" / "DSA-2026-0003.yaml"
    agreement.write_text(agreement.read_text().replace('"SYN-526"', "null"))
    with pytest.raises(Stop, match=r"DSA-2026-0003\.yaml:\d+:\d+: .*REGISTER_ENTRY_MISSING"):
        read_checked(directory)
