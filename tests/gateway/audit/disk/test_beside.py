"""Keys and holds beside the records change as planned, or the record is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.entry import Kind
from gateway.audit.log import AuditLog
from gateway.audit.store import (
    Beside,
    HoldAdded,
    HoldReleased,
    HoldsUnchanged,
    KeyChange,
    Overtaken,
)
from gateway.clock import new_uuid7
from tests.gateway.audit.records import each_store, filled, record, selected, using

HOLD = HoldAdded(new_uuid7(), "agreement", b"DSA-2026-0003", "LITIGATION", 1)
STALE = (
    KeyChange(1, b"not what is there", None),
    KeyChange(1, b"not what is there", b"anew"),
    HoldsUnchanged(7),
    HoldReleased(new_uuid7()),
)


@each_store
@pytest.mark.parametrize("stale", STALE, ids=lambda change: type(change).__name__)
def test_what_was_overtaken_refuses_the_record_and_all_it_changes(
    tmp_path: Path, stale: Beside
) -> None:
    """Neither the record nor its other changes are stored; batch mates are (I4, I9)."""
    path = filled(tmp_path, 1)
    state = "SELECT leaf_index, wrapped FROM audit_key ORDER BY leaf_index"
    keys = selected(path, state)

    async def use(log: AuditLog) -> None:
        told = record(Kind.CHANGE, None, core={"verb": "hold"})
        with pytest.raises(Overtaken):
            await log.append(told, counters=[HOLD, stale])
        assert (await log.append(record(Kind.CHANGE, None, core={"verb": "other"}))).index == 3

    using(tmp_path, use)
    assert selected(path, state) == keys
    assert selected(path, "SELECT hold FROM audit_hold") == []
    assert selected(path, "SELECT version FROM audit_hold_version") == [(0,)]


@each_store
def test_each_change_is_made_once(tmp_path: Path) -> None:
    """Keys go or are wrapped anew; every hold that comes or goes steps the version."""
    path = filled(tmp_path, 1)
    ((index, wrapped),) = selected(path, "SELECT leaf_index, wrapped FROM audit_key")

    steps: tuple[tuple[Beside, ...], ...] = (
        (HOLD, KeyChange(index, wrapped, b"anew")),
        (HoldsUnchanged(1), KeyChange(index, b"anew", None)),
        (HoldReleased(HOLD.hold),),
    )

    async def use(log: AuditLog) -> None:
        for changes in steps:
            told = record(Kind.CHANGE, None, core={"verb": "hold"})
            await log.append(told, counters=changes)
            if HOLD in changes:
                assert selected(path, "SELECT * FROM audit_hold") == [tuple(HOLD)]
                assert selected(path, "SELECT wrapped FROM audit_key") == [(b"anew",)]

    using(tmp_path, use)
    assert selected(path, "SELECT * FROM audit_key") == []
    assert selected(path, "SELECT version FROM audit_hold_version") == [(2,)]
