"""`init` and `apply`, as they are typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.demo.packs import BUILT_IN
from tests.gateway.cli.conftest import Run


def test_init_shows_the_secret_once(run: Run, tmp_path: Path) -> None:
    """A new home is made, its secret shown, and a second init refused."""
    words = (
        "init", "--organisation", "ods:X9Z", "--public-base-url", "http://127.0.0.1:8080",
        "--home", tmp_path / "home", "--json",
    )  # fmt: skip
    made = json.loads(run(*words).stdout)
    assert len(made["operator_secret"]) >= 43
    assert made["operator_secret"] not in (tmp_path / "home" / "concordat.yaml").read_text()
    with pytest.raises(Stop, match="already"):
        run(*words)


def test_apply_tells_every_fault_with_its_place(
    run: Run, new_home: NewHome, tmp_path: Path
) -> None:
    """A directory with faults changes nothing, and each is told with file, line and column."""
    directory = tmp_path / "configuration"
    shutil.copytree(BUILT_IN, directory)
    agreement = sorted((directory / "agreements").iterdir())[0]
    agreement.write_text(agreement.read_text().replace("status: active", "status: aktive"))
    with pytest.raises(Stop, match=rf"{agreement.name}:\d+:\d+: "):
        run("apply", directory, "--home", new_home.settings.home)
