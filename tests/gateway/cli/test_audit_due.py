"""`audit due`, as it is typed; what it lists is asked end to end."""

from __future__ import annotations

import json

import pytest

from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one


def test_nothing_is_due_and_then_a_report_is_overdue(run: Run, new_home: NewHome) -> None:
    """Exit 1 where something is overdue, with a sentence that has its times."""
    home = new_home.settings.home
    deny_one(new_home.settings)
    assert run("audit", "due", "--home", home).stdout == "Nothing is due.\n"
    note = ("audit", "note", "incident", "INC-1", "--step", "aware", "--at", "2026-01-02")
    run(*note, "--home", home)
    ended = run("audit", "due", "--what", "incidents", "--home", home)
    assert ended.exit_code == 1
    assert "overdue   incidents: reference INC-1, aware 2026-01-02" in ended.stdout
    assert "report due 2026-01-05 00:00:00Z" in ended.stdout
    shown = json.loads(run("audit", "due", "--json", "--home", home).stdout)
    assert [name for name, items in shown.items() if items] == ["incidents"]


def test_what_is_never_due_is_told(run: Run, new_home: NewHome) -> None:
    """The kinds are a closed list."""
    deny_one(new_home.settings)
    with pytest.raises(Stop, match="is not what is due"):
        run("audit", "due", "--what", "taxes", "--home", new_home.settings.home)
