"""The end of an exchange: one-time keys, daily limits, and the outcome's record."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from gateway.audit.reading.reader import find_log
from gateway.audit.search.query import show
from gateway.exchange.conclude import CLAIM_SLACK_S, claims_of, conclude
from gateway.exchange.facts import Ending
from gateway.exchange.records import intent
from tests.world import ask, open_world


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
