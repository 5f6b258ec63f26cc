"""The documents are true: commands run, symbols are where they are said to be, settings exist."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import yaml

from gateway.exchange.service_errors import PASSED_ON
from gateway.registry.reach import CREDENTIAL_KINDS, check_reaches
from gateway.settings import Settings
from policies.service import REACH_MEMBERS, read_services
from tests.test_tidy import ROOT, named, tracked

README: Final = ROOT / "README.md"
LIFE: Final = ROOT / "docs" / "life-of-an-exchange.md"
RUNNING: Final = ROOT / "docs" / "running.md"

LONG_RUNNING: Final = frozenset({"serve", "demo"})
"""Commands that serve until they are stopped; the end-to-end test runs them."""


def readme_commands() -> list[str]:
    """Return every line of the README's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def concordat(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the program as a reader of the README would."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_the_readme_s_commands_run(tmp_path: Path) -> None:
    """In the README's order, in one directory, each command does what it says."""
    configured = tmp_path / "DIR"
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "demo").symlink_to(ROOT / "gateway" / "demo")
    configured.mkdir()
    for name in ("parties.yaml", "legal"):
        (configured / name).symlink_to(ROOT / "gateway" / "demo" / "pack" / name)
    (configured / "services.yaml").write_text("services: []\n")
    makefile = (ROOT / "Makefile").read_text()
    ran = []

    for command in readme_commands():
        program, verb, *rest = shlex.split(command)
        if program == "make":
            assert re.search(rf"^{verb}:", makefile, re.MULTILINE)
            continue
        assert program == "concordat"
        rest = ["--help"] if verb in LONG_RUNNING else rest
        done = concordat(verb, *rest, cwd=tmp_path)
        # A gateway without services is not in order, and the doctor says so.
        expected = (0, 2) if verb == "doctor" else (0,)
        assert done.returncode in expected, (command, done.stdout, done.stderr)
        ran.append(verb)

    assert {"init", "doctor", "apply", "policy"} <= set(ran)


@pytest.mark.parametrize(
    "line", re.findall(r"^\| (`.*?) \| `(.*?\.py)` \|$", LIFE.read_text(), re.M)
)
def test_symbols_are_where_the_life_of_an_exchange_says(line: tuple[str, str]) -> None:
    """Each symbol of the list is defined in the file beside it."""
    symbols, file = line
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))

    for symbol in re.findall(r"`(\w+)`", symbols):
        assert hasattr(module, symbol)


def test_what_a_service_s_error_becomes_is_documented() -> None:
    """The table has each status that is passed on, once, with its field, and no other."""
    text = LIFE.read_text().split("### What a service's error becomes")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([\d, ]+) \| the same status \| (?:none|`([\w-]+)`.*) \|$", text, re.M)
    told = [(int(s), name.lower().encode() or None) for row, name in rows for s in row.split(",")]

    assert sorted(told) == sorted(PASSED_ON.items())


def test_every_setting_is_documented() -> None:
    """The operator's table has each setting with its meaning, and no other."""
    text = RUNNING.read_text().split("## Settings")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*?) \|$", text, re.MULTILINE))
    described = {name: field.description for name, field in Settings.model_fields.items()}

    assert rows == described


def test_how_services_are_reached_is_documented() -> None:
    """The operator's tables have each member and each kind of credential, and the example reads."""
    text = RUNNING.read_text().split("## Reaching services")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([\w-]+)` \| (.*) \|$", text, re.MULTILINE)
    example = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
    cells = dict(rows)

    assert set(cells) == {*REACH_MEMBERS, *CREDENTIAL_KINDS}
    for kind, (required, optional) in CREDENTIAL_KINDS.items():
        assert {f"`{name}`" for name in (*required, *optional)} <= set(
            re.findall(r"`\w+`", cells[kind])
        )
    assert list(check_reaches(yaml.safe_load(example)["services"])) == []
    assert read_services(yaml.safe_load(example))


@pytest.mark.parametrize("path", [pytest.param(p, id=named(p)) for p in tracked("*.md")])
def test_links_lead_somewhere(path: Path) -> None:
    """A relative link names a file or folder of the project."""
    missing = [
        target
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
        if not (path.parent / target).exists()
    ]

    assert missing == []
