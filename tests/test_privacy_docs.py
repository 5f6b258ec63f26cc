"""The page for data protection officers is true: its commands run, in its order, on a real log."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import app
from gateway.cli.home import create_home
from gateway.data_plane import open_audit_log
from gateway.files import keep_private
from gateway.settings import Settings
from tests.gateway.audit.erasing import ANN, exchange_about
from tests.gateway.audit.keeping import Keeper
from tests.test_tidy import ROOT

PAGE = ROOT / "docs" / "privacy-of-the-log.md"


def record_one(settings: Settings) -> None:
    """Record an exchange about Ann, who is synthetic."""

    async def append() -> None:
        log = open_audit_log(settings, instance="test")
        await log.start()
        await exchange_about(log, ANN)
        await log.stop()

    asyncio.run(append())


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_the_page_s_commands_run(
    tmp_path: Path, store: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each does what the page says; the example of a keeper of keys has the form that is asked."""
    keep_private()
    if store == "postgres":
        monkeypatch.setenv("CONCORDAT_AUDIT_URL", request.getfixturevalue("postgres_url"))
    home = create_home(
        tmp_path / "home", organisation="ods:X9Z", public_base_url="http://127.0.0.1:8080"
    )
    record_one(home.settings)

    def concordat(*words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--home", str(home.settings.home)])

    text = PAGE.read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len(commands) >= 10
    for command in commands:
        program, *words = shlex.split(command)
        assert program == "concordat"
        done = concordat(*words)
        assert done.exit_code == 0, (command, done.output, done.exception)
        if "--yes" in words and "--person" in words:
            assert "Erased sections of 2 records" in done.stdout
    keeper = Keeper(tmp_path)
    assert concordat("audit", "keys", "wrap", str(keeper.program)).exit_code == 0
    assert {line.split()[0] for line in keeper.calls()} == {"wrap", "unwrap"}
    for verb in ("wrap", "unwrap"):
        assert re.search(rf"^  {verb}\)", text, re.MULTILINE)
