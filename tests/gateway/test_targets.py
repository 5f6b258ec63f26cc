"""What workers see of targets is left for others, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.breaker import BreakerState
from connectors.targets import TargetState
from gateway.targets import read_states, states_path, write_states

STATES = {
    "nhse-spl": (
        TargetState(
            base_url="https://a.example",
            state=BreakerState.OPEN,
            failures=5,
            opened=1,
            retried=3,
        ),
    ),
    "r9z-open": (),
}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Only of those instances that are asked for, and only where they have written."""
    write_states(tmp_path, "one", STATES)
    write_states(tmp_path, "gone", STATES)

    assert read_states(tmp_path, ["one", "new"]) == {"one": STATES}
    assert isinstance(read_states(tmp_path, ["one"])["one"]["nhse-spl"][0].state, BreakerState)


@pytest.mark.parametrize("content", ["", "[]", '{"a": [{"state": "closed"}]}', '{"a": [{}]}'])
def test_a_file_of_another_version_is_left_out(tmp_path: Path, content: str) -> None:
    """While the gateway is upgraded, workers of two versions run side by side."""
    states_path(tmp_path, "one").write_text(content)

    assert read_states(tmp_path, ["one"]) == {}
