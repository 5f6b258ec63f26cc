"""Retention: each class goes when it is due, a whole day with its key, and what is held stays."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.holds import Holds, adding, new_hold
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.log import AuditLog
from gateway.audit.people import year_of
from gateway.audit.privacy.erasable import exchanges_on_hold
from gateway.audit.privacy.keyed import Beginning, Connection, Opener, core_of
from gateway.audit.privacy.retention import MEMORY_NAME, Expirer, Periods
from gateway.audit.reading.reader import find_log, shard_name, verify_log
from gateway.audit.seal import DAY_US
from gateway.audit.store import LogUnavailable, Overtaken
from gateway.clock import system_time_us
from policies.times import Duration
from tests.gateway.audit.erasing import AGREEMENT, ANN, exchange_about
from tests.gateway.audit.lifecycle.test_shards import newest, retired
from tests.gateway.audit.records import (
    each_store,
    integrated,
    keys_in,
    opened,
    record,
    selected,
    tampered,
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


def held(directory: Path) -> None:
    """Put the test's agreement on hold, as another process does."""

    async def hold(log: AuditLog) -> None:
        change = adding(new_hold(AGREEMENT, "LITIGATION"), keys_in(directory).state_key())
        await log.append(record(Kind.CHANGE, None, core={"verb": "hold"}), counters=change)

    using(directory, hold)


class Meanwhile(LogKeys):
    """Keys that are asked for their days once a round knows the holds: then something happens."""

    def __init__(self, directory: Path, happening: Callable[[Path], None]) -> None:
        """Let it happen once, in a thread of its own."""
        super().__init__(directory / "keys")
        self._happening: list[threading.Thread] = [
            threading.Thread(target=happening, args=(directory,))
        ]

    def days(self) -> tuple[int, ...]:
        """Return the days, once it has happened."""
        while self._happening:
            thread = self._happening.pop()
            thread.start()
            thread.join()
        return super().days()


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


@pytest.mark.parametrize("days_on", [370, 1_470])
def test_a_hold_that_comes_while_a_round_runs_is_kept_to(tmp_path: Path, days_on: int) -> None:
    """I9: neither sections nor their day's key go; the next round goes by the hold, and goes on."""
    path = with_two_periods(tmp_path)
    before = selected(path, "SELECT leaf_index, wrapped FROM audit_key WHERE leaf_index < 5")
    gone: list[int] = []

    async def use(log: AuditLog) -> None:
        keys = Meanwhile(tmp_path, held)
        expirer = Expirer(log, keys, PERIODS, agreements_on_hold=tuple)
        with pytest.raises(Overtaken):
            await expirer.expire((TODAY + days_on) * DAY_US)
        after = selected(path, "SELECT leaf_index, wrapped FROM audit_key WHERE leaf_index < 5")
        assert (after, len(keys.days())) == (before, 1)
        gone.append(await expirer.expire((TODAY + days_on) * DAY_US))

    using(tmp_path, use)
    assert gone == [1 if days_on == 370 else 5]
    assert len(keys_in(tmp_path).days()) == 1


@pytest.mark.parametrize("days_on", [370, 1_470])
def test_an_agreement_that_comes_to_hold_its_records_is_asked_again(
    tmp_path: Path, days_on: int
) -> None:
    """I9: what its text says is looked at right before anything of the day goes."""
    with_two_periods(tmp_path)
    answers: list[Collection[str]] = [(), (AGREEMENT,)]

    async def use(log: AuditLog) -> None:
        keys = keys_in(tmp_path)
        expirer = Expirer(log, keys, PERIODS, agreements_on_hold=lambda: answers.pop(0))
        with pytest.raises(Overtaken):
            await expirer.expire((TODAY + days_on) * DAY_US)

    using(tmp_path, use)
    assert answers == []
    assert told(find_log(tmp_path / "audit")) == []
    assert expired(tmp_path, days_on, on_hold=[AGREEMENT]) == (1 if days_on == 370 else 5)


def test_a_memory_that_forgot_a_day_is_not_believed(tmp_path: Path) -> None:
    """A day that is never due again has lost its key: one that has it still is gone through."""
    with_two_periods(tmp_path)
    (day,) = keys_in(tmp_path).days()
    (tmp_path / "audit" / MEMORY_NAME).write_text(f"P1Y P6Y\n{day} {1 << 62}")
    assert expired(tmp_path, 1_470) == 10
    assert keys_in(tmp_path).days() == ()


@pytest.mark.parametrize(
    ("damage", "stays"),
    [
        ("UPDATE audit_key SET wrapped = x'' WHERE leaf_index = 1", True),
        ("UPDATE audit_key SET wrapped = substr(wrapped, 1, 60) WHERE leaf_index = 1", False),
        ("UPDATE audit_record SET sections = x'ff00' WHERE leaf_index = 1", True),
    ],
)
def test_a_damaged_record_is_told_and_all_others_expire(
    tmp_path: Path, damage: str, *, stays: bool
) -> None:
    """What cannot be read might be on hold: its day keeps its key, and nothing else does (I9)."""
    path, keys = with_two_periods(tmp_path), keys_in(tmp_path)
    tampered(path, damage)

    async def use(log: AuditLog) -> None:
        expirer = Expirer(log, keys, PERIODS, agreements_on_hold=tuple)
        assert await expirer.expire((TODAY + 370) * DAY_US) == 1
        assert len(expirer.left) == 1
        assert "are damaged" in expirer.left[0]
        await expirer.expire((TODAY + 1_470) * DAY_US)
        assert bool(expirer.left) == stays

    using(tmp_path, use)
    assert bool(keys.days()) == stays
    left = selected(path, "SELECT leaf_index FROM audit_key WHERE leaf_index IN (1, 3, 4)")
    assert left == ([(1,)] if stays else [(1,), (3,), (4,)])  # else gone with their day's key


def test_an_ended_shard_that_cannot_be_read_is_told_and_the_others_expire(tmp_path: Path) -> None:
    """A disk that lost one year's file keeps no later record longer than it may be kept (I9)."""
    ended = with_two_periods(tmp_path)
    retired(tmp_path)
    ended.write_bytes(b"no database" * 1_000)
    keys = keys_in(tmp_path)

    async def use() -> None:
        log = newest(tmp_path)
        await log.start()
        await exchange_about(log, ANN, kept_for="P2Y")
        expirer = Expirer(log, keys, PERIODS, agreements_on_hold=tuple)
        assert await expirer.expire((TODAY + 370) * DAY_US) == 1
        assert [one.partition(":")[0] for one in expirer.left] == [shard_name(ended)]
        await log.stop()

    asyncio.run(use())


def test_a_failing_disk_ends_no_retention(tmp_path: Path) -> None:
    """An error of the file system is told, and the next round is still to come."""
    with_two_periods(tmp_path)
    seen: list[LogUnavailable | None] = []
    stop = asyncio.Event()

    def fail() -> frozenset[str]:
        raise OSError(28, "No space left on device")

    def report(failure: LogUnavailable | None) -> None:
        seen.append(failure)
        stop.set()

    async def use(log: AuditLog) -> None:
        await Expirer(log, keys_in(tmp_path), PERIODS, agreements_on_hold=fail).run(stop, report)

    using(tmp_path, use)
    assert "No space left" in str(seen[0])


def test_a_day_key_that_cannot_be_used_holds_up_no_other_day(tmp_path: Path) -> None:
    """It is told whose file it is; every other day expires."""
    with_two_periods(tmp_path)
    keys, yesterday_us = keys_in(tmp_path), system_time_us() - DAY_US

    async def use(log: AuditLog) -> None:
        old = record(Kind.CHANGE, None, actor={"client": "x"}, net={"source": "192.0.2.7"})
        await log.append(replace(old, at_us=yesterday_us))
        (tmp_path / "keys" / f"log-day-{yesterday_us // DAY_US}.key").chmod(0o644)
        expirer = Expirer(log, keys, PERIODS, agreements_on_hold=tuple)
        assert await expirer.expire((TODAY + 371) * DAY_US) == 2
        assert "can be read by others" in expirer.left[0]

    using(tmp_path, use)


def test_who_is_on_hold_is_found_once_in_a_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every record of a shard is opened for it, which no day must cost anew."""
    with_two_periods(tmp_path)
    keys, looks = keys_in(tmp_path), list[int]()

    def counted(db: Connection, holds: Holds, opener: Opener) -> frozenset[bytes]:
        looks.append(1)
        return exchanges_on_hold(db, holds, opener)

    async def use(log: AuditLog) -> None:
        for days_ago in range(3):
            old = record(Kind.CHANGE, None, actor={"client": "x"}, net={"source": "192.0.2.7"})
            await log.append(replace(old, at_us=system_time_us() - days_ago * DAY_US // 2))
        monkeypatch.setattr("gateway.audit.privacy.retention.exchanges_on_hold", counted)
        expirer = Expirer(log, keys, PERIODS, agreements_on_hold=tuple)
        assert await expirer.expire((TODAY + 371) * DAY_US) == 5

    using(tmp_path, use)
    assert len(keys.days()) > 1
    assert len(looks) == 1


def test_a_round_that_is_told_to_stop_leaves_the_rest_to_the_next(tmp_path: Path) -> None:
    """A shutdown waits for no retention; what was not done is remembered as not done."""
    with_two_periods(tmp_path)
    keys, stop = keys_in(tmp_path), asyncio.Event()
    gone: list[int] = []
    stop.set()

    async def use(log: AuditLog) -> None:
        expirer = Expirer(log, keys, PERIODS, agreements_on_hold=tuple)
        gone.append(await expirer.expire((TODAY + 1_470) * DAY_US, stop))
        stop.clear()
        gone.append(await expirer.expire((TODAY + 1_470) * DAY_US, stop))

    using(tmp_path, use)
    assert gone == [0, 10]


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
