"""Different people of a day: each counted once, given back exactly, forgotten in the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.audit.day_people import BYTES_PER_PERSON, costs_of, count_people, find_ended
from gateway.audit.lifecycle.sweep import Sweeper
from gateway.audit.log import BATCH_BYTES_MAX, AuditLog
from gateway.audit.sqlite import SqliteStore, open_database
from gateway.audit.store import CounterChange, CounterExceeded, PeopleChange
from gateway.clock import system_time_us
from tests.gateway.audit.records import (
    each_store,
    intent,
    opened,
    place_in,
    provisioned,
    selected,
    tampered,
    using,
)

DAY = b"day of a rule"
LATER_US = system_time_us() + 3_600_000_000
COUNTER = "SELECT value FROM audit_counter"


def people(*tags: bytes, add: int = 1, maximum: int = 3, until_us: int = LATER_US) -> PeopleChange:
    """Return a change that counts these people, or gives them back."""
    return PeopleChange(DAY, tags, add, maximum, until_us)


@each_store
def test_somebody_counts_once_and_the_count_survives_a_restart(tmp_path: Path) -> None:
    """A full day still takes whoever it knows, and nobody else; a refusal leaves no trace."""

    async def use(log: AuditLog) -> None:
        await log.append(intent(), counters=[people(b"a", b"b")])
        await log.append(intent(), counters=[people(b"b", b"a")])
        await log.append(intent(), counters=[people(b"c")])
        with pytest.raises(CounterExceeded):
            await log.append(intent(), counters=[people(b"a", b"d")])

    async def again(log: AuditLog) -> None:
        await log.append(intent(), counters=[people(b"c")])
        with pytest.raises(CounterExceeded):
            await log.append(intent(), counters=[people(b"d")])

    using(tmp_path, use)
    using(tmp_path, again)
    assert selected(place_in(tmp_path), COUNTER) == [(3,)]


@each_store
def test_what_one_exchange_gives_back_another_still_counts(tmp_path: Path) -> None:
    """Somebody leaves the count with the last exchange that counts them, and never before."""

    async def use(log: AuditLog) -> None:
        for _ in range(2):
            await log.append(intent(), counters=[people(b"a", b"b", b"c")])
        await log.append(intent(), counters=[people(b"a", add=-1)])
        with pytest.raises(CounterExceeded):
            await log.append(intent(), counters=[people(b"d")])
        await log.append(intent(), counters=[people(b"a", add=-1), people(b"d")])
        await log.append(intent(), counters=[people(b"a", b"nobody", add=-1)])
        with pytest.raises(CounterExceeded):
            await log.append(intent(), counters=[people(b"a")])

    using(tmp_path, use)


@each_store
def test_people_whom_nothing_names_count_beside_the_others(tmp_path: Path) -> None:
    """Both make up one number."""

    async def use(log: AuditLog) -> None:
        await log.append(intent(), counters=[people(b"a"), CounterChange(DAY, 2, 3)])
        with pytest.raises(CounterExceeded):
            await log.append(intent(), counters=[people(b"b")])
        await log.append(intent(), counters=[CounterChange(DAY, -1, 3), people(b"b")])

    using(tmp_path, use)


@each_store
def test_writers_at_once_count_no_more_than_a_day_has(tmp_path: Path) -> None:
    """Of many people at once on two logs, as many get through as the day allows."""

    async def use(log: AuditLog) -> None:
        other = opened(tmp_path, instance="other")
        await other.start()
        try:
            calls = [
                one.append(intent(), counters=[people(b"%d" % number, maximum=7)])
                for number in range(20)
                for one in (log, other)
            ]
            answers = await asyncio.gather(*calls, return_exceptions=True)
        finally:
            await other.stop()
        # Whoever got through did so in both logs.
        assert sum(isinstance(answer, CounterExceeded) for answer in answers) == 2 * 13

    using(tmp_path, use)
    assert selected(place_in(tmp_path), COUNTER) == [(7,)]


def test_a_refusal_costs_no_more_for_those_before_it(tmp_path: Path) -> None:
    """Many refused at once, each of many people: nothing of them is written, nothing is left open.

    What a refusal writes and takes back, and a savepoint that stays, would slow all that follow.
    """
    statements: list[str] = []

    async def use(log: AuditLog) -> None:
        assert isinstance(log._store, SqliteStore)
        await log.append(intent(), counters=[people(b"a", b"b", b"c")])
        log._store._db.set_trace_callback(statements.append)
        many = [b"%d" % number for number in range(100)]
        calls = [log.append(intent(), counters=[people(*many)]) for _ in range(20)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(answer) for answer in answers] == [CounterExceeded] * 20

    using(tmp_path, use)
    assert not [one for one in statements if one.startswith("INSERT INTO audit_day_person")]
    verbs = Counter(one.split()[0] for one in statements)
    assert verbs["SAVEPOINT"] == verbs["RELEASE"] == 20


def test_a_commit_counts_no_more_people_than_take_as_long_as_its_bytes(tmp_path: Path) -> None:
    """A crowd of long batches is stored in several commits, between which others get their turn."""

    async def use(log: AuditLog) -> None:
        per_call = 500
        batches = [[b"%d-%d" % (call, one) for one in range(per_call)] for call in range(20)]
        calls = [
            log.append(intent(), counters=[people(*tags, maximum=1 << 20)]) for tags in batches
        ]
        await asyncio.gather(*calls)
        assert costs_of([people(*batches[0])]) == per_call * BYTES_PER_PERSON
        assert log.figures.commits >= 20 * per_call * BYTES_PER_PERSON // BATCH_BYTES_MAX

    using(tmp_path, use)


@each_store
def test_a_day_that_is_over_is_forgotten(tmp_path: Path) -> None:
    """A sweep deletes its tags, and nobody's of a day that goes on."""

    async def use(log: AuditLog) -> None:
        await log.append(intent(), counters=[people(b"past", until_us=1), people(b"present")])
        with closing(Sweeper(log)) as sweeper:
            await sweeper.sweep()

    using(tmp_path, use)
    assert selected(place_in(tmp_path), "SELECT person FROM audit_day_person") == [(b"present",)]


def test_a_log_of_an_earlier_version_gets_its_table(tmp_path: Path) -> None:
    """Opening it is enough; nothing else is asked of its operator."""
    path = provisioned(tmp_path)
    tampered(path, "DROP TABLE audit_day_person")

    async def use(log: AuditLog) -> None:
        await log.append(intent(), counters=[people(b"a")])

    using(tmp_path, use)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sets(st.sampled_from("abcd"), min_size=1), st.booleans()), max_size=12
    )
)
def test_the_count_is_that_of_the_people_who_were_not_all_given_back(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[set[str], bool]]
) -> None:
    """Whatever the order, each is in as long as one exchange counts them."""
    with closing(open_database(provisioned(tmp_path_factory.mktemp("log")))) as db:
        uses, count = Counter[str](), 0
        for who, back in steps:
            taken = {one for one in who if uses[one]} if back else who
            before = {one for one in uses if uses[one]}
            uses.update(dict.fromkeys(taken, -1 if back else 1))
            tags = [one.encode() for one in sorted(taken)]
            change = count_people(db, people(*tags, add=-1 if back else 1, maximum=9))
            after = {one for one in uses if uses[one]}
            count += change.add
            assert change == CounterChange(DAY, len(after) - len(before), 9)
        kept = {person for _, person in find_ended(db, LATER_US, 100)}
        assert kept == {one.encode() for one in uses if uses[one]}
        assert count == len(kept)
