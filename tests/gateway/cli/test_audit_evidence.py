"""`audit evidence`, as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from policies.document import digest
from tests.configured import pack_configuration
from tests.gateway.cli.configuring import configure
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_export import integrated
from tests.gateway.cli.test_audit_log import deny_one

AGREEMENT: Final = "DSA-2026-0002"


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


def test_a_pack_holds_the_text_that_was_relied_on(
    run: Run, new_home: NewHome, tmp_path: Path
) -> None:
    """Not what the agreement says today: the recorded version, whose digest the record has."""
    settings, home = new_home.settings, new_home.settings.home
    configuration = pack_configuration()
    configure(settings, configuration)
    before = dict(configuration.agreements[AGREEMENT])
    exchange = deny_one(settings, agreement=AGREEMENT, agreement_digest=digest(before))
    unknown = deny_one(settings, agreement=AGREEMENT, agreement_digest="sha256:00")
    after = {**before, "status": "suspended"}
    agreements = {**configuration.agreements, AGREEMENT: after}
    configure(settings, replace(configuration, agreements=agreements))
    integrated(settings)
    out = tmp_path / "pack.pyz"
    run("audit", "evidence", exchange, unknown, "--out", out, "--home", home)
    name = f"agreements/{AGREEMENT}/{digest(before).partition(':')[2]}.json"
    with zipfile.ZipFile(out) as pack:
        assert [one for one in pack.namelist() if one.startswith("agreements/")] == [name]
        assert json.loads(pack.read(name))["status"] == "active"
    done = subprocess.run([sys.executable, "-I", out], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_cannot_be_packed_says_why(run: Run, new_home: NewHome, tmp_path: Path) -> None:
    """An exchange that is not signed yet, a word that is no exchange, a file that is there."""
    home, out = new_home.settings.home, tmp_path / "pack.pyz"
    exchange = deny_one(new_home.settings)
    with pytest.raises(Stop, match="not signed yet"):
        run("audit", "evidence", exchange, "--out", out, "--home", home)
    with pytest.raises(Stop, match="not an id"):
        run("audit", "evidence", "x", "--out", out, "--home", home)
    out.write_bytes(b"")
    with pytest.raises(Stop, match="is there already"):
        run("audit", "evidence", exchange, "--out", out, "--home", home)
