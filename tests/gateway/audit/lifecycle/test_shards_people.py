"""People of a day over a change of shards: who is known stays so, and is forgotten everywhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.audit.lifecycle import shards, sweep
from gateway.audit.lifecycle.sweep import Sweeper
from gateway.audit.log import AuditLog
from gateway.audit.place import Place
from gateway.audit.seal import DAY_US
from gateway.audit.store import CounterChange, CounterExceeded, PeopleChange
from gateway.audit.upkeep import Upkeep, open_upkeep
from gateway.clock import system_time_us
from tests.gateway.audit.lifecycle.test_shards import newest, retired
from tests.gateway.audit.records import each_store, intent, place_in, selected, tampered, using


@each_store
def test_people_of_a_day_are_known_in_the_next_shard_and_forgotten_in_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new shard lets nobody more in; once the day is over no shard has a tag of it."""
    ended, key = place_in(tmp_path), b"day"
    day_us = system_time_us() + DAY_US

    async def before(log: AuditLog) -> None:
        people = PeopleChange(key, [b"known"], 1, 1, until_us=day_us)
        await log.append(intent(), counters=[people])

    using(tmp_path, before)
    retired(tmp_path)

    async def after() -> None:
        log = newest(tmp_path)
        await log.start()
        again = PeopleChange(key, [b"known"], 1, 1, until_us=day_us)
        await log.append(intent(), counters=[again])
        with pytest.raises(CounterExceeded):
            await log.append(intent(), counters=[again._replace(people=[b"another"])])
        with closing(Sweeper(log)) as sweeper:
            await sweeper.sweep()
        assert [_tags(place) for place in (ended, log.path)] == [[b"known"]] * 2
        with monkeypatch.context() as tomorrow:
            tomorrow.setattr(sweep, "system_time_us", lambda: day_us)
            with closing(Sweeper(log)) as sweeper:
                await sweeper.sweep()
        assert [_tags(place) for place in (ended, log.path)] == [[], []]
        with monkeypatch.context() as watched:
            watched.setattr(sweep, "open_upkeep", _only(log.path))
            with closing(Sweeper(log)) as sweeper:
                await sweeper.sweep()  # there is nothing left to open an ended shard for
        await log.stop()

    asyncio.run(after())


def _only(present: Place) -> Callable[[Place], Upkeep]:
    """Return what opens the present shard for writing, and fails for any other."""

    def opening(place: Place) -> Upkeep:
        assert place == present
        return open_upkeep(place)

    return opening


def _tags(place: Place) -> list[bytes]:
    return [tag for (tag,) in selected(place, "SELECT person FROM audit_day_person")]


@each_store
@pytest.mark.parametrize("frozen", [False, True])
def test_a_shard_of_an_earlier_version_is_carried_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, frozen: bool
) -> None:
    """It has no table for people of a day: nothing is lost, and its successor can be made."""

    async def use(log: AuditLog) -> None:
        await log.append(intent(), counters=[CounterChange(b"day", 8, 10)])

    using(tmp_path, use)
    if not frozen:  # sealed, and cut short before the next one was there
        with monkeypatch.context() as cut:
            cut.setattr(shards, "_begin", lambda *_, **__: sys.exit("cut short"))
            with pytest.raises(SystemExit):
                retired(tmp_path)
    tampered(place_in(tmp_path), "DROP TABLE audit_day_person")
    if frozen:
        tampered(place_in(tmp_path), "UPDATE audit_head SET state = 'frozen'")
    assert retired(tmp_path, "frozen").lost == ()
