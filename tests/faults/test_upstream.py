"""Whatever a service does, the exchange ends in order: a problem, nothing leaked, both records."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Failure
from connectors.testing import CATALOGUE, Answered, Case, conformance_cases
from gateway.audit.entry import Kind
from gateway.exchange.messages import Response
from tests.world import CSV_PATH, World, make_request, open_world

STATUS = {
    Failure.UNREACHABLE: (502, "service-unreachable"),
    Failure.REFUSED: (502, "service-unreachable"),
    Failure.MALFORMED: (502, "service-malformed"),
}
"""What a consumer is told: 502 (RFC 9110, 15.6.3), and which problem it is."""
NOT_HERE = {
    "U-02": "the exchange's own deadlines are longer than a test; the connector's are tested",
    "U-09": "the connector is open at one address here; `check` opens it at others",
}
"""Misbehaviour that needs another gateway than this one."""
CASES = [
    case
    for case in conformance_cases()
    if case.id[:4] not in NOT_HERE and case.method == "GET" and case.base_url is None
]


async def exchange(world: World, path: str = CSV_PATH) -> tuple[Response, dict[str, Any]]:
    """Carry out one public exchange; return its answer and what is on record of it."""
    response = await world.send(make_request("GET", path))
    return response, await asyncio.to_thread(world.recorded, response)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_exchange_ends_in_order(tmp_path: Path, case: Case) -> None:
    """A failure is a problem that says so, with the service as its origin; the record has both."""

    async def run() -> None:
        async with open_world(tmp_path, [case.script]) as world:
            response, record = await exchange(world)
            assert len(world.service.requests) == 1
            kinds = [entry["kind"] for entry in record["entries"]]
            assert kinds == [Kind.INTENT, Kind.OUTCOME]
            assert record["status"] == response.status
            assert isinstance(response.body, bytes)
            if response.status < 400:
                assert isinstance(case.verdict, Answered)
                assert response.status == case.verdict.status
                assert response.status in (200, 204, 304)
                assert response.status == 200 or response.body == b""
                return
            assert dict(response.headers)[b"content-type"] == b"application/problem+json"
            problem = json.loads(response.body)
            # An identifier is hexadecimal, and may hold what the service said by chance.
            assert b"abc" not in response.body.replace(problem["instance"].encode(), b"")
            if isinstance(case.verdict, Failure):
                assert problem["origin"] == "service"
                assert (response.status, problem["type"].rpartition("/")[2]) == STATUS[case.verdict]
            else:
                assert response.status in (502, case.verdict.status)

    asyncio.run(run())


def test_every_misbehaviour_is_met_here_or_said_why_not() -> None:
    """The catalogue has no number that nobody plays through the gateway without a reason."""
    assert {case.id[:4] for case in CASES} | set(NOT_HERE) == set(CATALOGUE)
