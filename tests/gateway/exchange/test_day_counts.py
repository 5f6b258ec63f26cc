"""What a day allows: calls, and different people, exact whoever counts and whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.audit.log import AuditLog
from gateway.audit.reading.reader import find_log
from gateway.audit.store import CounterExceeded, PeopleChange, Position
from gateway.exchange import day_counts
from gateway.exchange.conclude import conclude, reserved_by
from gateway.exchange.day_counts import reserved_today
from gateway.exchange.facts import Ending, Exchange
from gateway.exchange.records import intent
from policies.decision import Duties
from tests.gateway.audit.records import selected
from tests.world import ELIGIBLE, World, ask, json_answer, open_world, other_worker

CHILD, SIBLING, STRANGER = "9990000018", "9990000026", "9990000034"


def test_people_of_a_day_are_counted_exactly(tmp_path: Path) -> None:
    """An answer that would pass the day's number is withheld whole; a smaller one still goes.

    Once the number is reached nobody is asked any more.
    """

    async def play() -> None:
        async with open_world(tmp_path) as world:

            async def end_with(people: int) -> Ending | None:
                exchange = (await ask(world)).exchange
                duties = replace(exchange.decision.duties, subjects_per_day=10)
                exchange = replace(exchange, decision=replace(exchange.decision, duties=duties))
                reserved = reserved_by(exchange, world.log)
                try:
                    record = intent(exchange, instance="test")
                    position = await world.log.append(record, counters=reserved)
                except CounterExceeded:
                    return None
                ending = Ending(status=200, body=b"{}", subjects_counted=people)
                return await conclude(exchange, ending, position, world.log, instance="test")

            endings = [await end_with(people) for people in (6, 5, 4, 1)]

            withheld = endings[1]
            assert [ending and ending.status for ending in endings] == [200, 429, 200, None]
            assert withheld is not None
            assert withheld.body == b""
            assert withheld.problem == "volume-exceeded"

    asyncio.run(play())


@pytest.mark.parametrize(
    "limited",
    [
        lambda duties: replace(duties, subjects_per_day=1),
        lambda duties: replace(duties, requests_per_day=1),
    ],
    ids=["people", "calls"],
)
def test_what_was_reserved_and_not_used_is_given_back(
    tmp_path: Path, limited: Callable[[Duties], Duties]
) -> None:
    """A day's number is not worn down by calls never sent; a crash in between wears it."""

    async def play() -> None:
        async with open_world(tmp_path) as world:

            async def begin() -> tuple[Exchange, Position]:
                exchange = (await ask(world)).exchange
                duties = limited(exchange.decision.duties)
                exchange = replace(exchange, decision=replace(exchange.decision, duties=duties))
                record, counters = (
                    intent(exchange, instance="test"),
                    reserved_by(exchange, world.log),
                )
                return exchange, await world.log.append(record, counters=counters)

            for _ in range(3):
                exchange, position = await begin()
                nobody = Ending(status=502, sent=False)
                await conclude(exchange, nobody, position, world.log, instance="test")
            await begin()  # and never ends
            with pytest.raises(CounterExceeded):
                await begin()

    asyncio.run(play())


def test_calls_of_a_day_are_counted_with_the_intent(tmp_path: Path) -> None:
    """The call beyond the day's number is refused before the service hears of it."""

    async def play() -> None:
        async with open_world(tmp_path) as world:

            async def begin() -> bool:
                exchange = (await ask(world)).exchange
                duties = replace(exchange.decision.duties, requests_per_day=2)
                exchange = replace(exchange, decision=replace(exchange.decision, duties=duties))
                record = intent(exchange, instance="test")
                try:
                    await world.log.append(record, counters=reserved_by(exchange, world.log))
                except CounterExceeded:
                    return False
                return True

            assert [await begin() for _ in range(4)] == [True, True, False, False]

    asyncio.run(play())


def test_people_of_a_day_are_one_count_for_two_workers_and_after_a_restart(tmp_path: Path) -> None:
    """Calls at once on two logs of one file reserve no more people than a day has."""

    async def reserve(world: World, log: AuditLog) -> bool:
        exchange = (await ask(world)).exchange
        duties = replace(exchange.decision.duties, subjects_per_day=3)
        exchange = replace(exchange, decision=replace(exchange.decision, duties=duties))
        record = intent(exchange, instance="test")
        try:
            await log.append(record, counters=reserved_by(exchange, log))
        except CounterExceeded:
            return False
        return True

    async def at_once() -> None:
        async with open_world(tmp_path) as world:
            other = (await other_worker(world)).log
            calls = [reserve(world, log) for log in (world.log, other) * 4]
            assert sum(await asyncio.gather(*calls)) == 3
            await other.stop()

    async def later() -> None:
        async with open_world(tmp_path) as world:
            assert not await reserve(world, world.log)

    asyncio.run(at_once())
    asyncio.run(later())


def about(exchange: Exchange, *people: str, maximum: int = 2) -> Exchange:
    """Return the exchange as one that asks about these people, so many different ones a day."""
    duties = replace(exchange.decision.duties, subjects_per_day=maximum, subject_field="nhs_number")
    named = tuple(("nhs_number", person) for person in people)
    return replace(
        exchange,
        decision=replace(exchange.decision, duties=duties),
        query=replace(exchange.query, parameters=named),
    )


async def end_with(world: World, exchange: Exchange, ending: Ending) -> int | None:
    """Play an exchange to this end; return its status, None where nothing was asked."""
    try:
        record = intent(exchange, instance="test")
        place = await world.log.append(record, counters=reserved_by(exchange, world.log))
    except CounterExceeded:
        return None
    return (await conclude(exchange, ending, place, world.log, instance="test")).status


def answer_about(*people: str, unnamed: int = 0) -> Ending:
    """Return the end of an exchange whose answer has these people in it."""
    counted = len(people) + unnamed
    return Ending(status=200, body=b"{}", subjects=frozenset(people), subjects_counted=counted)


def test_somebody_who_is_asked_about_again_is_one_person(tmp_path: Path) -> None:
    """A full day still answers about whom it has answered, and about nobody else.

    A social worker who looks at one child five times does not use up four others' calls.
    """

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange

            async def call(person: str) -> int | None:
                return await end_with(world, about(exchange, person), answer_about(person))

            calls = [CHILD, CHILD, SIBLING, CHILD, SIBLING, STRANGER, CHILD]
            assert [await call(one) for one in calls] == [200, 200, 200, 200, 200, None, 200]

    asyncio.run(play())


def test_whoever_was_asked_about_and_is_not_in_the_answer_is_given_back(tmp_path: Path) -> None:
    """A service that fails, or knows nobody, uses up nothing; whoever is in an answer counts."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            failed, unknown = Ending(status=502, sent=False), Ending(status=404)
            for number in range(5):
                strangers = about(exchange, f"99900000{number:02}", f"99911111{number:02}")
                assert await end_with(world, strangers, failed) == 502
                assert await end_with(world, strangers, unknown) == 404
            # The answer is about others than the question.
            asked = about(exchange, STRANGER)
            assert await end_with(world, asked, answer_about(CHILD, SIBLING)) == 200
            assert await end_with(world, asked, answer_about(STRANGER)) is None
            assert await end_with(world, about(exchange, CHILD), answer_about(CHILD)) == 200

    asyncio.run(play())


def test_a_call_under_way_keeps_its_person_whatever_another_gives_back(tmp_path: Path) -> None:
    """Two calls about one person: the failure of one does not let a third person in."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = about((await ask(world)).exchange, CHILD, maximum=1)
            other = about((await ask(world)).exchange, STRANGER, maximum=1)
            record = intent(exchange, instance="test")
            await world.log.append(record, counters=reserved_by(exchange, world.log))
            again = about((await ask(world)).exchange, CHILD, maximum=1)
            assert await end_with(world, again, Ending(status=502, sent=False)) == 502
            assert await end_with(world, other, answer_about(STRANGER)) is None

    asyncio.run(play())


def test_of_a_long_answer_some_are_told_apart_and_every_other_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People without an identifier, and those beyond the bound, count as somebody new."""
    monkeypatch.setattr(day_counts, "PEOPLE_TOLD_APART_MAX", 2)

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = about((await ask(world)).exchange, maximum=7)
            long = answer_about(CHILD, SIBLING, STRANGER, unnamed=1)
            statuses = [await end_with(world, exchange, long) for _ in range(4)]
            # Four at first, and two more each time: the third time there would be eight.
            assert statuses == [200, 200, 429, 429]

    asyncio.run(play())


def test_the_same_people_in_whole_exchanges_are_counted_once(tmp_path: Path) -> None:
    """A nightly match that finds somebody again finds nobody new."""
    other = {**ELIGIBLE, "nino": "QQ000002B"}
    answers = [[ELIGIBLE], [ELIGIBLE], [ELIGIBLE, other], [], [other]]

    async def play() -> list[int]:
        scripts = [json_answer({"records": list(rows)}) for rows in answers]
        async with open_world(tmp_path, scripts) as world:
            counts = []
            for _ in answers:
                assert (await world.send(world.match_request())).status == 200
                path = find_log(tmp_path / "audit")
                ((count,),) = selected(path, "SELECT value FROM audit_counter")
                counts.append(count)
            return counts

    assert asyncio.run(play()) == [1, 1, 2, 2, 2]


def test_a_tag_leads_from_no_day_to_another(tmp_path: Path) -> None:
    """The same person has another tag under every rule and on every day."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            today = about((await ask(world)).exchange, CHILD)
            tomorrow = replace(today, at=today.at + timedelta(days=1))
            other_rule = replace(today, decision=replace(today.decision, rule="R9"))
            tags = set[bytes]()
            for exchange in (today, tomorrow, other_rule):
                (change,) = reserved_today(exchange, world.log)
                assert isinstance(change, PeopleChange)
                tags.update(change.people)
            assert len(tags) == 3

    asyncio.run(play())
