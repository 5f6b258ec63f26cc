"""`audit member`, as it is typed; proofs are asked end to end."""

from __future__ import annotations

import json

import pytest

from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one


def test_of_an_answer_without_people_it_cannot_be_told(
    run: Run, new_home: NewHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2, in words and in JSON."""
    home, exchange = new_home.settings.home, deny_one(new_home.settings)
    words = ("audit", "member", exchange, "--person", "nhs_number:9990000018", "--home", home)
    ended = run(*words)
    assert (ended.exit_code, ended.stdout) == (2, "cannot tell: 0 people named in record 1\n")
    assert json.loads(run(*words, "--json").stdout)["among"] is None


def test_a_person_that_is_none_is_told(run: Run, new_home: NewHome) -> None:
    """Before anything is read."""
    exchange = deny_one(new_home.settings)
    with pytest.raises(Stop, match="type:value"):
        run("audit", "member", exchange, "--person", "9990000018", "--home", new_home.settings.home)


def test_the_person_may_come_by_standard_input(new_home: NewHome) -> None:
    """So that no shell keeps it."""
    from typer.testing import CliRunner

    from gateway.cli import app

    exchange = deny_one(new_home.settings)
    words = ["audit", "member", exchange, "--person", "-", "--home", str(new_home.settings.home)]
    ended = CliRunner().invoke(app, words, input="nhs_number:9990000018\n")
    assert ended.exit_code == 2
    assert ended.stdout.startswith("cannot tell")
