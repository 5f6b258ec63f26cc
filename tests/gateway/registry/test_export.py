"""An exported configuration is the same configuration: read again, nothing differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from gateway.documents import load_document
from gateway.registry.configuration import Configuration, read_directory
from gateway.registry.export import export
from gateway.registry.store import Registry
from tests.configured import PACK, pack_configuration

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def write(configuration: Configuration, directory: Path) -> Path:
    """Export a configuration into a directory."""
    for path, content in export(configuration):
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(content)
    return directory


def test_what_is_exported_is_read_as_it_was(tmp_path: Path, registry_engine: Engine) -> None:
    """Every document of the packaged scenarios comes back, by way of a registry as well."""
    configuration = pack_configuration()
    registry = Registry(registry_engine)
    registry.apply(configuration, by="test")
    _, kept = registry.load()
    directory = write(kept, tmp_path / "exported")

    assert read_directory(directory) == configuration
    assert registry.compare(read_directory(directory)).nothing


def test_an_export_is_canonical(tmp_path: Path) -> None:
    """Exporting what was exported changes no byte, whatever order it was written in."""
    configuration = pack_configuration()
    backwards = replace(
        configuration,
        agreements={
            key: dict(reversed(list(document.items())))
            for key, document in reversed(list(configuration.agreements.items()))
        },
    )
    again = read_directory(write(configuration, tmp_path))

    assert list(export(configuration)) == list(export(again)) == list(export(backwards))


def test_an_empty_configuration_can_be_exported(tmp_path: Path) -> None:
    """A new gateway's export is a directory that can be applied: the law is the product's."""
    exported = read_directory(write(Configuration(), tmp_path))

    assert {kind for kind, _, _ in exported.documents()} == {"law"}


def test_what_issuers_say_of_themselves_is_kept(tmp_path: Path) -> None:
    """Algorithms, lifetimes and metadata stand in the issuers' own file, bodies with the bodies."""
    configuration = pack_configuration()
    issuer = "https://idp.nhse-syn.example"
    said = {
        **configuration.issuers[issuer],
        "metadata_url": "https://meta.example/as",
        "algorithms": ["ES256", "PS256"],
        "proof_required": True,
        "lifetime_s_max": 300,
    }
    configuration = replace(configuration, issuers={**configuration.issuers, issuer: said})

    assert read_directory(write(configuration, tmp_path)) == configuration


@given(document=st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_every_plain_value_survives(
    document: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Texts that look like numbers, dates or nothing stay texts; numbers stay numbers."""
    configuration = Configuration(agreements={"DSA-2026-0001": document})
    path = write(configuration, tmp_path_factory.mktemp("exported")) / "agreements"

    assert load_document(path / "DSA-2026-0001.yaml").value == document


def test_the_pack_needs_no_addresses_to_be_exported(tmp_path: Path) -> None:
    """What the registry does not know is not made up."""
    assert read_directory(write(read_directory(PACK), tmp_path)) == read_directory(PACK)
