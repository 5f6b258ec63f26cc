"""`policy test`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli.output import Stop
from gateway.demo.packs import BUILT_IN
from tests.gateway.cli.conftest import Run


def test_the_built_in_pack_passes(run: Run) -> None:
    """Exit 0, a table for people, and the same as JSON."""
    shown = run("policy", "test")
    told = json.loads(run("policy", "test", "--pack", BUILT_IN, "--json").stdout)
    assert shown.exit_code == 0
    assert "0 failed" in shown.stdout
    assert told["counts"]["failed"] == 0
    assert told["counts"]["not_yet"] == 0


def test_other_calls_replace_the_packs_own(run: Run) -> None:
    """Only the files that are named are judged."""
    sheet = BUILT_IN / "calls" / "s4.yaml"
    told = json.loads(run("policy", "test", "--calls", sheet, "--json").stdout)
    assert {call["id"][:2] for call in told["calls"]} == {"S4"}


def test_a_difference_is_exit_1(run: Run, tmp_path: Path) -> None:
    """A call that comes out otherwise than it says fails the test."""
    sheet = tmp_path / "calls.yaml"
    text = (BUILT_IN / "calls" / "s4.yaml").read_text()
    sheet.write_text(text.replace("reason: ENDPOINT_NOT_PERMITTED", "reason: RATE_LIMITED"))
    result = run("policy", "test", "--calls", sheet)
    assert result.exit_code == 1
    assert "reason: expected RATE_LIMITED, got ENDPOINT_NOT_PERMITTED" in result.stdout


def test_a_pack_that_cannot_be_read_is_exit_2(run: Run, tmp_path: Path) -> None:
    """What cannot be told is not a failed check."""
    with pytest.raises(Stop) as stopped:
        run("policy", "test", "--pack", tmp_path)
    assert stopped.value.code == 2
