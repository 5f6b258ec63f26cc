"""An old copy of the log put in the place of a newer one: the gateway sees it, and refuses."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

from connectors.fetch import open_client
from gateway.audit.reading.reader import find_log
from tests.faults.journals import Journal, open_stage
from tests.running import ITEM, PLAY_S_MAX, Running, free_port, running_gateway
from tests.tokens import SigningKey


async def call(running: Running, key: SigningKey) -> tuple[int, str]:
    """Make one call; return its status and the problem that it names."""
    headers = {"authorization": f"Bearer {running.token(key)}"}
    async with open_client() as client:
        answer = await client.request("GET", running.base_url + ITEM, headers)
    return answer.status, json.loads(answer.body).get("type", "")


async def reasons(running: Running) -> list[str]:
    """Return why the gateway is not ready."""
    async with open_client() as client:
        answer = await client.request("GET", running.control_url + "/readyz")
    found: list[str] = json.loads(answer.body)["reasons"]
    return found


def test_a_restored_backup_freezes_the_whole_gateway(tmp_path: Path) -> None:
    """F11: every worker answers 503, `/readyz` says why, and nothing is written (I5, I10).

    The sealed head stays as it was: it is the proof that records are missing.
    """

    async def play() -> None:
        journal = Journal()
        async with open_stage(tmp_path, journal) as key:
            home, configuration = tmp_path / "home", tmp_path / "configuration"
            audit, port = home / "audit", free_port()
            with running_gateway(home, configuration, port=port) as running:
                assert (await call(running, key))[0] == 200
            shutil.copytree(audit, tmp_path / "backup")
            with running_gateway(home, configuration, port=port) as running:
                assert (await call(running, key))[0] == 200
            backup = tmp_path / "backup" / find_log(audit).name
            shutil.copy(backup, find_log(audit))
            restored = find_log(audit).read_bytes()
            sealed = (audit / "sealed-head").read_bytes()
            with running_gateway(home, configuration, port=port, workers=2) as running:
                for _ in range(4):
                    assert await call(running, key) == (503, "/problems/audit-unavailable")
                assert any("rolled back" in reason for reason in await reasons(running))
            assert find_log(audit).read_bytes() == restored
            assert (audit / "sealed-head").read_bytes() == sealed
            assert len(journal.served) == 2

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))
