"""Scenario packs as the commands take them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.output import Stop
from gateway.cli.policy_pack import open_pack, rules_of_pack
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


def test_what_is_wrong_is_told_with_its_place_and_what_mends_it(tmp_path: Path) -> None:
    """Of a sheet of calls, and of rules that cannot be told apart."""
    sheet = tmp_path / "calls.yaml"
    sheet.write_text("calls:\n  - {id: A}\n")
    with pytest.raises(Stop, match=f"{sheet}:2:5: call A") as stopped:
        open_pack(None, [sheet])
    assert stopped.value.mend.startswith("correct what is named above")
    assert rules_of_pack(open_pack(None, None)).agreements
