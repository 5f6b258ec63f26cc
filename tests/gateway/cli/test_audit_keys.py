"""`audit retention show` and `audit keys`, as they are typed."""

from __future__ import annotations

import json

import pytest

from gateway.audit.keys import LogKeys
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_erase import WHY
from tests.gateway.cli.test_erasing import about_ann
from tests.homes import apply_pack


def test_what_is_kept_until_when_is_told(run: Run, new_home: NewHome) -> None:
    """In words and as data."""
    apply_pack(new_home.settings, "http://127.0.0.1:9")
    home = ("--home", new_home.settings.home)
    shown = run("audit", "retention", "show", *home).stdout
    assert "DSA-2026-0003        P7Y" in shown
    assert "0 days can be opened, from none on." in shown
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
