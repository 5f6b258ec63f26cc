"""What is stopped while an exchange waits for its issuer or its intent: nothing is called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.audit.disk.locks import FileLock
from gateway.audit.entry import Kind
from gateway.audit.sqlite import LOCK_NAME
from gateway.exchange.messages import Response
from gateway.exchange.pipeline import exchange
from tests.world import ELIGIBLE, World, document_of, field_of, json_answer, open_world

ONE_MATCH = json_answer({"records": [ELIGIBLE]})
STOPS = [
    (("agreement", "DSA-2026-0003"), 403, "AGREEMENT_NOT_ACTIVE"),
    (("client", "northvale-warm-homes"), 401, "TOKEN_INVALID"),
    (("issuer", "https://idp.northvale.example"), 401, "ISSUER_UNTRUSTED"),
    (("service", "dwp-eligibility"), 502, "CONNECTOR_UNAVAILABLE"),
]


async def until(happened: Callable[[], object]) -> None:
    """Let the exchange go on until something can be seen."""
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110 - the log tells nobody that it waits
            await asyncio.sleep(0.001)


async def stopped_before_the_intent(world: World, change: Callable[[], object]) -> Response:
    """Make a call under a key, and change the world while it waits to be on record."""
    request = world.match_request()
    key = (b"idempotency-key", b'"once"')
    request = replace(request, headers=(*request.headers, key))
    neighbour = FileLock(world.home / "audit" / LOCK_NAME)
    with neighbour:
        call = asyncio.create_task(world.send(request))
        await until(lambda: world.log._storing)
        change()
    neighbour.close()
    return await call


@pytest.mark.parametrize(("entry", "status", "reason"), STOPS)
def test_what_is_stopped_while_the_intent_waits_is_not_called(
    tmp_path: Path, entry: tuple[str, str], status: int, reason: str
) -> None:
    """The exchange ends unsent and on record, and its key is free again."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH]) as world:
            answer = await stopped_before_the_intent(world, lambda: world.stops.add(entry))

            assert (answer.status, document_of(answer)["reason_code"]) == (status, reason)
            assert ("www-authenticate" in str(answer.headers)) == (status == 401)
            assert world.service.requests == []
            record = world.recorded(answer)
            assert [item["kind"] for item in record["entries"]] == [Kind.INTENT, Kind.OUTCOME]
            assert (record["status"], record["reason"]) == (status, reason)
            world.stops.clear()
            again = await stopped_before_the_intent(world, world.stops.clear)
            assert again.status == 200

    asyncio.run(play())


def test_a_stop_list_that_grows_stale_while_the_intent_waits_stops_the_call(
    tmp_path: Path,
) -> None:
    """Not knowing what was suspended meanwhile, the gateway calls nobody."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH]) as world:

            def grow_old() -> None:
                world.stop_list_age_s = 6.0

            answer = await stopped_before_the_intent(world, grow_old)

            assert document_of(answer)["type"] == "/problems/stop-list-stale"
            assert field_of(answer, "retry-after") == "1"
            assert world.recorded(answer)["problem"] == "stop-list-stale"
            assert world.service.requests == []

    asyncio.run(play())


@pytest.mark.parametrize(("entry", "status", "reason"), STOPS)
def test_what_is_stopped_while_the_issuer_is_asked_has_no_intent(
    tmp_path: Path, entry: tuple[str, str], status: int, reason: str
) -> None:
    """The decision knows what was stopped while the keys of the token were fetched."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            world.issuer.gate.clear()
            call = asyncio.create_task(exchange(world.match_request(), world.snapshot, world.ports))
            await world.issuer.asked.wait()
            world.stops.add(entry)
            world.issuer.gate.set()
            answer = await call

            assert (answer.status, document_of(answer)["reason_code"]) == (status, reason)
            assert [item["kind"] for item in world.recorded(answer)["entries"]] == [Kind.DENY]

    asyncio.run(play())
