"""Picking records: filters, times, openings, and what a damaged record does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.audit.entry import EntryInvalid, Kind
from gateway.audit.exports import selection as selection_module
from gateway.audit.exports.selection import EXCHANGE_MS_MAX, Opening, Picked, Selection, pick
from gateway.audit.log import AuditLog
from gateway.audit.place import Place
from gateway.audit.reading.reader import snapshot
from gateway.clock import new_uuid7, system_time_us
from tests.gateway.audit.exporting import AGREEMENTS, PERSON, RECORDS, export_log
from tests.gateway.audit.records import (
    keys_in,
    outcome,
    place_in,
    record,
    selected,
    tampered,
    using,
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a log."""
    return export_log(tmp_path_factory.mktemp("log"))


def picked(log: Place, selection: Selection, *, opened: bool = False) -> list[Picked]:
    """Return what a selection picks."""
    keys = keys_in(log.parent.parent) if opened else None
    with snapshot(log) as db:
        return list(pick(db, selection, end=RECORDS, keys=keys))


def test_everything_is_picked_in_order(log: Path) -> None:
    """Without a filter every record is picked, and the caller hears how far the reading is."""
    told: list[int] = []
    with snapshot(log) as db:
        found = list(pick(db, Selection(), end=RECORDS, told=told.append))
    assert [item.index for item in found] == list(range(RECORDS))
    assert told == [RECORDS]


def test_an_exchange_s_later_records_follow_its_first(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outcome names no agreement: its intent's counts, remembered or read again."""
    for remembered in (4_096, 1):
        monkeypatch.setattr(selection_module, "INTENTS_REMEMBERED_MAX", remembered)
        found = picked(log, Selection(agreement=AGREEMENTS[1]))
        assert len(found) == 16 * 2 + 4
        assert all(item.section("core")["agreement"] == AGREEMENTS[1] for item in found)
    outcomes = picked(log, Selection(agreement=AGREEMENTS[1], kind=Kind.OUTCOME))
    assert len(outcomes) == 16
    assert outcomes[0].section("core")["method"] == "GET"


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (Selection(decision="deny"), 8),
        (Selection(reason="PURPOSE_NOT_PERMITTED"), 8),
        (Selection(organisation="ods:X9Z"), RECORDS - 2),
        (Selection(organisation="ods:NONE"), 0),
        (Selection(purpose="SHIELDING_SUPPORT", service="nhse-spl"), RECORDS - 2),
        (Selection(kind=Kind.CHANGE), 1),
    ],
)
def test_each_filter_must_hold(log: Path, selection: Selection, count: int) -> None:
    """Filters are joined by and; those of the first record count for all of an exchange."""
    assert len(picked(log, selection)) == count


def test_times_are_the_records_own(log: Path) -> None:
    """From is inclusive and until exclusive; nothing near the edge is missed."""
    times = [row[0] for row in selected(log, "SELECT t FROM audit_record ORDER BY leaf_index")]
    middle = times[30]
    expected = [index for index, at in enumerate(times) if middle <= at < times[50]]
    found = picked(log, Selection(from_us=middle, until_us=times[50]))
    assert [item.index for item in found] == expected
    assert picked(log, Selection(from_us=times[-1] + 120_000_000)) == []
    assert picked(log, Selection(until_us=times[0] - 120_000_000)) == []


def test_exchanges_are_found_by_their_identifier(log: Path) -> None:
    """Intent and outcome of each; a record of no exchange by its own identifier."""
    rows = selected(log, "SELECT exchange FROM audit_record WHERE leaf_index IN (2, 3)")
    own = selected(log, "SELECT record_id FROM audit_record WHERE leaf_index = 1")
    wanted = tuple(row[0] for row in [*rows, *own])
    assert [item.index for item in picked(log, Selection(exchanges=wanted))] == [1, 2, 3, 4]
    assert Selection(exchanges=wanted, kind=Kind.DENY).asked()["kind"] is Kind.DENY


def test_the_late_end_of_a_long_exchange_is_picked_with_it(tmp_path: Path) -> None:
    """What was closed after a night without a gateway, with progress on record before it (I8)."""
    made_ms = system_time_us() // 1_000 - EXCHANGE_MS_MAX - 3_600_000

    def earlier() -> bytes:
        return made_ms.to_bytes(6, "big") + new_uuid7()[6:]

    async def use(log: AuditLog) -> None:
        for kind in (Kind.INTENT, Kind.PROGRESS):
            made = record(kind, exchange, core={"agreement": AGREEMENTS[0]})
            await log.append(replace(made, record_id=earlier()))
        await log.append(record(Kind.INDETERMINATE, exchange, core={}))

    exchange = earlier()
    using(tmp_path, use)
    found = picked(place_in(tmp_path), Selection(exchanges=(exchange,)))
    assert [it.kind for it in found] == [Kind.INTENT, Kind.PROGRESS, Kind.INDETERMINATE]


def test_an_end_after_it_was_closed_as_not_known_is_picked(tmp_path: Path) -> None:
    """A late outcome is the answer to what the record before it left open (I8)."""

    def hours_ago(hours: int) -> bytes:
        made_ms = system_time_us() // 1_000 - hours * 3_600_000
        return made_ms.to_bytes(6, "big") + new_uuid7()[6:]

    async def use(log: AuditLog) -> None:
        made = record(Kind.INTENT, exchange, core={"agreement": AGREEMENTS[0]})
        await log.append(replace(made, record_id=hours_ago(3)))
        closed = record(Kind.INDETERMINATE, exchange, core={"intent": 1, "reason": "OVERDUE"})
        await log.append(replace(closed, record_id=hours_ago(2)))
        await log.append(outcome(exchange))

    exchange = hours_ago(3)
    using(tmp_path, use)
    found = picked(place_in(tmp_path), Selection(exchanges=(exchange,)))
    assert [it.kind for it in found] == [Kind.INTENT, Kind.INDETERMINATE, Kind.LATE_OUTCOME]


def test_sections_are_opened_for_who_asks(log: Path) -> None:
    """Closed without keys, open with them, erased where the key is gone (I9)."""
    closed = picked(log, Selection(kind=Kind.DENY))[0]
    assert closed.sections["subject"] == "closed"
    assert closed.section("subject") == {}
    opened = picked(log, Selection(kind=Kind.DENY), opened=True)[0]
    assert isinstance(opened.sections["subject"], Opening)
    assert opened.section("subject")["ids"] == [PERSON]
    ended = picked(log, Selection(kind=Kind.OUTCOME), opened=True)[0]
    assert ended.section("actor")["client"] == "council-app"


def test_erased_sections_and_damaged_records(tmp_path: Path) -> None:
    """An erased section says so; a record whose sections were changed does not leave the log."""
    log = export_log(tmp_path)
    tampered(log, "DELETE FROM audit_key WHERE leaf_index = 2")
    assert picked(log, Selection(), opened=True)[2].sections["net"] == "erased"
    tampered(log, "UPDATE audit_key SET wrapped = zeroblob(90) WHERE leaf_index = 3")
    with pytest.raises(EntryInvalid):
        picked(log, Selection(), opened=True)
    tampered(log, "DELETE FROM audit_record WHERE leaf_index = 3")
    with pytest.raises(EntryInvalid, match="intent at index 3 is missing"):
        picked(log, Selection())
