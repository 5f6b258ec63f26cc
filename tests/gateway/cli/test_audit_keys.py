"""`audit retention show` and `audit keys`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.presence import Role, present
from tests.gateway.audit.keeping import Keeper
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_erase import WHY
from tests.gateway.cli.test_erasing import about_ann, records_of
from tests.homes import apply_pack


def test_what_is_kept_until_when_is_told(run: Run, new_home: NewHome) -> None:
    """In words and as data."""
    apply_pack(new_home.settings, "http://127.0.0.1:9")
    home = ("--home", new_home.settings.home)
    shown = run("audit", "retention", "show", *home).stdout
    assert "DSA-2026-0003        P7Y" in shown
    assert "days that can be opened: 0\n" in shown
    kept = json.loads(run("audit", "retention", "show", *home, "--json").stdout)
    assert kept["classes"]["net"] == "P1Y"


def test_keys_are_listed_and_a_year_is_unlinked(run: Run, new_home: NewHome) -> None:
    """Nothing is destroyed without --yes."""
    home = ("--home", new_home.settings.home)
    about_ann(new_home.settings)
    LogKeys(new_home.settings.keys_directory).subject_key(2020)
    assert "can be found: 2020" in run("audit", "keys", "list", *home).stdout
    with pytest.raises(Stop, match="cannot be made again"):
        run("audit", "keys", "destroy-year", "2020", *WHY, *home)
    assert "2020" in run("audit", "keys", "destroy-year", "2020", *WHY, "--yes", *home).stdout
    assert json.loads(run("audit", "keys", "list", *home, "--json").stdout)["years"] == []


def test_day_keys_are_wrapped_by_a_program_while_no_gateway_runs(
    run: Run, new_home: NewHome, tmp_path: Path
) -> None:
    """The change is on record; a program that does not answer is told, and changes nothing."""
    settings, keeper = new_home.settings, Keeper(tmp_path)
    home = ("--home", settings.home)
    about_ann(settings)
    keeper.go_down()
    with pytest.raises(Stop, match="exit code"):
        run("audit", "keys", "wrap", keeper.program, *home)
    keeper.come_up()
    with (
        present(settings.run_directory, Role.CONTROL),
        pytest.raises(Stop, match="gateway runs"),
    ):
        run("audit", "keys", "wrap", keeper.program, *home)
    told = run("audit", "keys", "wrap", keeper.program, *home).stdout
    assert told == "1 day key wrapped by keeper, as every one to come will be.\n"
    about_ann(settings)
    assert run("audit", "verify", *home).exit_code == 0
    assert [one["verb"] for one in records_of(settings, Kind.CHANGE)] == ["wrap-keys"] * 2
    (tmp_path / "other").mkdir()
    with pytest.raises(Stop, match="which alone unwraps them"):
        run("audit", "keys", "wrap", Keeper(tmp_path / "other").program, *home)
