"""`audit evidence`, as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_export import integrated
from tests.gateway.cli.test_audit_log import deny_one


def test_a_pack_is_made_and_recorded(run: Run, new_home: NewHome, tmp_path: Path) -> None:
    """The line that it tells checks the file; the log says that the exchange left it."""
    home = new_home.settings.home
    exchange = deny_one(new_home.settings)
    integrated(new_home.settings)
    out = tmp_path / "pack.pyz"
    told = run("audit", "evidence", exchange, "--out", out, "--home", home).stdout
    command = told.partition("check it with: python3 ")[2].split()
    done = subprocess.run([sys.executable, "-I", *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    words = ("audit", "search", "--kind", "log.export", "--home", home, "--json")
    (found,) = json.loads(run(*words).stdout)["exchanges"]
    assert found["filters"] == ["exchanges"]


def test_what_cannot_be_packed_says_why(run: Run, new_home: NewHome, tmp_path: Path) -> None:
    """An exchange that is not signed yet, a word that is no exchange, a file that is there."""
    home, out = new_home.settings.home, tmp_path / "pack.pyz"
    exchange = deny_one(new_home.settings)
    with pytest.raises(Stop, match="not signed yet"):
        run("audit", "evidence", exchange, "--out", out, "--home", home)
    with pytest.raises(Stop, match="not an exchange id"):
        run("audit", "evidence", "x", "--out", out, "--home", home)
    out.write_bytes(b"")
    with pytest.raises(Stop, match="is there already"):
        run("audit", "evidence", exchange, "--out", out, "--home", home)
