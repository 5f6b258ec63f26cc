"""`audit erase`, as it is typed."""

from __future__ import annotations

import json

import pytest

from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_erasing import about_ann

WHY = ("--reason", "RIGHT_TO_ERASURE", "--authority", "SYNTHETIC decision 7")
ANN = ("--person", "nhs_number:999 000 0018")


def test_look_then_erase(run: Run, new_home: NewHome) -> None:
    """A dry run changes nothing; without somebody to ask, --yes is needed."""
    home = ("--home", new_home.settings.home)
    about_ann(new_home.settings)
    assert (
        "Would erase sections of 2 records"
        in run("audit", "erase", *ANN, *WHY, "--dry-run", *home).stdout
    )
    with pytest.raises(Stop, match="nobody can be asked"):
        run("audit", "erase", *ANN, *WHY, *home)
    done = json.loads(run("audit", "erase", *ANN, *WHY, "--yes", "--json", *home).stdout)
    assert done == {
        "erased": True,
        "records": 2,
        "sections": {"payload": 1, "subject": 2},
        "naming_others_too": 0,
        "held": {},
    }
    assert "of 0 records" in run("audit", "erase", *ANN, *WHY, "--yes", *home).stdout
    verified = run("audit", "verify", *home)
    assert verified.exit_code == 0
    opened = run("audit", "verify", "--open", *home)
    assert opened.exit_code == 0
    assert "payload erased at index 1\nsubject erased at index 1\n" in opened.stdout
    report = json.loads(run("audit", "verify", "--open", "--json", *home).stdout)
    assert report["erased_from"][-1] == {"index": 2, "section": "subject"}
