"""`audit search|show|verify`, as they are typed."""

from __future__ import annotations

import json

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.reader import find_log
from gateway.cli.audit_log import find_exchanges
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
