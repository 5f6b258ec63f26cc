"""`agreement list|show|validate|suspend|resume`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.demo.packs import BUILT_IN
from tests.gateway.cli.configuring import configure
from tests.gateway.cli.conftest import Run

KEY = "DSA-2026-0003"


def test_a_suspended_agreement_is_listed_as_such(run: Run, new_home: NewHome) -> None:
    """Suspended, listed, shown, resumed: every command says the same."""
    configure(new_home.settings)
    home = ("--home", new_home.settings.home)
    done = run("agreement", "suspend", KEY, "--reason", "incident", *home)
    assert done.stdout.startswith(f"agreement {KEY} is stopped.")

    listed = json.loads(run("agreement", "list", *home, "--json").stdout)["agreements"]
    assert [one["agreement_id"] for one in listed if one["stopped"]] == [KEY]
    assert "suspended here" in run("agreement", "list", *home).stdout
    assert "# suspended here" in run("agreement", "show", KEY, *home).stdout

    assert "no longer stopped" in run("agreement", "resume", KEY, "--reason", "x", *home).stdout
    assert "suspended here" not in run("agreement", "list", *home).stdout
    again = json.loads(run("agreement", "resume", KEY, "--reason", "x", *home, "--json").stdout)
    assert (again["changed"], again["stopped"]) == (False, False)


def test_show_writes_what_can_be_validated_and_applied(
    run: Run, new_home: NewHome, tmp_path: Path
) -> None:
    """An agreement that is shown is a file again."""
    configure(new_home.settings)
    home = ("--home", new_home.settings.home)
    file = tmp_path / "agreement.yaml"
    file.write_text(run("agreement", "show", KEY, *home).stdout)
    assert run("agreement", "validate", file, *home).exit_code == 0

    shown = json.loads(run("agreement", "show", KEY, *home, "--json").stdout)
    assert shown["present"]
    assert [state["version"] for state in shown["history"]] == [1]
    with pytest.raises(Stop, match="did you mean"):
        run("agreement", "show", "DSA-2026-003", *home)


def test_faults_are_told_with_their_lines(run: Run, tmp_path: Path) -> None:
    """What the schema, the services and the law have against it, each at its place."""
    original = (BUILT_IN / "agreements" / f"{KEY}.yaml").read_text()
    spoiled = {
        "schema.yaml": original.replace("status: active", "status: aktive"),
        "party.yaml": original.replace("gss:E06999001", "gss:E06999777"),
        "law.yaml": original.replace('"SYN-526"', "null"),
        "yaml.yaml": original + "\n: [",
    }
    for name, text in spoiled.items():
        (tmp_path / name).write_text(text)
    files = [tmp_path / name for name in spoiled]
    told = run("agreement", "validate", *files, "--pack", BUILT_IN, "--json")
    faults = json.loads(told.stdout)["faults"]

    assert told.exit_code == 1
    assert {Path(fault["file"]).name for fault in faults} == set(spoiled)
    assert all(fault["line"] >= 1 for fault in faults)
    codes = {fault["code"] for fault in faults}
    assert {"unknown-reference", "unreadable", "REGISTER_ENTRY_MISSING"} <= codes
    assert "party.yaml:" in run("agreement", "validate", files[1], "--pack", BUILT_IN).stdout
