"""What agreement, law and configuration say in the record of an exchange."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from gateway.exchange.grounds import grounds
from gateway.exchange.held import microseconds
from tests.world import ask, open_world


def test_law_duties_and_handling_are_the_agreement_s(tmp_path: Path) -> None:
    """An auditor needs no other document to see on what an exchange stood."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            found = grounds(exchange)

            assert found["article6"] == ["UKGDPR-6-1-e"]
            assert found["legal_gateway"]
            assert found["register"]
            assert found["confidentiality"] == "CLDC-NOT-CONFIDENTIAL"
            assert found["kept_for"] == "P7Y"
            assert found["revision"] == 1
            assert found["vocabulary"] == "2026-11-draft1"

    asyncio.run(play())


def test_the_end_of_an_instrument_is_told_where_it_has_one(tmp_path: Path) -> None:
    """Reliance on a notice after its end can be found in the records alone."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            law = world.snapshot.law.instruments["COPI-NOTICE-GENERAL"]
            last = law.versions[-1]
            relied_on = f"{law.id}@{last.version}"
            exchange = replace(exchange, decision=replace(exchange.decision, instrument=relied_on))

            assert last.until is not None
            assert grounds(exchange)["instrument_until"] == microseconds(last.until)

    asyncio.run(play())


def test_without_an_agreement_there_is_the_configuration_alone(tmp_path: Path) -> None:
    """A caller whose agreement is not found stands on nothing."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            asked = await ask(world, details={"agreement": "DSA-2026-9999"})

            assert set(grounds(asked.exchange)) == {"revision", "vocabulary"}

    asyncio.run(play())
