"""`policy diff`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli.output import Stop
from gateway.demo.packs import BUILT_IN
from tests.gateway.cli.conftest import Run

OLD = BUILT_IN / "agreements/DSA-2026-0003.yaml"


@pytest.fixture
def wider(tmp_path: Path) -> Path:
    """A next version that is open for longer."""
    path = tmp_path / "next.yaml"
    text = OLD.read_text().replace('to: "06:00"', 'to: "07:00"').replace("version: 1", "version: 2")
    path.write_text(text)
    return path


def test_changes_are_told_with_what_they_do(run: Run, wider: Path) -> None:
    """A line for each change, and what they do taken together."""
    lines = run("policy", "diff", OLD, wider).stdout.splitlines()
    assert lines[0].startswith("neutral  Version: was 1, is now 2.")
    assert lines[1].startswith("widens   Rule R1, opening hours: was 20:00 to 06:00")
    assert lines[2] == "Taken together: widens."


def test_the_same_as_data(run: Run, wider: Path) -> None:
    """For programs, with both values; the other way round it narrows."""
    told = json.loads(run("policy", "diff", wider, OLD, "--json").stdout)
    assert told["effect"] == "narrows"
    assert told["changes"][1]["before"]["to"] == "07:00"


def test_wider_access_can_be_refused(run: Run, wider: Path) -> None:
    """Exit 1 if a change may let more calls in, and only then."""
    assert run("policy", "diff", OLD, wider, "--refuse-wider").exit_code == 1
    assert run("policy", "diff", wider, OLD, "--refuse-wider").exit_code == 0


def test_nothing_differs(run: Run) -> None:
    """A version set against itself."""
    assert run("policy", "diff", OLD, OLD).stdout == "Nothing differs.\n"


def test_an_unreadable_agreement_is_exit_2(run: Run, tmp_path: Path) -> None:
    """Every fault is told with its file, line and column."""
    broken = tmp_path / "broken.yaml"
    broken.write_text(OLD.read_text().replace("kind: dea_isa", "kind: dea_isb"))
    with pytest.raises(
        Stop, match=r"broken\.yaml:7:\d+: kind: .*did you mean 'dea_isa'"
    ) as stopped:
        run("policy", "diff", OLD, broken)
    assert stopped.value.code == 2
