"""A whole gateway on a disk that is full, or that fails: it refuses, says why, and comes back."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

from connectors.fetch import open_client
from gateway.audit.disk.doubt import is_in_doubt, set_doubt
from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log, snapshot, verify_log
from gateway.audit.search.opening import COLUMNS, found
from tests.faults.journals import Journal, open_stage
from tests.faults.test_rollback import call, reasons
from tests.gateway.audit.disk.test_room import small_disk
from tests.running import PLAY_S_MAX, Running, free_port, running_gateway
from tests.tokens import SigningKey

FULL_MIB = 120
ROOMY_MIB = 1_200


def incidents(home: Path) -> list[object]:
    """Return the incidents that a gateway's log has on record, the oldest first."""
    with snapshot(find_log(home / "audit")) as db:
        rows = db.execute(
            f"SELECT {COLUMNS} FROM audit_record WHERE kind = ? ORDER BY leaf_index",  # noqa: S608 - constants
            (KIND_CODES[Kind.INCIDENT],),
        ).fetchall()
    return [found(row).core()["incident"] for row in rows]


async def until_answered(running: Running, key: SigningKey, status: int) -> None:
    """Call until the gateway answers with a status."""
    while (await call(running, key))[0] != status:  # noqa: ASYNC110 - the workers look by themselves
        await asyncio.sleep(0.1)


def enlarge(disk: Path) -> None:
    """Give a disk that was mounted small more room."""
    subprocess.run(["mount", "-o", f"remount,size={ROOMY_MIB}m", str(disk)], check=True)


def test_a_gateway_on_a_full_disk_refuses_until_there_is_room(tmp_path: Path) -> None:
    """F5: 503 and a reason while there is no room, and nothing is sent; then all by itself (I10).

    Both moments are on record, and `/metrics` shows them.
    """

    async def play(home: Path) -> None:
        journal = Journal()
        async with open_stage(tmp_path, journal) as key:
            configuration = tmp_path / "configuration"
            with running_gateway(home, configuration, port=free_port()) as running:
                assert await call(running, key) == (503, "/problems/audit-unavailable")
                assert any("MiB are free" in reason for reason in await reasons(running))
                assert journal.served == []
                await asyncio.to_thread(enlarge, home.parent)
                await until_answered(running, key, 200)
                while incidents(home) != ["disk_full", "disk_free"]:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.1)
                async with open_client() as client:
                    metrics = await client.request("GET", running.control_url + "/metrics")
                    ready = await client.request("GET", running.control_url + "/readyz")
                assert b"concordat_audit_refuses 0\n" in metrics.body
                assert json.loads(ready.body)["ready"] is True
            report = verify_log(find_log(home / "audit"), keys=LogKeys(home / "keys"))
            assert report.ok, report.faults

    with small_disk(tmp_path, FULL_MIB) as place:
        asyncio.run(asyncio.wait_for(play(place / "home"), PLAY_S_MAX))


def test_a_gateway_whose_log_is_in_doubt_ends_and_recovers_at_its_next_start(
    tmp_path: Path,
) -> None:
    """F3: every process stops; the next start recovers the log and records it (I3, I5)."""

    async def play() -> None:
        journal = Journal()
        async with open_stage(tmp_path, journal) as key:
            home, configuration, port = tmp_path / "home", tmp_path / "configuration", free_port()
            with running_gateway(home, configuration, port=port) as running:
                assert (await call(running, key))[0] == 200
                set_doubt(home / "audit")
                await asyncio.to_thread(running.process.join, 50)
                assert running.process.exitcode not in (0, None)
            with running_gateway(home, configuration, port=port) as running:
                assert (await call(running, key))[0] == 200
            assert not is_in_doubt(home / "audit")
            assert incidents(home) == ["io_error"]
            report = verify_log(find_log(home / "audit"), keys=LogKeys(home / "keys"))
            assert report.ok, report.faults

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))
