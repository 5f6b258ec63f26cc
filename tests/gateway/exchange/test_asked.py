"""What a request names."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from gateway.exchange.asked import request_subjects, request_values, without_fields
from gateway.exchange.front.target import read_target
from gateway.exchange.messages import Target
from tests.world import ROW, ask, open_world


def test_people_named_by_the_request_are_known_before_the_answer(tmp_path: Path) -> None:
    """Path parameters, query parameters and body rows all name values."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            duties = replace(exchange.decision.duties, subject_field="uprn")
            exchange = replace(exchange, decision=replace(exchange.decision, duties=duties))

            assert request_subjects(exchange) == {ROW["uprn"]}
            assert ("family_name", "Dunmore") in set(request_values(exchange))

    asyncio.run(play())


def test_the_gateway_s_own_parameter_stays_here() -> None:
    """Every other byte of the target goes on as it came."""
    for came, goes in (
        (b"/a?x=%31&_fields=b,c&y=", b"/a?x=%31&y="),
        (b"/a?_fields=b", b"/a"),
        (b"/a?x=1", b"/a?x=1"),
        (b"/a", b"/a"),
    ):
        target = read_target(came)
        assert isinstance(target, Target)
        assert without_fields(target) == goes
