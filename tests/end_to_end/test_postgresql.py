"""The command line and a real gateway with its registry on PostgreSQL, as an operator uses them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.cli.output import Stop
from tests.configured import postgresql_url
from tests.gateway.cli.configuring import write_folder
from tests.postgres import Postgres
from tests.running import STOP_S_MAX, free_port
from tests.test_tidy import ROOT


@dataclass(frozen=True)
class Done:
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


class Operator:
    """Types commands on one home, and keeps everything that they say."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.said = ""

    def types(self, *words: str | Path) -> Done:
        """Run one command on the home; in this process, which is much faster than in its own."""
        done = CliRunner().invoke(app, [*map(str, words), "--home", str(self.home)])
        stderr, code = done.stderr, done.exit_code
        if isinstance(done.exception, Stop):
            stderr, code = f"{stderr}{done.exception} {done.exception.mend}", done.exception.code
        elif done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        self.said += done.stdout + stderr
        return Done(code, done.stdout, stderr)

    def reads(self, *words: str | Path) -> dict[str, dict[str, Any]]:
        """Run a command that must do well and return its JSON."""
        done = self.types(*words, "--json")
        assert done.returncode == 0, done.stderr
        told: dict[str, dict[str, Any]] = json.loads(done.stdout)
        return told

    @property
    def program(self) -> list[str]:
        """Return the beginning of every command line."""
        return [sys.executable, "-m", "gateway"]

    @property
    def env(self) -> dict[str, str]:
        """Return the environment of every command."""
        return {**os.environ, "PYTHONPATH": str(ROOT)}

    def findings(self) -> dict[str, tuple[str, str, str]]:
        """Ask the doctor; return state, detail and mend of each check."""
        told = json.loads(self.types("doctor", "--json").stdout)
        return {it["check"]: (it["state"], it["detail"], it["mend"]) for it in told}


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """Give somebody to type commands on a home that is not there yet."""
    return Operator(tmp_path / "home")


def test_a_gateway_with_its_registry_on_postgresql(
    operator: Operator, postgres: Postgres, tmp_path: Path
) -> None:
    """Made, configured, examined and served; the password is in the settings file and nowhere else.

    While the database is down every command says so, and says what would mend it.
    """
    url = postgresql_url(postgres.new_database())
    port, control = free_port(), free_port()
    made = operator.types(
        "init", "--organisation", "ods:X9Z", "--public-base-url", f"http://127.0.0.1:{port}",
        "--registry-url", url,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert operator.types("apply", write_folder(tmp_path / "configuration")).returncode == 0
    shown = operator.reads("config", "show")
    expected = url.replace(postgres.password, "***")
    assert shown["settings"]["registry_url"] == {
        "value": expected,
        "default": f"sqlite+pysqlite:///{operator.home / 'registry.db'}",
        "origin": f"{operator.home / 'concordat.yaml'}:4",
    }
    assert shown["configuration"]["revision"] == 1
    assert operator.findings()["registry"][0] == "ok"
    assert not (operator.home / "registry.db").exists()

    serve(operator, port=port, control=control)

    postgres.stop()
    state, detail, mend = operator.findings()["registry"]
    assert (state, mend.split()[0]) == ("failed", "psql")
    assert "refused" in detail
    for words in (("db", "upgrade"), ("stop", "list"), ("serve",), ("config", "show")):
        done = operator.types(*words)
        assert done.returncode == 2, (words, done.stderr)
    assert postgres.password not in operator.said


def serve(operator: Operator, *, port: int, control: int) -> None:
    """Run the gateway as its unit would, see that it is well, and end it."""
    listen = {
        "CONCORDAT_DATA_LISTEN": f"127.0.0.1:{port}",
        "CONCORDAT_CONTROL_LISTEN": f"127.0.0.1:{control}",
    }
    command = [*operator.program, "serve", "--workers", "1", "--home", str(operator.home)]
    with subprocess.Popen(
        command, env=operator.env | listen, stderr=subprocess.PIPE, text=True
    ) as gateway:
        try:
            assert gateway.stderr is not None
            for line in gateway.stderr:
                operator.said += line
                if '"started"' in line:
                    break
            findings = operator.findings()
            assert findings["stop-list"][0] == "ok", findings
            assert "by all of 1 worker;" in findings["stop-list"][1]
        finally:
            gateway.send_signal(signal.SIGTERM)
            operator.said += gateway.communicate(timeout=STOP_S_MAX)[1]
    assert gateway.returncode == 0


def test_a_database_in_use_is_not_taken_over(operator: Operator, postgres_url: str) -> None:
    """A second home on one registry would be a second gateway under one configuration."""
    words = (
        "init", "--organisation", "ods:X9Z", "--public-base-url", "http://127.0.0.1:1",
        "--registry-url", postgresql_url(postgres_url),
    )  # fmt: skip
    assert operator.types(*words).returncode == 0
    operator.home = operator.home.with_name("second")
    refused = operator.types(*words)

    assert refused.returncode == 2
    assert "holds the registry of a gateway already" in refused.stderr
    assert not (operator.home / "concordat.yaml").exists()
