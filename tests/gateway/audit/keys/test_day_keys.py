"""Day keys with another keeper: fetched once, ahead of time, and an outage stops no exchange."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.audit.entry import Record
from gateway.audit.keys import day_keys
from gateway.audit.keys.day_keys import DayKeys, OtherKeeper
from gateway.audit.keys.files import KeysUnavailable
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.log import AuditLog
from gateway.audit.reading.reader import CannotTell, snapshot, verify_log
from gateway.audit.seal import DAY_US
from gateway.audit.store import LogUnavailable
from gateway.clock import system_time_us
from tests.gateway.audit.keeping import Keeper
from tests.gateway.audit.records import filled, integrated, intent, keys_in, using

WAIT_S = 60.0


def of_day(days_on: int) -> Record:
    """Return a record that is sealed with the key of a later day."""
    return replace(intent(), at_us=system_time_us() + days_on * DAY_US)


async def until_recorded(log: AuditLog, record: Record) -> None:
    """Append a record as soon as the key of its day has been fetched."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            await log.append(record)
        except LogUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        else:
            return


def kept_elsewhere(directory: Path) -> Keeper:
    """Make a log's directory whose day keys another keeper wraps."""
    keeper = Keeper(directory)
    keys_in(directory).wrap_days(keeper.program)
    return keeper


def test_an_outage_is_felt_only_by_a_day_whose_key_is_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I10: today goes on, and tomorrow; the day after is refused whole until the keeper answers."""
    monkeypatch.setattr(day_keys, "FIRST_LOOK_S", 0.01)
    monkeypatch.setattr(day_keys, "LOOK_S", 0.05)
    keeper = kept_elsewhere(tmp_path)
    today = system_time_us() // DAY_US

    async def use(log: AuditLog) -> None:
        await until_recorded(log, of_day(1))
        keeper.go_down()
        asked = len(keeper.calls())
        await log.append(of_day(0))
        await log.append(of_day(1))
        with pytest.raises(LogUnavailable, match="keeper does not answer"):
            await log.append(of_day(2))
        assert log.failure is None
        assert len(keeper.calls()) == asked
        await log.append(of_day(0))

    using(tmp_path, use)
    assert [name for name in keeper.calls() if name.endswith(f"-{today}")] == [
        f"wrap log-day-{today}",
        f"unwrap log-day-{today}",
    ]


def test_a_start_during_an_outage_refuses_until_the_keeper_is_back(tmp_path: Path) -> None:
    """I10: nothing is sealed without its day's key; what comes later is recorded again."""
    keeper, keys = kept_elsewhere(tmp_path), DayKeys(tmp_path / "keys")
    today = system_time_us() // DAY_US
    keeper.go_down()
    with pytest.raises(KeysUnavailable):
        keys.fetch(today)
    with pytest.raises(KeysUnavailable):
        keys.get(today)
    keeper.come_up()
    keys.fetch(today)
    assert len(keys.get(today)) == 32


def test_what_was_sealed_opens_with_the_keeper_alone(tmp_path: Path) -> None:
    """The key directory by itself opens nothing; a key that is destroyed is gone for good (I9)."""
    path = filled(tmp_path, 2)
    keeper = kept_elsewhere(tmp_path)
    names = [file.name for file in (tmp_path / "keys").glob("log-day-*")]
    assert names
    assert all(name.endswith(".wrapped") for name in names)
    assert verify_log(integrated(tmp_path), keys=keys_in(tmp_path)).opened == 2
    keeper.go_down()
    with pytest.raises(CannotTell, match="exit code"):  # which says nothing about the log
        verify_log(path, keys=keys_in(tmp_path))
    with pytest.raises(LogUnavailable), snapshot(path):
        keys_in(tmp_path).find_day_key(keys_in(tmp_path).days()[0])
    keeper.come_up()
    keys = keys_in(tmp_path)
    keys.destroy_day(keys.days()[0])
    assert verify_log(path, keys=keys).erased == 2


def test_a_program_that_loses_keys_is_not_trusted_with_any(tmp_path: Path) -> None:
    """Nothing changes where what was wrapped does not come back."""
    filled(tmp_path, 1)
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\ncat > /dev/null\nhead -c 32 /dev/urandom | base64\n")
    broken.chmod(0o700)
    keys: LogKeys = keys_in(tmp_path)
    with pytest.raises(KeysUnavailable, match="does not return the key"):
        keys.wrap_days(broken)
    assert [file.suffix for file in (tmp_path / "keys").glob("log-day-*")] == [".key"]
    assert not (tmp_path / "keys" / "key-wrapping").exists()


def once_failing(keeper: Keeper, day: int) -> Path:
    """Return a program that is the keeper, but for a day that it wraps for nobody."""
    program = keeper.program.with_name("failing")
    refusing = f'case "$1 $2" in "wrap log-day-{day}") exit 1;; esac'
    program.write_text(f'#!/bin/sh\n{refusing}\nexec {keeper.program} "$@"\n')
    program.chmod(0o700)
    return program


def test_a_program_that_fails_half_way_has_no_key_and_the_next_has_all(tmp_path: Path) -> None:
    """No key is lost between two programs: the first is not named before it has returned all."""
    keys, keeper = keys_in(tmp_path), Keeper(tmp_path)
    known = {day: keys.day_key(day) for day in (20_000, 20_001)}
    with pytest.raises(KeysUnavailable, match="exit code"):
        keys.wrap_days(once_failing(keeper, 20_001))
    assert not (tmp_path / "keys" / "key-wrapping").exists()
    assert {day: keys_in(tmp_path).find_day_key(day) for day in known} == known
    (tmp_path / "other").mkdir()
    other = Keeper(tmp_path / "other")
    other.program.write_text(other.program.read_text().replace("bytes(12)", "b'another-one!'"))
    assert keys.wrap_days(other.program) == 2
    assert {day: keys_in(tmp_path).find_day_key(day) for day in known} == known
    assert list((tmp_path / "keys").glob("log-day-*.key")) == []


def test_a_second_program_is_refused_what_the_first_alone_unwraps(tmp_path: Path) -> None:
    """It would take its own keys for what the first one wrapped; the first may go on."""
    first, keys = kept_elsewhere(tmp_path), keys_in(tmp_path)
    (tmp_path / "other").mkdir()
    second = Keeper(tmp_path / "other")
    with pytest.raises(OtherKeeper, match=str(first.program)):
        keys.wrap_days(second.program)
    assert second.calls() == []
    assert keys.wrap_days(first.program) == 0
    (tmp_path / "keys" / "key-wrapping").unlink()
    keys.day_key(20_000)
    LogKeys(tmp_path / "keys").wrap_days(first.program)
    (tmp_path / "keys" / "key-wrapping").unlink()
    stranger = tmp_path / "stranger"
    stranger.write_text(
        f'#!/bin/sh\ncase "$2" in probe) exec {second.program} "$@"; esac\nexit 1\n'
    )
    stranger.chmod(0o700)
    with pytest.raises(KeysUnavailable):
        keys.wrap_days(stranger)
    assert keys.wrap_days(first.program) == 0
