"""After an I/O error: nothing is signed until a start has recovered the log and said so."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.disk.doubt import is_in_doubt, set_doubt
from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.log import AuditLog
from gateway.audit.reading.reader import snapshot
from gateway.audit.recovery import recover
from gateway.audit.seal import Sealer
from gateway.audit.store import LogUnavailable
from tests.gateway.audit.records import (
    ORIGIN,
    filled,
    integrated,
    intent,
    keys_in,
    record,
    selected,
    using,
)


def test_a_start_recovers_before_anything_is_signed(tmp_path: Path) -> None:
    """F3: the incident is a record before the next checkpoint, which covers it (I3, I5)."""
    path = filled(tmp_path, 1)
    set_doubt(path.parent)
    with pytest.raises(LogUnavailable, match="nothing is signed"):
        integrated(tmp_path)

    async def use(log: AuditLog) -> None:
        assert (await log.append(intent())).index == 4

    using(tmp_path, use)
    assert not is_in_doubt(path.parent)
    integrated(tmp_path)
    kinds = selected(path, "SELECT kind FROM audit_record ORDER BY leaf_index")
    assert kinds[3] == (KIND_CODES[Kind.INCIDENT],)
    assert selected(path, "SELECT max(size) FROM audit_checkpoint") == [(5,)]


def test_a_file_that_is_being_read_stays_in_doubt(tmp_path: Path) -> None:
    """F3: not everything could be written anew, so the doubt stays and the start fails (I5)."""
    path = filled(tmp_path, 1)
    incident = Sealer(ORIGIN, keys_in(tmp_path)).seal(record(Kind.INCIDENT, None, core={}))

    async def use(log: AuditLog) -> None:
        with snapshot(log.path) as db:
            db.execute("SELECT count(*) FROM audit_record").fetchone()
            await log.append(intent())
            set_doubt(log.directory)
            with pytest.raises(LogUnavailable, match="read while it must be recovered"):
                recover(path, incident)
            assert is_in_doubt(log.directory)
        recover(path, incident)
        recover(path, incident)  # another process that starts finds it done

    using(tmp_path, use)
    assert not is_in_doubt(path.parent)
    assert selected(path, "SELECT next_index FROM audit_head") == [(5,)]
