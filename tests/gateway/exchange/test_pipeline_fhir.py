"""Refusals in FHIR: whatever goes wrong below a FHIR path, its client can read the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from gateway.exchange.messages import Request
from tests.world import WholeBody, World, document_of, field_of, make_request, open_world

SERVED: Final = "/fhir/R4/MeasureReport"
BELOW: Final = "/fhir/R4/Encounter/123"


def no_token(world: World, path: str) -> Request:
    """Send no credentials."""
    del world
    return make_request("GET", path)


def known(world: World, path: str) -> Request:
    """Send a token of a party, whose agreement has nothing here."""
    return world.get(path, aud="https://gateway.example/r9z-fhir")


def stale(world: World, path: str) -> Request:
    """Let the stop-list be old."""
    world.stop_list_age_s = 6.0
    return known(world, path)


@pytest.mark.parametrize(
    ("path", "ask", "status", "code"),
    [
        (SERVED, stale, 503, "stop-list-stale"),
        (BELOW, no_token, 404, "TOKEN_MISSING"),
        (BELOW, known, 403, "ENDPOINT_NOT_PERMITTED"),
        (BELOW, stale, 503, "stop-list-stale"),
    ],
)
def test_a_refusal_below_a_fhir_path_is_an_operation_outcome(
    tmp_path: Path, path: str, ask: Callable[[World, str], Request], status: int, code: str
) -> None:
    """Served or not, decided or not, the answer is in the format of the service that is near."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            response = await world.send(ask(world, path))

            assert response.status == status
            assert field_of(response, "content-type") == "application/fhir+json"
            (issue,) = document_of(response)["issue"]
            assert issue["details"]["coding"][0]["code"] == code

    asyncio.run(play())


class EndlessBody(WholeBody):
    """A body that never ends."""

    async def read(self, bytes_max: int) -> bytes:
        """Wait."""
        del bytes_max
        await asyncio.Event().wait()
        raise AssertionError


def test_a_body_that_comes_too_late_is_told_so_in_fhir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was decided yet, and the path tells the format all the same."""
    monkeypatch.setattr("gateway.exchange.reception.BODY_S_MAX", 0.05)

    async def play() -> None:
        async with open_world(tmp_path) as world:
            request = world.post(SERVED, b"", aud="https://gateway.example/r9z-fhir")
            response = await world.send(replace(request, body=EndlessBody(b"")))

            assert response.status == 408
            assert document_of(response)["resourceType"] == "OperationOutcome"

    asyncio.run(play())


def test_elsewhere_a_refusal_is_a_problem(tmp_path: Path) -> None:
    """A path that begins like no service's belongs to none of them."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            response = await world.send(make_request("GET", "/elsewhere"))

            assert field_of(response, "content-type") == "application/problem+json"

    asyncio.run(play())
