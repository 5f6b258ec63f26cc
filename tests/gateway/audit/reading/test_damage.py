"""Damage of a log's file: none in a sound one, and a schema that its rows contradict."""

from __future__ import annotations

from pathlib import Path

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.reading.damage import find_damage
from gateway.audit.reading.reader import snapshot, verify_log
from tests.gateway.audit.records import provisioned


def test_damage_is_told(tmp_path: Path) -> None:
    """A sound file has none; one whose table and index differ has (F4)."""
    log = provisioned(tmp_path)
    with snapshot(log) as db:
        assert find_damage(db) == ()
    change = (
        "UPDATE sqlite_schema SET sql = replace(sql, 'exchange BLOB', 'exchange BLOB NOT NULL')"
    )
    database = sqlite.connect(str(log), isolation_level=None)
    database.execute("PRAGMA writable_schema = ON")
    database.execute(f"{change} WHERE name = 'audit_record'")
    database.close()
    with snapshot(log) as db:
        assert find_damage(db) == ("NULL value in audit_record.exchange",)


def test_damage_that_is_no_text_is_a_fault(tmp_path: Path) -> None:
    """What SQLite says of it quotes it, and the verification comes to its end (F4, F20)."""
    log = provisioned(tmp_path)
    database = sqlite.connect(str(log), isolation_level=None)
    database.execute("PRAGMA writable_schema = ON")
    database.execute(
        "UPDATE sqlite_schema SET name = CAST(x'6CB1' AS TEXT), sql = 'CREATE TABLE'"
        " WHERE name = 'audit_tree'"
    )
    database.close()
    report = verify_log(log)
    assert not report.ok
    assert "cannot be read" in report.faults[0].what
