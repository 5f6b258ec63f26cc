"""What all tests share: the option with which CI refuses to skip, and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings
from sqlalchemy import Engine
from typer.main import get_command

from gateway.database import open_engine, upgrade
from tests.configured import postgresql_url, sqlite_url
from tests.postgres import postgres, postgres_server, postgres_url

__all__ = ["postgres", "postgres_server", "postgres_url"]

pytest_plugins: Final = ("tests.fault_report",)

# The same examples every time, however slow the machine: a run is green or red for what changed,
# not by chance.
# `--hypothesis-profile default` looks for new ones.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

EXPECTED_SKIPS: Final = ("Wycheproof's vectors are not here",)
"""Beginnings of the reasons for which CI may skip: what a stranger's clone cannot have."""

_skipped: list[str] = []


@pytest.fixture(autouse=True, scope="session")
def commands_are_made_once() -> Iterator[None]:
    """Have CliRunner build the program's seventy commands once, as a process does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(get_command))
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def registry_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty registry, on each kind of database in turn."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    url: str = request.getfixturevalue("postgres_url")
    return postgresql_url(url)


@pytest.fixture
def registry_engine(registry_url: str) -> Iterator[Engine]:
    """Give an empty registry's database with the newest schema, of each kind in turn."""
    engine = open_engine(registry_url)
    upgrade(engine)
    yield engine
    engine.dispose()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--no-skips``."""
    parser.addoption(
        "--no-skips", action="store_true", help="fail if a test is skipped that need not be"
    )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take down every skip that is not expected."""
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(EXPECTED_SKIPS):
            _skipped.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for a skip that CI did not expect."""
    if session.config.getoption("--no-skips") and _skipped:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which skips were not expected."""
    if config.getoption("--no-skips"):
        for skip in _skipped:
            terminalreporter.write_line(f"skipped, and CI must not skip it: {skip}", red=True)
