"""Taking in a request: what is decided is decided when the request is whole."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.exchange import pace as pace_module
from gateway.exchange.facts import Exchange
from gateway.exchange.messages import BodyTooLarge, Request, Response
from gateway.exchange.pace import AT_ONCE
from gateway.exchange.reception import ReceivedBody
from tests.world import (
    ELIGIBLE,
    MATCH_PATH,
    NORTHVALE,
    World,
    document_of,
    field_of,
    json_answer,
    make_request,
    open_world,
)

ONE_MATCH = json_answer({"records": [ELIGIBLE]})


@dataclass
class SlowBody:
    """A body whose last octet comes when the test says so."""

    content: bytes
    whole: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, bytes_max: int) -> bytes:
        """Wait for the end, and return all."""
        self.asked.set()
        await self.whole.wait()
        return self.content

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield it in one piece."""
        yield await self.read(1 << 20)


async def slowly(world: World) -> tuple[Request, SlowBody]:
    """Make a nightly match whose body is still under way."""
    request = world.match_request()
    body = SlowBody(await request.body.read(1 << 20))
    return replace(request, body=body), body


async def send_while(world: World, happens: object) -> Response:
    """Send a call, let something happen while its body comes, then end the body."""
    request, body = await slowly(world)
    sending = asyncio.create_task(world.send(request))
    await body.asked.wait()
    assert callable(happens)
    happens()
    body.whole.set()
    return await sending


@pytest.mark.parametrize(
    ("happens", "status", "reason"),
    [
        ("suspended", 403, "AGREEMENT_NOT_ACTIVE"),
        ("revoked", 401, "TOKEN_INVALID"),
        ("expired", 401, "TOKEN_EXPIRED"),
    ],
)
def test_what_happens_while_a_body_comes_counts(
    tmp_path: Path, happens: str, status: int, reason: str
) -> None:
    """A slow body is no way around the stop-list, the hours or the end of a token."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH]) as world:
            changes = {
                "suspended": lambda: world.stops.add(("agreement", "DSA-2026-0003")),
                "revoked": lambda: world.stops.add(("client", "northvale-warm-homes")),
                "expired": lambda: setattr(world.clock, "at", world.clock.at + timedelta(hours=12)),
            }
            response = await send_while(world, changes[happens])

            assert (response.status, document_of(response)["reason_code"]) == (status, reason)
            assert world.service.requests == []

    asyncio.run(play())


def test_one_proof_is_one_exchange_however_slowly_both_come(tmp_path: Path) -> None:
    """Two calls with one proof, whose bodies end together, are one exchange and one refusal."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH] * 2) as world:
            request, body = await slowly(world)
            sending = [asyncio.create_task(world.send(request)) for _ in range(2)]
            await body.asked.wait()
            world.clock.at += timedelta(seconds=59)
            body.whole.set()
            answered = await asyncio.gather(*sending)

            assert sorted(response.status for response in answered) == [200, 401]
            assert len(world.service.requests) == 1

    asyncio.run(play())


def test_a_body_has_to_arrive_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the named time the caller is told, and the connection ends."""
    monkeypatch.setattr("gateway.exchange.reception.BODY_S_MAX", 0.05)

    async def play() -> None:
        async with open_world(tmp_path) as world:
            request, _ = await slowly(world)
            response = await world.send(request)

            assert response.status == 408
            assert response.close
            assert field_of(response, "exchange-id")

    asyncio.run(play())


class UnreadBody(SlowBody):
    """A body that must not be asked for."""

    async def read(self, bytes_max: int) -> bytes:
        """Fail the test."""
        raise AssertionError


def test_a_stranger_s_body_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody holds memory without credentials."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            bare = make_request("POST", MATCH_PATH, body=b"{}")
            response = await world.send(replace(bare, body=UnreadBody(b"")))

            assert response.status == 401

    asyncio.run(play())


class EndlessBody(SlowBody):
    """A body that is larger than any limit."""

    async def read(self, bytes_max: int) -> bytes:
        """Refuse, as the front does beyond the limit."""
        raise BodyTooLarge


def test_a_body_that_is_too_large_is_refused_on_record(tmp_path: Path) -> None:
    """The refusal of an authenticated caller leaves its record, whatever was wrong."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            request = replace(world.match_request(), body=EndlessBody(b""))
            response = await world.send(request)

            assert response.status == 413
            record = world.recorded(response)
            assert (record["decision"], record["problem"]) == ("deny", "body-too-large")
            assert record.get("reason") is None

    asyncio.run(play())


@pytest.mark.parametrize("path", [MATCH_PATH, "/fhir/R4/MeasureReport"])
def test_every_answer_mirrors_the_request_s_ids(tmp_path: Path, path: str) -> None:
    """Refusals too carry the ids by which the caller will look for them."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            response = await world.send(make_request("GET", path, headers={"x-request-id": "r-1"}))

            assert response.status == 401
            assert field_of(response, "x-request-id") == "r-1"
            fhir = path.startswith("/fhir")
            kind = "application/fhir+json" if fhir else "application/problem+json"
            assert field_of(response, "content-type") == kind

    asyncio.run(play())


def test_a_refusal_that_waits_keeps_nothing_of_its_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an answer is held back, neither the body nor what was read of it takes memory."""

    # However long the call takes to come to its refusal, those before it have just been answered.
    monkeypatch.setattr(pace_module, "monotonic_s", lambda: 100.0)

    def alive() -> list[object]:
        gc.collect()
        return [one for one in gc.get_objects() if isinstance(one, Exchange | ReceivedBody)]

    async def play() -> None:
        # What earlier tests have left in memories of their own is no part of this request.
        before = alive()
        known = {id(one) for one in before}
        async with open_world(tmp_path) as world:
            pace = world.ports.refused.pace
            client = f"{NORTHVALE} northvale-warm-homes"
            for _ in range(AT_ONCE + 20):
                pace._clients.take(client, 100.0)
            denied = world.match_request(details={"purpose": "MARKETING"})
            sending = asyncio.create_task(world.send(denied))
            async with asyncio.timeout(60):
                while not pace.held:  # noqa: ASYNC110 - being held has no event
                    await asyncio.sleep(0)
            kept = [one for one in alive() if id(one) not in known]
            assert pace.held == 1
            assert kept == []
            assert (await sending).status == 403

    asyncio.run(play())
