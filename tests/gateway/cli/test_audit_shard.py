"""`audit shard list|retire`, as they are typed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from gateway.administration import apply_configuration
from gateway.audit.freeze import freeze
from gateway.cli.checks import State, examine
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.data_plane import open_audit_log
from gateway.registry.configuration import read_directory
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one
from tests.gateway.cli.test_audit_register import flow_unsigned
from tests.world import PACK


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
        assert run("audit", "fsck", "--log", one["file"], "--home", home).exit_code == 0
    with pytest.raises(Stop, match="no audit log at"):
        run("audit", "verify", "--log", "audit-1999.db", "--home", home)
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


def test_a_disk_that_refuses_is_told_and_the_command_goes_on(
    run: Run, new_home: NewHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F3: an error in the midst is a sentence; given again, the command begins the next shard."""
    settings = new_home.settings
    deny_one(settings)
    words = ("audit", "shard", "retire", "--reason", "r", "--home", settings.home)

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", refuse)
        with pytest.raises(Stop, match="Operation not permitted"):
            run(*words)
    assert run(*words).exit_code == 0
    shards = json.loads(run("audit", "shard", "list", "--home", settings.home, "--json").stdout)
    assert [one["state"] for one in shards["shards"]] == ["sealed", "open"]


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


def test_every_reading_goes_over_all_shards(run: Run, new_home: NewHome, tmp_path: Path) -> None:
    """What is counted, told or due is of the whole log; where a shard is unreadable, nothing is."""
    settings, home = new_home.settings, ("--home", new_home.settings.home)
    apply_configuration(read_directory(PACK), settings, by="test")
    flow_unsigned(new_home)
    deny_one(settings)
    run("audit", "shard", "retire", "--reason", "year end", *home)
    deny_one(settings)
    run("audit", "note", "incident", "INC-1", "--step", "aware", "--at", "2026-01-02", *home)
    run("audit", "shard", "retire", "--reason", "another", *home)
    deny_one(settings)

    def told(*words: str) -> Any:
        return json.loads(run("audit", *words, "--json", *home).stdout)

    assert told("count", "--by", "reason", "--decision", "deny")["counts"][0]["exchanges"] == 3
    assert told("reach", "--decision", "deny")["exchanges"] == 3
    assert [one["reference"] for one in told("due", "--what", "incidents")["incidents"]] == [
        "INC-1"
    ]
    assert told("register", "DSA-9")["agreements"][0]["exchanges"] == 1
    outages = told("outages")
    assert (outages["missing"], len(outages["end_unknown"])) == (0, 1)
    listed = told("shard", "list")["shards"]
    assert outages["records"] == sum(one["records"] for one in listed)
    watched = tmp_path / "watched.csv"
    watched.write_text("person,label\nnhs_number:9990000018,somebody\n")
    words = [
        ("search",), ("count", "--by", "reason"), ("reach",), ("due",), ("register",), ("outages",),
        ("watch", str(watched)), ("show", str(UUID(int=0))),
    ]  # fmt: skip
    (settings.audit_directory / listed[0]["file"]).write_bytes(b"no log at all")
    for command in words:
        with pytest.raises(Stop, match=f"{listed[0]['file']} cannot be read") as stopped:
            run("audit", *command, *home)
        assert stopped.value.code == 2
