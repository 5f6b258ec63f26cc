"""Configuration that changes under load: nothing that it leaves alone fails, nothing is cut."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from connectors.fetch import open_client
from gateway.audit.reading.reader import find_log, verify_log
from tests.running import ITEM, PLAY_S_MAX
from tests.staging import BODY, MOVING, WAIT_S_MAX, Stage, open_stage, until
from tests.steady import open_steady

MANY = 160
CALLS_MIN = 100
"""Calls of the untouched service that the load makes at least while everything changes."""


async def busy(stage: Stage) -> None:
    """Wait until the load has been answered again, so that every state was under load."""
    answered = len(stage.seen)
    await until(lambda: len(stage.seen) >= answered + CALLS_MIN // 4)


async def new_version(stage: Stage, version: int, worker: int) -> int:
    """Apply a new version of an agreement; return its revision once a worker enforces it."""
    stage.edit("agreements/0000.yaml", lambda document: document.update(version=version))
    revision = (await stage.apply()).revision
    await until(lambda: stage.running.figures[worker].revision == revision)
    return revision


def test_no_request_fails_while_the_configuration_changes(tmp_path: Path) -> None:
    """An agreement gets a version, a service moves and then goes: its neighbour never notices.

    The call that was under way when its service moved is answered by the old address, which is
    left by every worker once it has.
    """

    async def play() -> None:
        async with (
            open_stage(tmp_path) as stage,
            open_steady(BODY) as moved_to,
            open_client() as client,
        ):
            async with stage.load():
                await busy(stage)
                stage.moving.may_answer.clear()
                under_way = asyncio.create_task(stage.call_moving(client))
                async with asyncio.timeout(WAIT_S_MAX):
                    await stage.moving.asked.wait()

                stage.edit("agreements/0000.yaml", lambda document: document.update(version=2))
                stage.edit("services.yaml", lambda document: _move(document, moved_to.base_url))
                changes = await stage.apply()
                await stage.everywhere(changes.revision)
                assert len(changes.changed) == 2
                assert (await stage.call_moving(client)).status == 200
                assert moved_to.requests == 1
                stage.moving.may_answer.set()
                assert (await under_way).status == 200
                async with asyncio.timeout(WAIT_S_MAX):
                    await stage.moving.left.wait()
                await busy(stage)

                stage.edit("services.yaml", lambda document: document["services"].pop())
                (stage.configuration / "agreements" / "0001.yaml").unlink()
                changes = await stage.apply()
                await stage.everywhere(changes.revision)
                assert len(changes.removed) == 2
                assert (await stage.call_moving(client)).status == 401  # its audience is nobody's
                await busy(stage)
            assert (moved_to.requests, stage.moving.requests) == (1, 1)
            assert len(stage.seen) >= CALLS_MIN
            assert {seen.status for seen in stage.seen} == {200}
        assert verify_log(find_log(tmp_path / "home" / "audit")).ok

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def test_what_cannot_be_enforced_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """The last good Snapshot stays in force in every worker; the next good one comes into force."""

    async def play() -> None:
        async with open_stage(tmp_path) as stage, open_client() as client:
            async with stage.load():
                stage.edit("services.yaml", lambda document: _move(document, "https://[/"))
                bad = await stage.apply()
                async with asyncio.timeout(WAIT_S_MAX):
                    while await stage.ready(client):
                        await busy(stage)
                enforced = {worker.revision for worker in stage.running.figures.values()}
                assert enforced == {bad.revision - 1}
                assert (await stage.call_moving(client)).status == 200

                stage.edit("services.yaml", lambda d: _move(d, stage.moving.base_url))
                good = await stage.apply()
                await stage.everywhere(good.revision)
                await busy(stage)
            assert {seen.status for seen in stage.seen} == {200}
            assert (await stage.call(client, ITEM)).status == 200

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def test_a_worker_that_takes_nothing_gets_the_newest_as_soon_as_it_does(tmp_path: Path) -> None:
    """It holds up nobody, and is not left behind: what came while it was stuck comes after."""

    async def play() -> None:
        # With so many agreements a Snapshot is longer than what a pipe takes in unread.
        async with open_stage(tmp_path, agreements=MANY) as stage:
            stuck, other = stage.running.workers
            os.kill(stuck, signal.SIGSTOP)
            try:
                await new_version(stage, 2, other)
                newest = await new_version(stage, 3, other)
                assert stage.running.figures[stuck].revision < newest - 1
            finally:
                os.kill(stuck, signal.SIGCONT)
            await stage.everywhere(newest)

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def _move(document: Any, base_url: str) -> None:
    (service,) = (one for one in document["services"] if one["connector"] == MOVING)
    service["base_url"] = base_url
