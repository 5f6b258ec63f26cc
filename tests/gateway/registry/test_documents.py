"""Tests of the configuration as plain documents."""

from __future__ import annotations

from pathlib import Path

from gateway.registry.documents import Configuration, FileFault, Kind
from tests.configured import pack_configuration


def test_documents_and_back_give_the_same_configuration() -> None:
    """Nothing is lost when a configuration is taken apart and put together."""
    configuration = pack_configuration()
    documents: dict[Kind, dict[str, object]] = {kind: {} for kind in Kind}
    for kind, key, document in configuration.documents():
        documents[kind][key] = document

    assert Configuration.of(documents) == configuration  # type: ignore[arg-type]  # plain documents


def test_a_fault_is_written_as_compilers_write_theirs() -> None:
    """An editor can jump to the place."""
    fault = FileFault(path=Path("a.yaml"), line=3, column=7, code="missing-key", message="no 'a'")

    assert str(fault) == "a.yaml:3:7: no 'a' [missing-key]"
