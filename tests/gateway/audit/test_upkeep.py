"""What both stores promise to those who work on the whole log."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from gateway.audit.store import LogUnavailable
from gateway.audit.upkeep import STORE_ERRORS, open_upkeep
from tests.gateway.audit.records import each_store, provisioned, selected


@each_store
def test_a_transaction_is_whole_or_not_at_all(tmp_path: Path) -> None:
    """What fails leaves nothing behind, and holds up nobody afterwards."""
    place = provisioned(tmp_path)
    claim = "INSERT INTO audit_claim VALUES (?, ?)"
    with closing(open_upkeep(place)) as upkeep:
        twice = [(b"one", 1), (b"one", 1)]
        with pytest.raises(STORE_ERRORS), upkeep.writing() as db:
            db.executemany(claim, twice)
        with upkeep.writing() as db:
            db.executemany(claim, [(b"two", 2), (b"three", 3)])
        upkeep.confirm()
        upkeep.extend()

    assert selected(place, "SELECT key FROM audit_claim ORDER BY expires") == [
        (b"two",),
        (b"three",),
    ]


@each_store
def test_what_is_not_here_is_not_alive(tmp_path: Path) -> None:
    """An instance that nobody knows has ended (I8)."""
    place = provisioned(tmp_path)
    with closing(open_upkeep(place)) as upkeep:
        assert set(upkeep.alive({"nobody"})) == set()
        upkeep.tidy({"nobody"})


def test_a_file_that_cannot_be_opened_is_a_log_that_fails(tmp_path: Path) -> None:
    """Whoever works on the log learns that it fails, and not how its driver says so."""
    path = provisioned(tmp_path)
    path.write_bytes(b"no database" * 1_000)
    with pytest.raises(LogUnavailable, match="audit store failed"):
        open_upkeep(path)
