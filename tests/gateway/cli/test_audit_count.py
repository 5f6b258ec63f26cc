"""`audit count` and `audit reach`, as they are typed."""

from __future__ import annotations

import json

import pytest

from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one


def test_counts_are_a_table_or_json(run: Run, new_home: NewHome) -> None:
    """Words as they are, periods as instants; small numbers are not published."""
    home = new_home.settings.home
    for _ in range(2):
        deny_one(new_home.settings)
    words = ("audit", "count", "--by", "reason", "--home", home)
    assert "RATE_LIMITED   2" in run(*words).stdout
    assert "1 to 7" in run("audit", "count", "--by", "decision", "--public", "--home", home).stdout
    (row,) = json.loads(run(*words, "--by", "client", "--by", "day", "--json").stdout)["counts"]
    assert row["group"]["client"] == "council-app"
    assert int(row["group"]["day"]) % 86_400_000_000 == 0
    assert row["exchanges"] == 2
    assert "00:00:00Z" in run(*words, "--by", "day").stdout


def test_what_cannot_be_counted_by_is_told(run: Run, new_home: NewHome) -> None:
    """With the command that can."""
    deny_one(new_home.settings)
    with pytest.raises(Stop, match="count by at most") as stopped:
        run("audit", "count", "--by", "person", "--home", new_home.settings.home)
    assert "--by purpose" in stopped.value.mend
    words = ("audit", "count", "--by", "purpose", "--public", "--home", new_home.settings.home)
    for asked in ("--client=council-app", "--from=2026-11-20", "--until=2026-11-19T01:00Z"):
        with pytest.raises(Stop, match="public counts are"):
            run(*words, asked)
    assert run(*words, "--purpose", "CARE", "--from", "2026-11-19").exit_code == 0


def test_reach_is_facts(run: Run, new_home: NewHome) -> None:
    """How many exchanges, records and people; each reading says what it was for."""
    home = new_home.settings.home
    deny_one(new_home.settings)
    words = ("audit", "reach", "--client", "council-app", "--home", home)
    assert json.loads(run(*words, "--json").stdout)["exchanges"] == 1
    assert "people_counted" in run(*words).stdout
    page = json.loads(
        run("audit", "search", "--kind", "log.access", "--json", "--home", home).stdout
    )
    assert [one["verb"] for one in page["exchanges"]] == ["find", "reach", "reach"]
