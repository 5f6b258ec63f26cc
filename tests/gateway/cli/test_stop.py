"""`stop add|list|remove` and `client revoke`, as they are typed."""

from __future__ import annotations

import json

import pytest

from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from tests.gateway.cli.configuring import configure
from tests.gateway.cli.conftest import Run


def test_what_is_stopped_is_listed_until_it_is_removed(run: Run, new_home: NewHome) -> None:
    """With kind, name and reason, newest first."""
    home = ("--home", new_home.settings.home)
    assert run("stop", "list", *home).stdout == "Nothing is stopped.\n"
    run("stop", "add", "key", "k1", "--reason", "lost laptop", *home)
    run("client", "revoke", "a-client", "--reason", "contract ended", *home)

    listed = json.loads(run("stop", "list", *home, "--json").stdout)["stops"]
    assert [(one["kind"], one["key"], one["reason"]) for one in listed] == [
        ("client", "a-client", "contract ended"),
        ("key", "k1", "lost laptop"),
    ]
    assert "lost laptop" in run("stop", "list", *home).stdout
    run("stop", "remove", "client", "a-client", "--reason", "renewed", *home)
    assert "a-client" not in run("stop", "list", *home).stdout


def test_each_stop_and_its_end_are_on_record(run: Run, new_home: NewHome) -> None:
    """The audit log has the administrator's changes, and whoever reads it sees which."""
    home = ("--home", new_home.settings.home)
    run("stop", "add", "key", "k1", "--reason", "lost", *home)
    run("stop", "remove", "key", "k1", "--reason", "found", *home)
    told = run("audit", "search", "--kind", "admin.change", *home, "--json")

    found = json.loads(told.stdout)["exchanges"]
    assert [(one["verb"], one["what"], one["key"]) for one in found] == [
        ("resume", "key", "k1"),
        ("stop", "key", "k1"),
    ]


def test_what_cannot_be_stopped_is_refused(run: Run, new_home: NewHome) -> None:
    """A kind that is none, and a name that the registry does not know: exit 2 for both."""
    configure(new_home.settings)
    home = ("--reason", "x", "--home", new_home.settings.home)
    with pytest.raises(Stop, match="nothing to stop") as stopped:
        run("stop", "add", "planet", "mars", *home)
    assert stopped.value.code == 2
    for kind, name in (("agreement", "DSA-2026-003"), ("service", "nv-housin")):
        with pytest.raises(Stop, match="did you mean") as stopped:
            run("stop", "add", kind, name, *home)
        assert stopped.value.code == 2
    assert run("stop", "list", *home[2:]).stdout == "Nothing is stopped.\n"
