"""Packs for the tests of the demo."""

from __future__ import annotations

import pytest

from gateway.demo.packs import BUILT_IN, Pack, read_pack
from tests.renaming import rename_pack


@pytest.fixture(scope="session")
def pack() -> Pack:
    """Return the built-in pack."""
    return read_pack(BUILT_IN)


@pytest.fixture(scope="session")
def renamed_pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Return the built-in pack under other names."""
    return read_pack(rename_pack(BUILT_IN, tmp_path_factory.mktemp("pack")))
