"""`serve`, as far as it can be told without serving; the rest is end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.output import Stop
from tests.gateway.cli.conftest import Run


def test_nothing_is_served_without_a_home(run: Run, tmp_path: Path) -> None:
    """A missing home is told, with the line that makes one."""
    with pytest.raises(Stop, match="nowhere is not there"):
        run("serve", "--home", tmp_path / "nowhere")


def test_workers_are_at_least_one(run: Run, tmp_path: Path) -> None:
    """Zero workers is wrong usage."""
    assert run("serve", "--home", tmp_path, "--workers", "0").exit_code == 2
