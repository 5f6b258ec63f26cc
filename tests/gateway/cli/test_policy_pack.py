"""Scenario packs as the commands take them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.output import Stop
from gateway.cli.policy_pack import open_pack
from gateway.demo.packs import BUILT_IN


def test_the_built_in_pack_stands_for_none() -> None:
    """So that every command can be tried at once, with other calls if they are named."""
    assert open_pack(None, None).directory == BUILT_IN
    sheet = BUILT_IN / "calls" / "s4.yaml"
    assert {call.id[:2] for call in open_pack(None, [sheet]).sheet.calls} == {"S4"}


def test_a_folder_that_is_no_pack_stops(tmp_path: Path) -> None:
    """What is wrong with it is told."""
    with pytest.raises(Stop):
        open_pack(tmp_path, None)
