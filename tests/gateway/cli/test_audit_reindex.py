"""`audit reindex`, as it is typed."""

from __future__ import annotations

import json

import pytest

from gateway.audit.reading.reader import find_log
from gateway.audit.search.index import index_path
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one


def test_an_index_is_made_anew(run: Run, new_home: NewHome) -> None:
    """Whether there is one or not, it says how far it has come, and searches find as before."""
    home = new_home.settings.home
    exchange = deny_one(new_home.settings)
    for _ in range(2):
        assert "index-" in run("audit", "reindex", "--home", home).stdout
    made = json.loads(run("audit", "reindex", "--home", home, "--json").stdout)
    assert made["records"] == 2
    assert exchange in run("audit", "search", "--home", home).stdout


def test_the_index_of_an_ended_shard_is_made_anew_too(run: Run, new_home: NewHome) -> None:
    """What is counted goes over all shards, and needs each of their indices."""
    home = ("--home", new_home.settings.home)
    deny_one(new_home.settings)
    run("audit", "shard", "retire", "--reason", "year end", *home)
    deny_one(new_home.settings)
    made = json.loads(run("audit", "reindex", *home, "--json").stdout)
    assert [one["records"] for one in made["shards"]] == [3, 2]
    assert made["file"] == made["shards"][1]["file"]


def test_a_torn_index_says_how_to_mend_it(run: Run, new_home: NewHome) -> None:
    """It is the one file that may be removed."""
    deny_one(new_home.settings)
    path = index_path(find_log(new_home.settings.audit_directory))
    path.write_bytes(b"torn" * 2048)
    with pytest.raises(Stop, match="index cannot be opened") as stopped:
        run("audit", "reindex", "--home", new_home.settings.home)
    assert "remove the file" in stopped.value.mend
    path.unlink()
    assert run("audit", "reindex", "--home", new_home.settings.home).exit_code == 0
