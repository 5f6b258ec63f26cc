"""What is stopped is refused by every worker within a second, whatever else has failed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from connectors.fetch import Answer, open_client
from gateway import administration
from gateway.clock import monotonic_s
from gateway.database import open_engine, writing
from gateway.registry.store import StopKind
from tests.running import AGREEMENT, CLIENT, ISSUER, PLAY_S_MAX, SERVICE
from tests.staging import POLL_S, WAIT_S_MAX, Stage, open_stage, until

pytestmark = pytest.mark.alone

EFFECT_S_MAX = 1.0
"""The promise: a stop takes effect on every worker within a second of its commit."""
TOKEN_ID = "token-of-the-test"


async def stop(stage: Stage, kind: StopKind, key: str) -> None:
    """Stop something as an operator does; it is committed when this returns."""
    await asyncio.to_thread(
        administration.stop, stage.running.settings, kind, key, reason="test", by="tests"
    )


async def resume(stage: Stage, kind: StopKind, key: str) -> None:
    """End a stop."""
    await asyncio.to_thread(
        administration.resume, stage.running.settings, kind, key, reason="test", by="tests"
    )


async def took_effect(stage: Stage, workers: int = 2) -> None:
    """Wait until every worker has measured a stop, and hold what they measured to the promise."""
    await until(lambda: all(it.slowest_us for it in stage.running.figures.values()))
    measured = [worker.slowest_us / 1_000_000 for worker in stage.running.figures.values()]
    assert len(measured) == workers
    assert max(measured) <= EFFECT_S_MAX


async def until_status(stage: Stage, status: int, **token: Any) -> Answer:
    """Call until an answer has a status; a test that waits in vain fails."""
    async with asyncio.timeout(WAIT_S_MAX), open_client() as client:
        while True:
            answer = await stage.call(client, **token)
            if answer.status == status:
                return answer
            await asyncio.sleep(POLL_S)


def rename_table(path: Path, old: str, new: str) -> None:
    """Rename a table of a registry."""
    engine = open_engine(f"sqlite+pysqlite:///{path}")
    with writing(engine) as connection:
        connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")
    engine.dispose()


def test_a_suspension_takes_effect_within_a_second_under_load(tmp_path: Path) -> None:
    """Both workers measured it, and nothing that was asked for later than that was let through."""

    async def play() -> None:
        async with open_stage(tmp_path) as stage:
            async with stage.load():
                await until(lambda: len(stage.seen) > 50)
                await stop(stage, StopKind.AGREEMENT, AGREEMENT)
                committed_s = monotonic_s()
                await took_effect(stage)
                await until(lambda: stage.seen[-1].asked_s > committed_s + EFFECT_S_MAX)
            late = [it for it in stage.seen if it.asked_s > committed_s + EFFECT_S_MAX]
            assert {seen.status for seen in stage.seen} == {200, 403}
            assert {seen.status for seen in late} == {403}

            async with open_client() as client:
                metrics = await client.request("GET", stage.running.control_url + "/metrics")
            assert b'concordat_stop_effect_seconds_bucket{le="1.0"} 2.0' in metrics.body
            assert b"concordat_stop_effect_seconds_count 2.0" in metrics.body

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def test_each_kind_of_stop_is_refused_and_ends(tmp_path: Path) -> None:
    """Client, key, token, issuer, service and agreement: refused in their own way, then not."""
    stops = (
        (StopKind.CLIENT, CLIENT, 401, "TOKEN_INVALID"),
        (StopKind.KEY, "key-1", 401, "TOKEN_INVALID"),
        (StopKind.TOKEN, TOKEN_ID, 401, "TOKEN_INVALID"),
        (StopKind.ISSUER, ISSUER, 401, "ISSUER_UNTRUSTED"),
        (StopKind.SERVICE, SERVICE, 502, "CONNECTOR_UNAVAILABLE"),
        (StopKind.AGREEMENT, AGREEMENT, 403, "AGREEMENT_NOT_ACTIVE"),
    )

    async def play() -> None:
        async with open_stage(tmp_path, workers=1) as stage:
            for kind, key, status, reason in stops:
                await until_status(stage, 200, jti=TOKEN_ID)
                await stop(stage, kind, key)
                refused = await until_status(stage, status, jti=TOKEN_ID)
                assert json.loads(refused.body)["reason_code"] == reason
                await resume(stage, kind, key)
            await until_status(stage, 200, jti=TOKEN_ID)
            await took_effect(stage, workers=1)

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def test_a_stop_needs_no_control_process(tmp_path: Path) -> None:
    """Each worker reads the stop-list itself, so that a dead control process changes nothing."""

    async def play() -> None:
        async with open_stage(tmp_path) as stage:
            await until_status(stage, 200)
            assert stage.running.process.pid is not None
            os.kill(stage.running.process.pid, signal.SIGKILL)
            await asyncio.to_thread(stage.running.process.join, WAIT_S_MAX)
            try:
                await until_status(stage, 200)
                await stop(stage, StopKind.AGREEMENT, AGREEMENT)
                await took_effect(stage)
                assert (await until_status(stage, 403)).status == 403
            finally:
                for worker in stage.running.workers:
                    os.kill(worker, signal.SIGTERM)

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


@pytest.mark.parametrize("how", ["moved away", "emptied"])
def test_without_the_registry_nothing_is_let_through(tmp_path: Path, how: str) -> None:
    """Five seconds after the stop-list could last be read, everything is refused; then it goes on.

    A registry whose file was moved away, or holds no table any more, does not answer.
    """

    async def play() -> None:
        async with open_stage(tmp_path) as stage:
            await until_status(stage, 200)
            path = stage.running.home / "registry.db"
            if how == "moved away":
                path.rename(path.with_suffix(".away"))
            else:
                rename_table(path, "stop", "gone")
            gone_s = monotonic_s()
            refused = await until_status(stage, 503)
            assert 4.0 <= monotonic_s() - gone_s <= 10.0
            assert json.loads(refused.body)["type"] == "/problems/stop-list-stale"

            if how == "moved away":
                path.with_suffix(".away").rename(path)
            else:
                rename_table(path, "gone", "stop")
            await until_status(stage, 200)

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))
