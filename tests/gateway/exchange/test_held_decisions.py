"""Recorded decisions to share as the gateway itself holds them: each is used once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from connectors.discovery import open_connector
from connectors.http import HttpSettings
from gateway.exchange.messages import Response
from tests.running import free_port
from tests.world import (
    EXF,
    World,
    document_of,
    json_answer,
    open_world,
    other_worker,
    reasons,
)

AFTERNOON: Final = datetime(2026, 11, 16, 15, 0, tzinfo=UTC)
TENANT: Final = {
    "given_name": "SYNTHETIC",
    "family_name": "Vane",
    "tenancy_end": "2026-01-01",
    "address_protected": "false",
}
TENANCY: Final = json_answer({"records": [TENANT]})


async def use_decision(world: World, reference: str = "LER-2026-0001") -> Response:
    """Ask for the tenancy that a decision form may release."""
    details = {
        "agreement": "DSA-2026-0005",
        "purpose": "LE_INVESTIGATION",
        "context": {
            "decision_ref": reference,
            "operation_ref": "SYN/26/001234",
            "subject_category": "suspect",
        },
    }
    return await world.send(
        world.get(
            "/housing/v1/properties/999000000501/tenancy",
            connector="nv-housing",
            details=details,
            iss=EXF,
            org="urn:ukfdx:org:police:SYN-EXF",
            client_id="exf-disclosure-desk",
            sub="u:c0ff",
            roles=["disclosure-officer"],
            acr="AAL2",
        )
    )


def test_a_decision_form_opens_what_it_releases_once(tmp_path: Path) -> None:
    """The second use is refused, on another worker and after a restart too."""

    async def use() -> None:
        async with open_world(tmp_path, [TENANCY]) as world:
            world.clock.at = AFTERNOON
            answers = [await use_decision(world), await use_decision(world)]
            first, world.ports = world.ports, await other_worker(world)
            answers.append(await use_decision(world))
            other, world.ports = world.ports, first
            await other.log.stop()

            taken = "CASE_REFERENCE_NOT_APPROVED"
            assert reasons(answers) == ["OK", taken, taken]
            assert document_of(answers[0]) == {
                "records": [{"family_name": "Vane", "given_name": "SYNTHETIC"}]
            }
            refused = world.recorded(answers[1])
            assert (refused["decision"], refused["failed"]) == ("deny", [taken])
            assert refused["sections"]["payload"]["context"]["decision_ref"] == "LER-2026-0001"

    async def later() -> None:
        async with open_world(tmp_path) as world:
            world.clock.at = AFTERNOON + timedelta(hours=1)
            assert reasons([await use_decision(world)]) == ["CASE_REFERENCE_NOT_APPROVED"]

    asyncio.run(use())
    asyncio.run(later())


def test_of_two_uses_at_once_one_gets_the_data(tmp_path: Path) -> None:
    """Both found the form unused; the transaction of the intent decides."""

    async def play() -> None:
        async with open_world(tmp_path, [TENANCY] * 2) as world:
            world.clock.at = AFTERNOON
            answers = await asyncio.gather(use_decision(world), use_decision(world))

            assert sorted(reasons(answers)) == ["CASE_REFERENCE_NOT_APPROVED", "OK"]
            assert len(world.service.requests) == 1

    asyncio.run(play())


def test_a_form_is_free_again_where_the_service_never_heard_of_the_call(tmp_path: Path) -> None:
    """A service that cannot be reached uses nothing up."""

    async def play() -> None:
        async with open_world(tmp_path, [TENANCY]) as world:
            world.clock.at = AFTERNOON
            ports = world.ports
            nowhere = HttpSettings(base_url=f"http://127.0.0.1:{free_port()}", allow_loopback=True)
            async with open_connector("http", nowhere) as connector:
                world.ports = replace(ports, connectors={"nv-housing": connector})
                unreachable = await use_decision(world)
            world.ports = ports
            reached = await use_decision(world)

            assert (unreachable.status, reached.status) == (502, 200)

    asyncio.run(play())


@pytest.mark.parametrize("reference", ["LER-2026-0002", "LER-2026-9999"])
def test_only_an_approved_decision_opens_anything(tmp_path: Path, reference: str) -> None:
    """One that was turned down, or that nobody knows, is refused."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            world.clock.at = AFTERNOON + timedelta(days=3)
            answer = await use_decision(world, reference)

            assert reasons([answer]) == ["CASE_REFERENCE_NOT_APPROVED"]
            assert world.service.requests == []

    asyncio.run(play())
