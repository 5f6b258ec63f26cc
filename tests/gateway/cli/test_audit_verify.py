"""`audit verify|fsck`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log
from gateway.cli.audit_log import find_exchanges
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.data_plane import log_origin
from tests.gateway.audit.records import tampered
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one


def test_a_log_that_is_not_there_cannot_be_told(run: Run, tmp_path: Path) -> None:
    """It is exit 2, not a log with a fault, with a home and without."""
    for words in (("--vkey", "x"), ()):
        with pytest.raises(Stop, match="no audit log at") as stopped:
            run("audit", "verify", "--log", tmp_path / "nonexistent", *words)
        assert stopped.value.code == 2


def test_verify_names_the_index_of_a_changed_byte(run: Run, new_home: NewHome) -> None:
    """A log that holds is exit 0; one changed byte is exit 1, with its record's index (F20)."""
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
    assert "index 1: " in run("audit", "verify", "--home", home).stdout


def test_sealed_sections_are_opened_where_that_is_asked_for(run: Run, new_home: NewHome) -> None:
    """Without --open they are counted, with it checked, and one that was changed is told (F20)."""
    settings = new_home.settings
    deny_one(settings)
    words = ("audit", "verify", "--home", settings.home)
    counted = json.loads(run(*words, "--json").stdout)["sections"]
    assert counted["opened"] == 0 < counted["unopened"]
    assert "(--open opens them)" in run(*words).stdout
    checked = json.loads(run(*words, "--open", "--json").stdout)["sections"]
    assert checked == {"opened": counted["unopened"], "erased": 0, "unopened": 0}
    tampered(
        find_log(settings.audit_directory),
        "UPDATE audit_key SET wrapped = zeroblob(90) WHERE leaf_index = 1",
    )
    assert run(*words).exit_code == 0
    assert run(*words, "--open").exit_code == 1


def test_without_a_home_the_file_and_the_key_do(run: Run, new_home: NewHome) -> None:
    """An auditor who has the file and the publisher's key needs nothing else."""
    settings = new_home.settings
    deny_one(settings)
    log = find_log(settings.audit_directory)
    vkey = LogKeys(settings.keys_directory).signer(log_origin(settings)).verifier.vkey()
    assert run("audit", "verify", "--log", log, "--vkey", vkey, "--jobs", "1").exit_code == 0
    assert run("audit", "fsck", "--log", log, "--home", settings.home).exit_code == 0


def test_fsck_tells_a_broken_index(run: Run, new_home: NewHome) -> None:
    """What SQLite finds wrong with the file is a fault of its own (F4)."""
    settings = new_home.settings
    deny_one(settings)
    words = ("audit", "fsck", "--home", settings.home)
    assert run(*words).stdout.endswith("verified\n")
    log = find_log(settings.audit_directory)
    database = sqlite.connect(str(log))
    database.execute("PRAGMA writable_schema = ON")
    database.execute(
        "UPDATE sqlite_schema SET sql = replace(sql, 'exchange BLOB', 'exchange BLOB NOT NULL')"
        " WHERE name = 'audit_record'"
    )
    database.commit()
    database.close()
    result = run(*words)
    assert result.exit_code == 1
    assert "index 0: the file: NULL value in audit_record.exchange" in result.stdout
