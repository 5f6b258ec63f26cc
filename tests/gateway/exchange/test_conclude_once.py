"""A caller's own one-time key: the call that it names is made once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from connectors.discovery import open_connector
from connectors.http import HttpSettings
from gateway.exchange.messages import Request
from tests.running import free_port
from tests.world import (
    CSV_PATH,
    ELIGIBLE,
    World,
    document_of,
    json_answer,
    make_request,
    open_world,
    other_worker,
    text_answer,
)

ONE_MATCH = json_answer({"records": [ELIGIBLE]})


def keyed(request: Request, key: bytes) -> Request:
    """Return a request that names itself by a key."""
    return replace(request, headers=(*request.headers, (b"idempotency-key", key)))


def match(world: World, key: bytes = b'"once"', *, query: str = "") -> Request:
    """Make the request of a match under a key, with a fresh proof."""
    return keyed(world.match_request(query=query), key)


def test_a_call_under_one_key_is_made_once_on_any_worker(tmp_path: Path) -> None:
    """The repeat is refused before the service hears of it, and is on record."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH] * 2) as world:
            first = await world.send(match(world))
            repeated = await world.send(match(world))
            ours, world.ports = world.ports, await other_worker(world)
            elsewhere = await world.send(match(world))
            theirs, world.ports = world.ports, ours
            await theirs.log.stop()
            another = await world.send(match(world, b'"another"'))

            statuses = [one.status for one in (first, repeated, elsewhere, another)]
            assert statuses == [200, 409, 409, 200]
            assert document_of(repeated)["type"] == "/problems/duplicate-request"
            record = world.recorded(repeated)
            assert (record["decision"], record["problem"]) == ("deny", "duplicate-request")
            assert len(world.service.requests) == 2

    asyncio.run(play())


def test_the_key_goes_no_further_than_the_gateway(tmp_path: Path) -> None:
    """It is the caller's word to the gateway, which keeps it."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH]) as world:
            await world.send(match(world))

            assert b"idempotency-key" not in world.service.requests[0].lower()

    asyncio.run(play())


def test_a_call_that_was_not_made_uses_no_key_up(tmp_path: Path) -> None:
    """Refused or never sent, it may be tried again under the same key."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH]) as world:
            ports = world.ports
            refused = await world.send(match(world, query="?_fields=benefit_code"))
            nowhere = HttpSettings(base_url=f"http://127.0.0.1:{free_port()}", allow_loopback=True)
            async with open_connector("http", nowhere) as connector:
                world.ports = replace(ports, connectors={"dwp-eligibility": connector})
                unreachable = await world.send(match(world))
            world.ports = ports
            made = await world.send(match(world))

            assert [one.status for one in (refused, unreachable, made)] == [403, 502, 200]

    asyncio.run(play())


def test_reading_may_be_repeated(tmp_path: Path) -> None:
    """A key on a safe method means nothing (RFC 9110, section 9.2.1)."""
    table = text_answer(b"month,admissions\n2026-08,145\n", "text/csv")

    async def play() -> None:
        async with open_world(tmp_path, [table] * 2) as world:
            request = keyed(make_request("GET", CSV_PATH), b"again")

            assert [(await world.send(request)).status for _ in range(2)] == [200, 200]

    asyncio.run(play())
