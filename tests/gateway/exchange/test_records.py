"""The records of an exchange: what an auditor asks, and nobody's identifier in the clear."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from gateway.audit.store import Position
from gateway.exchange.facts import Ending
from gateway.exchange.records import (
    denial,
    intent,
    outcome,
)
from policies.decision import ReasonCode
from tests.world import ROW, ask, open_world

INTENT = Position(7, b"\x01" * 32)


def test_an_intent_answers_who_what_why_and_under_which_law(tmp_path: Path) -> None:
    """The clear section names agreement, rule, purpose, law and parties, and no person."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            record = intent(exchange, instance="test")
            core = record.sections["core"]

            assert core["agreement"] == "DSA-2026-0003"
            assert core["consumer"] == "gss:E06999001"
            assert core["provider"] == "govuk:synthetic-department-for-work-and-pensions"
            assert core["purpose"] == "FUEL_POVERTY_ASSISTANCE"
            assert core["instrument"] == "DEA2017-s35-FUEL-POVERTY@1"
            assert core["route"] == "/eligibility/v1/fuel-poverty/match"
            assert core["action"] == "disclosure"
            clear = json.dumps(dict(core))
            for personal in (*ROW.values(), "northvale-warm-homes"):
                assert personal not in clear
            assert record.sections["actor"]["client"] == "northvale-warm-homes"

    asyncio.run(play())


def test_a_denial_keeps_every_check_that_failed(tmp_path: Path) -> None:
    """The caller sees one reason; the record has all of them."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            world.clock.at = world.clock.at.replace(hour=11)
            asked = await ask(world, query="?_fields=benefit_code")
            record = denial(asked.exchange, instance="test", problem="any", status=403)

            failed = record.sections["core"]["failed"]
            assert failed == ["TIME_WINDOW_CLOSED", "FIELD_NOT_PERMITTED"]

    asyncio.run(play())


def test_an_outcome_counts_and_names_people_in_a_sealed_section(tmp_path: Path) -> None:
    """How many is public to auditors; who is sealed; a very long list is cut, its count is not."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            people = frozenset(f"99920{n:05}" for n in range(20_000)) | {"\x00" * 50_000}
            ending = Ending(status=200, body=b"{}", subjects=people, subjects_counted=len(people))
            record = outcome(exchange, ending, INTENT, instance="test")

            assert record.sections["core"]["subjects"] == 20_001
            assert record.sections["core"]["intent"] == 7
            await world.log.append(intent(exchange, instance="test"))
            await world.log.append(record)  # it fits, whatever identifiers look like

    asyncio.run(play())


def test_withheld_small_numbers_alert(tmp_path: Path) -> None:
    """Somebody has to look at a source that serves what it should have suppressed."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            ending = Ending(status=502, reason=ReasonCode.SMALL_NUMBERS_WITHHELD)

            assert outcome(exchange, ending, INTENT, instance="t").sections["core"]["alert"] is True

    asyncio.run(play())


def test_names_from_outside_are_counted_not_kept(tmp_path: Path) -> None:
    """A field's name from outside could be a person's, and the core is never erased."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            asked = await ask(world, query="?_fields=Jane+Smith,nino&Dunmore=1")
            record = denial(asked.exchange, instance="test", problem="any", status=403)
            core = record.sections["core"]

            assert core["fields_requested"] == ["nino"]
            assert core["filters"] == []
            assert core["names_unknown"] == 2
            assert "Smith" not in json.dumps(dict(core))
            assert "Dunmore" not in json.dumps(dict(core))

    asyncio.run(play())
