"""A home and a way to run commands, for the tests of the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import app
from gateway.cli.home import NewHome, create_home
from gateway.files import keep_private

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Return a function that runs a command line; an error that nobody expects is raised."""

    def run_command(*words: str | Path) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run_command


@pytest.fixture
def new_home(tmp_path: Path) -> NewHome:
    """Return a home that was just made, as the program makes it."""
    keep_private()
    return create_home(
        tmp_path / "home", organisation="ods:X9Z", public_base_url="http://127.0.0.1:8080"
    )
