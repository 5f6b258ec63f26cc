"""`audit shard list|retire`, as they are typed."""

from __future__ import annotations

import json

import pytest

from gateway.audit.freeze import freeze
from gateway.cli.checks import State, examine
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.data_plane import open_audit_log
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one


def test_a_shard_is_ended_and_the_log_goes_on(run: Run, new_home: NewHome) -> None:
    """The list shows both; an exchange of the old shard is shown, and both verify."""
    settings, home = new_home.settings, new_home.settings.home
    exchange = deny_one(settings)
    words = ("audit", "shard", "retire", "--reason", "year end", "--home", home)
    ended = json.loads(run(*words, "--json").stdout)
    assert ended["contradiction"] is None
    assert ended["size"] == 3
    shards = json.loads(run("audit", "shard", "list", "--home", home, "--json").stdout)["shards"]
    assert [(one["state"], one["records"]) for one in shards] == [("sealed", 3), ("open", 1)]
    assert [one["origin"] for one in shards] == [ended["ended"], ended["begun"]]
    assert exchange in run("audit", "show", exchange, "--home", home, "--json").stdout
    for one in shards:
        log = settings.audit_directory / one["file"]
        assert run("audit", "verify", "--log", log, "--home", home).exit_code == 0
    text = run("audit", "shard", "list", "--home", home).stdout
    assert "sealed  3 records, 3 signed, 0 exchanges open" in text
    assert {one.state for one in examine(home) if one.check == "audit log"} == {State.OK}


def test_a_running_gateway_keeps_its_shard(run: Run, new_home: NewHome) -> None:
    """Exit 1, with what to do, while any process has the log open."""
    deny_one(new_home.settings)
    log = open_audit_log(new_home.settings, instance="running")
    with pytest.raises(Stop, match="stop the gateway") as stopped:
        run("audit", "shard", "retire", "--reason", "r", "--home", new_home.settings.home)
    assert stopped.value.code == 1
    log._instance.close()
    log._store.close()


def test_a_frozen_shard_is_told(run: Run, new_home: NewHome) -> None:
    """The list says why it is frozen and is exit 1; `doctor` names the way out."""
    settings = new_home.settings
    deny_one(settings)
    freeze(settings.audit_directory, "the roots differ")
    listed = run("audit", "shard", "list", "--home", settings.home)
    assert listed.exit_code == 1
    assert "frozen: the roots differ" in listed.stdout
    (finding,) = [one for one in examine(settings.home) if one.check == "audit log"]
    assert finding.state is State.FAILED
    assert "audit shard retire --reason" in finding.mend


def test_without_a_reason_or_a_log_nothing_is_ended(run: Run, new_home: NewHome) -> None:
    """A reason of blanks is none; a home that never ran has no shard."""
    home = new_home.settings.home
    with pytest.raises(Stop, match="reason is needed"):
        run("audit", "shard", "retire", "--reason", " ", "--home", home)
    with pytest.raises(Stop, match="no audit log"):
        run("audit", "shard", "retire", "--reason", "r", "--home", home)
    assert json.loads(run("audit", "shard", "list", "--home", home, "--json").stdout) == {
        "shards": [],
        "frozen": None,
    }
