"""`audit erase`, as it is typed."""

from __future__ import annotations

import json

import pytest

from gateway.audit.reading.reader import find_log
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from tests.gateway.audit.records import tampered
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
        "unreadable": 0,
    }
    assert "of 0 records" in run("audit", "erase", *ANN, *WHY, "--yes", *home).stdout
    verified = run("audit", "verify", *home)
    assert verified.exit_code == 0
    opened = run("audit", "verify", "--open", *home)
    assert opened.exit_code == 0
    assert "payload erased at index 1\nsubject erased at index 1\n" in opened.stdout
    report = json.loads(run("audit", "verify", "--open", "--json", *home).stdout)
    assert report["erased_from"][-1] == {"index": 2, "section": "subject"}


def test_a_damaged_record_is_told_of_and_all_others_are_erased(run: Run, new_home: NewHome) -> None:
    """Exit 1 says that not all is done: whether the rest names the person nobody can tell (F20)."""
    home, settings = ("--home", new_home.settings.home), new_home.settings
    about_ann(settings)
    about_ann(settings)
    damage = "UPDATE audit_key SET wrapped = CAST(substr(wrapped, 1, 60) AS BLOB)"
    tampered(find_log(settings.audit_directory), f"{damage} WHERE leaf_index = 3")
    looked = run("audit", "erase", *ANN, *WHY, "--dry-run", *home).stdout
    assert "Left: 1 record that cannot be read, and may be meant or not.\n" in looked
    with pytest.raises(Stop, match="1 record cannot be read") as stopped:
        run("audit", "erase", *ANN, *WHY, "--yes", *home)
    assert stopped.value.code == 1
    assert "of 0 records" in run("audit", "erase", *ANN, *WHY, "--dry-run", *home).stdout
