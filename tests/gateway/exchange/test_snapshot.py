"""The Snapshot: one consistent state that can be handed to another process whole."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path

from tests.world import MATCH_PATH, open_world


def test_a_snapshot_survives_the_way_to_a_worker(tmp_path: Path) -> None:
    """A worker that unpickles a Snapshot routes and reads as the process that compiled it."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            copy = pickle.loads(pickle.dumps(world.snapshot))  # noqa: S301 - our own bytes
            segments = tuple(MATCH_PATH.split("/")[1:])

            assert copy.routes.match(segments) == world.snapshot.routes.match(segments)
            assert copy.services == world.snapshot.services
            assert copy.issuers == world.snapshot.issuers
            assert copy.audiences == frozenset().union(
                *(service.audiences for service in copy.services.values())
            )

    asyncio.run(play())


def test_refusals_have_the_format_of_the_services_near(tmp_path: Path) -> None:
    """Where those do not agree, and where there are none, it is the common one."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            formats = {
                path: world.snapshot.error_format(tuple(path.split("/")[1:]))
                for path in ("/fhir/R4/MeasureReport", "/fhir", "/open/v1/x", "/nowhere", "/")
            }

            assert [path for path, one in formats.items() if one != "problem"] == [
                "/fhir/R4/MeasureReport",
                "/fhir",
            ]

    asyncio.run(play())
