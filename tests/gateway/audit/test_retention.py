"""Retention: each class goes when it is due, a whole day with its key, and what is held stays."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.holds import adding, new_hold
from gateway.audit.keyed import Beginning, core_of
from gateway.audit.keys import LogKeys
from gateway.audit.log import AuditLog
from gateway.audit.people import year_of
from gateway.audit.reader import verify_log
from gateway.audit.retention import MEMORY_NAME, Expirer, Periods
from gateway.audit.seal import DAY_US
from gateway.audit.store import LogUnavailable
from gateway.clock import system_time_us
from policies.times import Duration
from tests.gateway.audit.erasing import AGREEMENT, ANN, exchange_about
from tests.gateway.audit.records import (
    each_store,
    integrated,
    keys_in,
    opened,
    record,
    selected,
    using,
)

PERIODS = Periods(net=Duration(months=12), records=Duration(months=72))
TODAY = system_time_us() // DAY_US


def expired(directory: Path, days_on: int, on_hold: Collection[str] = ()) -> int:
    """Expire what is due so many days from now."""

    async def run() -> int:
        log = opened(directory, instance="control")
        await log.start()
        try:
            keys = keys_in(directory)
            expirer = Expirer(log, keys, PERIODS, agreements_on_hold=lambda: on_hold)
            return await expirer.expire((TODAY + days_on) * DAY_US)
        finally:
            await log.stop()

    return asyncio.run(run())


def with_two_periods(directory: Path) -> Path:
    """Make a log with an exchange that is kept for two years, and one for four."""

    async def use(log: AuditLog) -> None:
        await exchange_about(log, ANN, kept_for="P2Y")
        await exchange_about(log, ANN, kept_for="P4Y", agreement="DSA-2026-0004")

    using(directory, use)
    return integrated(directory)


def told(path: Path) -> list[dict[str, object]]:
    """Return what the log's records say of erasures."""
    rows = selected(
        path,
        "SELECT sections FROM audit_record WHERE kind = ? ORDER BY leaf_index",
        KIND_CODES[Kind.ERASURE],
    )
    return [core_of(sections) for (sections,) in rows]


@pytest.mark.parametrize(
    ("name", "kept_for", "due"),
    [
        ("net", "P8Y", "2025-02-28"),
        ("net", "P30D", "2024-03-30"),
        ("net", None, "2025-02-28"),
        ("actor", "P8Y", "2032-02-29"),
        ("subject", None, "2030-02-28"),
    ],
)
def test_when_a_section_is_due(name: str, kept_for: str | None, due: str) -> None:
    """An agreement's period goes for its records, by the calendar; addresses go sooner."""
    at_us = int(datetime(2024, 2, 29, tzinfo=UTC).timestamp()) * 1_000_000
    due_us = PERIODS.due_us(name, at_us, Beginning("DSA-1", kept_for))
    assert f"{datetime.fromtimestamp(due_us / 1e6, UTC):%Y-%m-%d}" == due


@each_store
def test_classes_expire_one_after_the_other_and_the_day_with_its_key(tmp_path: Path) -> None:
    """I9: sections go as they are due; once nothing of a day is left to keep, its key goes."""
    path, keys = with_two_periods(tmp_path), keys_in(tmp_path)
    (day,) = keys.days()
    assert expired(tmp_path, 300) == 0
    assert expired(tmp_path, 370) == 2
    assert expired(tmp_path, 371) == 0
    assert expired(tmp_path, 740) == 4
    assert keys.days() == (day,)
    assert [one["by"] for one in told(path)] == ["retention"] * 2
    assert expired(tmp_path, 1_470) == 4
    assert keys.days() == ()
    assert told(path)[-1] == {"by": "day", "day": day, "reason": "RETENTION_EXPIRED", "sections": 4}
    report = verify_log(integrated(tmp_path), keys=keys)
    assert (report.ok, report.opened, report.erased) == (True, 0, 10)


@each_store
def test_what_is_on_hold_does_not_expire(tmp_path: Path) -> None:
    """Neither what was put on hold nor what an agreement's own text holds goes (I9)."""
    path, keys = with_two_periods(tmp_path), keys_in(tmp_path)

    async def hold(log: AuditLog) -> None:
        change = adding(new_hold(AGREEMENT, "LITIGATION"), keys.state_key())
        await log.append(record(Kind.CHANGE, None, core={"verb": "hold"}), counters=change)

    using(tmp_path, hold)
    assert expired(tmp_path, 1_470, on_hold=["DSA-2026-0004"]) == 0
    assert expired(tmp_path, 1_471) == 5
    assert len(keys.days()) == 1
    assert verify_log(path, keys=keys).erased == 5


@each_store
def test_a_year_s_subject_key_goes_with_its_last_day(tmp_path: Path) -> None:
    """Once no day of a past year can be opened, nobody of that year can be found either (I9)."""
    path, keys = with_two_periods(tmp_path), keys_in(tmp_path)
    year = year_of(TODAY * DAY_US)
    keys.subject_key(year)
    expired(tmp_path, 740)
    assert keys.subject_years() == (year,)
    expired(tmp_path, 1_470)
    assert keys.subject_years() == ()
    last = selected(path, "SELECT sections FROM audit_record ORDER BY leaf_index DESC LIMIT 1")
    assert core_of(last[0][0]) == {
        "verb": "destroy-key",
        "what": "subject-year",
        "year": year,
        "reason": "RETENTION_EXPIRED",
    }


@each_store
def test_what_is_not_due_is_remembered_and_a_lost_memory_costs_time_alone(tmp_path: Path) -> None:
    """A restart goes through no day before it is due; without the file it looks once more."""
    with_two_periods(tmp_path)
    expired(tmp_path, 300)
    memory = tmp_path / "audit" / MEMORY_NAME
    first, line = memory.read_text().splitlines()
    assert first == "P1Y P6Y"
    assert (int(line.split()[0]),) == keys_in(tmp_path).days()
    memory.write_text("P1Y P6Y\nnonsense")
    assert expired(tmp_path, 370) == 2


@each_store
def test_expiry_waits_where_it_cannot_be_told_what_is_held(tmp_path: Path) -> None:
    """Without the registry nothing expires, and the next round may find it well again."""
    with_two_periods(tmp_path)
    asked: list[int] = []
    seen: list[LogUnavailable | None] = []
    stop = asyncio.Event()

    def fail() -> frozenset[str]:
        asked.append(1)
        raise LogUnavailable("it cannot be told what is on hold")

    def report(failure: LogUnavailable | None) -> None:
        seen.append(failure)
        stop.set()

    async def use(log: AuditLog) -> None:
        keys: LogKeys = keys_in(tmp_path)
        await Expirer(log, keys, PERIODS, agreements_on_hold=fail).run(stop, report)

    using(tmp_path, use)
    assert len(asked) == 1
    assert isinstance(seen[0], LogUnavailable)
