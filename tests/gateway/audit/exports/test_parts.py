"""Which shards an export reads, and how far."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.audit.entry import Kind
from gateway.audit.exports.parts import Part, extents, parts_of
from gateway.audit.exports.selection import Selection
from gateway.audit.log import AuditLog
from gateway.audit.search.across import SHARD_SKEW_US
from gateway.audit.store import LogUnavailable
from gateway.clock import system_time_us
from tests.gateway.audit.exporting import RECORDS, export_log
from tests.gateway.audit.records import intent, tampered
from tests.gateway.audit.sharded import integrated_newest, retired, using_newest

OLDER, NEWER = "gateway.dept-a.example/audit/2026", "gateway.dept-a.example/audit/2026-2"


async def one_more(log: AuditLog) -> None:
    """Append a record."""
    await log.append(intent())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A log of two shards, of which nothing of the newer one is signed yet."""
    export_log(tmp_path)
    retired(tmp_path)
    using_newest(tmp_path, one_more)
    return tmp_path / "audit"


def reach_of(parts: Sequence[Part]) -> list[tuple[str, int]]:
    """Return which shards are read, and how far."""
    return [(part.origin, part.end) for part in parts]


def test_what_is_proved_ends_at_a_published_checkpoint(home: Path) -> None:
    """A new shard has none yet; without an ended one's, nothing is passed over in silence (I5)."""
    everything = Selection()
    assert reach_of(parts_of(home, everything, proved=False)) == [(OLDER, RECORDS + 1), (NEWER, 2)]
    assert reach_of(parts_of(home, everything, proved=True)) == [(OLDER, RECORDS + 1)]
    integrated_newest(home.parent)
    assert reach_of(parts_of(home, everything, proved=True)) == [(OLDER, RECORDS + 1), (NEWER, 2)]
    tampered(home / "audit-2026.db", "DELETE FROM audit_checkpoint")
    with pytest.raises(LogUnavailable, match="the shard 2026 has no checkpoint"):
        parts_of(home, everything, proved=True)


def test_shards_without_records_are_passed_over(home: Path) -> None:
    """One that has some is given; where none has, it is the newest that says so."""

    def given(selection: Selection) -> list[tuple[str, int]]:
        parts = parts_of(home, selection, proved=False)
        return [
            (one.part.origin, len(list(one.picks))) for one in extents(parts, selection, keys=None)
        ]

    assert given(Selection()) == [(OLDER, RECORDS + 1), (NEWER, 2)]
    assert given(Selection(decision="deny")) == [(OLDER, 8)]
    assert given(Selection(kind=Kind.INTENT, agreement="DSA-2026-0003")) == [
        (OLDER, 16),
        (NEWER, 1),
    ]
    assert given(Selection(agreement="DSA-NONE")) == [(NEWER, 0)]


def test_a_shard_of_another_time_is_not_read(home: Path) -> None:
    """Nor need it be readable; where it could hold something, nothing is exported."""
    later = Selection(from_us=system_time_us() + 2 * SHARD_SKEW_US)
    (home / "audit-2026.db").write_bytes(b"no log at all")
    assert reach_of(parts_of(home, later, proved=False)) == [(NEWER, 2)]
    with pytest.raises(LogUnavailable, match=r"audit-2026\.db cannot be read"):
        parts_of(home, Selection(), proved=False)


def test_the_reading_tells_how_far_it_is(home: Path) -> None:
    """Of all shards together, without a step back."""
    told: list[tuple[int, int]] = []
    parts = parts_of(home, Selection(), proved=False)
    for extent in extents(parts, Selection(), keys=None, told=lambda *far: told.append(far)):
        list(extent.picks)
    assert told == [(RECORDS + 1, RECORDS + 3), (RECORDS + 3, RECORDS + 3)]
