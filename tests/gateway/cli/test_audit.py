"""`audit search|show`, as they are typed."""

from __future__ import annotations

import json

from gateway.cli.home import NewHome
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one


def test_search_and_show(run: Run, new_home: NewHome) -> None:
    """A table or JSON of what is found; everything of one exchange."""
    home = new_home.settings.home
    exchange = deny_one(new_home.settings)
    words = ("audit", "search", "--reason", "RATE_LIMITED", "--home", home)
    assert exchange in run(*words).stdout
    assert len(json.loads(run(*words, "--json").stdout)["exchanges"]) == 1
    assert "RATE_LIMITED" in run("audit", "show", exchange, "--home", home).stdout
    shown = json.loads(run("audit", "show", exchange, "--home", home, "--json").stdout)
    assert shown["exchange_id"] == exchange


def test_records_of_another_kind(run: Run, new_home: NewHome) -> None:
    """Readings of the log are listed by --kind, with the id that shows each."""
    home = new_home.settings.home
    deny_one(new_home.settings)
    words = ("audit", "search", "--kind", "log.access", "--home", home)
    (found,) = json.loads(run(*words, "--json").stdout)["exchanges"]
    assert found["entries"][0]["record_id"] in run(*words).stdout
