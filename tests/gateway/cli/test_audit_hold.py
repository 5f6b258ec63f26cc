"""`audit hold`, as it is typed."""

from __future__ import annotations

import json

from gateway.cli.home import NewHome
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_erase import ANN, WHY
from tests.gateway.cli.test_erasing import about_ann


def test_hold_keeps_and_release_lets_go(run: Run, new_home: NewHome) -> None:
    """What is on hold is listed, and left by an erasure until the hold ends."""
    home = ("--home", new_home.settings.home)
    about_ann(new_home.settings)
    assert run("audit", "hold", "list", *home).stdout == "Nothing is on legal hold.\n"
    added = json.loads(run("audit", "hold", "add", *ANN, *WHY, *home, "--json").stdout)
    assert added["target"] == "nhs_number:9990000018"
    assert added["id"] in run("audit", "hold", "list", *home).stdout
    (listed,) = json.loads(run("audit", "hold", "list", *home, "--json").stdout)["holds"]
    assert listed == added
    left = run("audit", "erase", *ANN, *WHY, "--yes", *home).stdout
    # The record of the hold itself names the person too, in a section that can be erased.
    assert "Left: 3 records, person on legal hold." in left
    assert "No longer on hold" in run("audit", "hold", "release", added["id"], *WHY, *home).stdout
    assert "of 4 records" in run("audit", "erase", *ANN, *WHY, "--yes", *home).stdout
