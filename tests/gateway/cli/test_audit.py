"""`audit search|show|verify`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from gateway.audit.reader import find_log
from gateway.cli.audit_log import find_exchanges
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
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


def test_a_log_that_is_not_there_cannot_be_told(run: Run, tmp_path: Path) -> None:
    """It is exit 2, not a log with a fault, with a home and without."""
    for words in (("--vkey", "x"), ()):
        with pytest.raises(Stop, match="no audit log at") as stopped:
            run("audit", "verify", "--log", tmp_path / "nonexistent", *words)
        assert stopped.value.code == 2


def test_records_of_another_kind(run: Run, new_home: NewHome) -> None:
    """Readings of the log are listed by --kind, with the id that shows each."""
    home = new_home.settings.home
    deny_one(new_home.settings)
    words = ("audit", "search", "--kind", "log.access", "--home", home)
    (found,) = json.loads(run(*words, "--json").stdout)["exchanges"]
    assert found["entries"][0]["record_id"] in run(*words).stdout


def test_verify_names_the_index_of_a_changed_byte(run: Run, new_home: NewHome) -> None:
    """A log that holds is exit 0; one changed byte is exit 1, with the index of its record."""
    home = new_home.settings.home
    deny_one(new_home.settings)
    find_exchanges(new_home.settings, {}, limit=1, use="self_monitoring")
    assert run("audit", "verify", "--home", home).stdout.endswith("verified\n")
    database = sqlite.connect(str(find_log(new_home.settings.audit_directory)))
    database.execute(
        "UPDATE audit_record SET entry = CAST(replace(entry, 'v', 'w') AS BLOB)"
        " WHERE leaf_index = 1"
    )
    database.commit()
    database.close()
    result = run("audit", "verify", "--home", home, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert not report["ok"]
    assert report["faults"][0]["index"] == 1
