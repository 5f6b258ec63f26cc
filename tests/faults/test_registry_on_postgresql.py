"""A gateway whose registry is a PostgreSQL server that crashes or hangs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.fetch import Answer, open_client
from gateway import administration
from gateway.clock import monotonic_s
from gateway.registry.store import StopKind
from tests.configured import postgresql_url
from tests.postgres import Postgres
from tests.running import AGREEMENT, PLAY_S_MAX
from tests.staging import POLL_S, WAIT_S_MAX, Stage, open_stage, until

EFFECT_S_MAX = 1.0
"""The promise: a stop takes effect on every worker within a second of its commit."""


@contextmanager
def crashed(server: Postgres) -> Iterator[None]:
    """Have no server at all while the block runs."""
    server.stop("immediate")
    try:
        yield
    finally:
        server.start()


@pytest.mark.parametrize("how", ["crashed", "hanging"])
def test_without_postgresql_nothing_is_let_through(
    tmp_path: Path, postgres: Postgres, how: str
) -> None:
    """I10, F9, F13: after five seconds all is refused; with the server back it goes on by itself.

    The processes are the same ones as before, and stops take effect as fast as they did.
    """

    async def play() -> None:
        url = postgresql_url(postgres.url())
        async with open_stage(tmp_path, registry_url=url) as stage:
            assert not (stage.running.home / "registry.db").exists()
            await until_status(stage, 200)
            workers = set(stage.running.figures)
            with crashed(postgres) if how == "crashed" else postgres.hanging():
                gone_s = monotonic_s()
                refused = await until_status(stage, 503)
                assert monotonic_s() - gone_s >= 4.0
                assert json.loads(refused.body)["type"] == "/problems/stop-list-stale"
                await readiness_tells(stage, 503, b"registry")
            await until_status(stage, 200)
            await readiness_tells(stage, 200, b"")
            assert set(stage.running.figures) == workers

            settings, stop = stage.running.settings, administration.stop
            arguments: dict[str, Any] = {"reason": "test", "by": "tests"}
            await asyncio.to_thread(stop, settings, StopKind.AGREEMENT, AGREEMENT, **arguments)
            await until(lambda: all(it.slowest_us for it in stage.running.figures.values()))
            slowest_us = max(it.slowest_us for it in stage.running.figures.values())
            assert slowest_us / 1_000_000 <= EFFECT_S_MAX
            await until_status(stage, 403)

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


async def until_status(stage: Stage, status: int) -> Answer:
    """Call until an answer has a status; a test that waits in vain fails."""
    async with asyncio.timeout(WAIT_S_MAX), open_client() as client:
        while True:
            answer = await stage.call(client)
            if answer.status == status:
                return answer
            await asyncio.sleep(POLL_S)


async def readiness_tells(stage: Stage, status: int, words: bytes) -> None:
    """Wait until `/readyz` answers so."""
    async with asyncio.timeout(WAIT_S_MAX), open_client() as client:
        while True:
            answer = await client.request("GET", stage.running.control_url + "/readyz")
            if answer.status == status and words in answer.body:
                return
            await asyncio.sleep(POLL_S)
