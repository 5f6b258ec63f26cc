"""State carried from one shard into the next."""

from __future__ import annotations

from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from gateway.audit.lifecycle.carry import STATE_TABLES, carry
from gateway.audit.sqlite import open_database
from tests.gateway.audit.records import provisioned, selected, tampered


@pytest.mark.parametrize("frozen", [True, False])
def test_a_table_is_carried_whole_or_not_at_all(tmp_path: Path, *, frozen: bool) -> None:
    """One row that cannot be copied takes its table's others with it, and no other table's (I4)."""
    old, new = (provisioned(tmp_path / name) for name in ("old", "new"))
    tampered(old, "INSERT INTO audit_counter VALUES (x'01', 1)")
    tampered(old, "INSERT INTO audit_claim VALUES (x'01', 1), (x'02', 1)")
    tampered(new, "INSERT INTO audit_claim VALUES (x'02', 1)")
    db = open_database(new)
    try:
        if frozen:
            assert carry(old, db, STATE_TABLES, frozen=True) == ("audit_claim",)
        else:
            with pytest.raises(sqlite.IntegrityError):
                carry(old, db, STATE_TABLES, frozen=False)
    finally:
        db.close()
    assert selected(new, "SELECT key FROM audit_claim") == [(b"\x02",)]
    assert len(selected(new, "SELECT key FROM audit_counter")) == frozen
