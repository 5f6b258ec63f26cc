"""The end of an exchange: one-time keys, daily limits, and the outcome's record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.audit.log import AuditLog
from gateway.audit.reading.reader import find_log
from gateway.audit.search.query import show
from gateway.audit.store import CounterExceeded, Position
from gateway.exchange.conclude import CLAIM_SLACK_S, claims_of, conclude, reserved_by
from gateway.exchange.facts import Ending, Exchange
from gateway.exchange.records import intent
from policies.decision import Duties
from tests.world import World, ask, open_world, other_worker


def test_a_proof_is_claimed_for_as_long_as_it_could_be_replayed(tmp_path: Path) -> None:
    """The claim's end is the proof's, carried from decision time to system time."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            (claim,) = claims_of(exchange)
            assert exchange.authenticated is not None
            proof = exchange.authenticated.proof

            assert proof is not None
            assert claim.key == b"dpop:" + proof.key
            left_s = (claim.expires_at_us - exchange.started_us) / 1_000_000
            assert left_s == proof.expires_at - exchange.at.timestamp() + CLAIM_SLACK_S

    asyncio.run(play())


def test_a_decision_form_is_claimed_with_its_agreement(tmp_path: Path) -> None:
    """A single-use form gives a second claim, which outlives every log."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            duties = replace(exchange.decision.duties, single_use="LER-2026-0001")
            exchange = replace(exchange, decision=replace(exchange.decision, duties=duties))

            proof, form = claims_of(exchange)
            assert form.key.startswith(b"form:")
            assert form.expires_at_us > proof.expires_at_us

    asyncio.run(play())


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


def test_an_answer_that_no_record_can_hold_still_has_its_outcome(tmp_path: Path) -> None:
    """Nothing is released, and no intent is left without its end (I8)."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            position = await world.log.append(intent(exchange, instance="test"))
            names = tuple(f"{'x' * 1000}{number}" for number in range(100))
            ending = Ending(status=200, body=b"{}", fields_sent=names)
            concluded = await conclude(exchange, ending, position, world.log, instance="test")

            assert (concluded.status, concluded.body) == (502, b"")
            view = show(find_log(world.home / "audit"), exchange.id)
            assert view is not None
            assert view["status"] == 502

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
