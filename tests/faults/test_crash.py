"""kill -9 under load: what was acknowledged is in the log, and every intent finds its end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from connectors.fetch import FetchFailed, open_client
from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log, verify_log
from gateway.audit.sqlite import open_database
from gateway.presence import Role, who_runs
from tests.faults.journals import Journal, kinds_of, log_of, open_exchanges, open_stage
from tests.running import ITEM, PLAY_S_MAX, Running, free_port, kill_all, running_gateway
from tests.tokens import SigningKey

CLIENTS = 8
LOAD_S = 1.0
WORKER_ROUNDS = 3
"""Deaths of a worker in one run; each is at an instant of its own."""


async def call_on(running: Running, key: SigningKey, journal: Journal, stop: asyncio.Event) -> None:
    """Call again and again; a broken connection is what a crash looks like from outside."""
    headers = {"authorization": f"Bearer {running.token(key)}"}
    while not stop.is_set():
        async with open_client(timeout_s=5.0) as client:
            try:
                while not stop.is_set():
                    answer = await client.request("GET", running.base_url + ITEM, headers)
                    assert answer.status == 200, answer.body
                    journal.acknowledge(dict(answer.headers)[b"exchange-id"].decode())
            except FetchFailed:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def load(running: Running, key: SigningKey, journal: Journal) -> AsyncIterator[None]:
    """Keep several callers busy while the block runs."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as callers:
        for _ in range(CLIENTS):
            callers.create_task(call_on(running, key, journal, stop))
        yield
        stop.set()


async def served_again(journal: Journal) -> None:
    """Wait until another exchange has been answered."""
    journal.answered.clear()
    await journal.answered.wait()


async def all_closed(home: Path) -> None:
    """Wait until every intent has its terminal record."""
    while open_exchanges(home):  # noqa: ASYNC110 - another process closes them
        await asyncio.sleep(0.1)


def judge(home: Path, journal: Journal) -> None:
    """Compare the journals with the log (invariants I1, I3, I4, I8)."""
    path = log_of(home)
    keys = LogKeys(home / "keys")
    report = verify_log(path, keys=keys)
    assert report.ok, report.faults
    assert len(journal.acknowledged) > CLIENTS
    for identifier in {*journal.acknowledged, *journal.served}:
        kinds = kinds_of(path, identifier)
        assert kinds, "an exchange is missing from the log"
        assert kinds[0] == Kind.INTENT
        if identifier in journal.acknowledged:
            assert kinds[1:] == (Kind.OUTCOME,)
        else:
            assert len(kinds) == 2


def test_killed_workers_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """F1, F2: workers die under load and are started again; the journals are in the log."""

    async def play() -> None:
        journal = Journal()
        async with open_stage(tmp_path, journal) as key:
            home = tmp_path / "home"
            port = free_port()
            with running_gateway(home, tmp_path / "configuration", port=port) as running:
                async with load(running, key, journal):
                    for round_number in range(WORKER_ROUNDS):
                        await asyncio.sleep(LOAD_S + round_number * 0.037)
                        (worker,) = worker_pids(running)
                        os.kill(worker, signal.SIGKILL)
                        await replaced(running, worker)
                        await served_again(journal)
                await all_closed(home)
            judge(home, journal)

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def test_a_killed_gateway_starts_again_on_its_log(tmp_path: Path) -> None:
    """F2: all processes die at once; the next start finds the log whole and closes open intents."""

    async def play() -> None:
        journal = Journal()
        async with open_stage(tmp_path, journal) as key:
            home, port = tmp_path / "home", free_port()
            with running_gateway(home, tmp_path / "configuration", port=port) as running:
                async with load(running, key, journal):
                    await asyncio.sleep(LOAD_S)
                    kill_all(running)
            with running_gateway(home, tmp_path / "configuration", port=port) as running:
                async with load(running, key, journal):
                    await served_again(journal)
                await all_closed(home)
            judge(home, journal)

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


async def replaced(running: Running, worker: int) -> None:
    """Wait until another worker runs in the place of one that died."""
    while worker_pids(running) in ([], [worker]):  # noqa: ASYNC110 - another process replaces it
        await asyncio.sleep(0.02)


def worker_pids(running: Running) -> list[int]:
    """Return the workers that run now."""
    runs = who_runs(running.home / "run")
    return [process.pid for process in runs if process.role is Role.WORKER]


def test_a_changed_byte_is_reported_with_its_index(tmp_path: Path) -> None:
    """F20: one byte changed in the file of a real gateway's log is found, with its index."""

    async def play() -> None:
        journal = Journal()
        async with open_stage(tmp_path, journal) as key:
            home, port = tmp_path / "home", free_port()
            with running_gateway(home, tmp_path / "configuration", port=port) as running:
                async with load(running, key, journal):
                    await served_again(journal)
        path = find_log(home / "audit")
        assert verify_log(path).ok
        change_byte_of_entry(path, index=3)
        report = verify_log(path)

        assert not report.ok
        # The changed byte may break the entry's grammar besides, which is another fault of it.
        found = {(fault.at, fault.what) for fault in report.faults}
        assert (3, "the entry does not have its leaf hash") in found

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def change_byte_of_entry(path: Path, *, index: int) -> None:
    """Change one byte of one entry in the database file itself, past SQLite and its triggers.

    The first letter of a commitment becomes another one, so that the entry still reads as one.
    """
    database = open_database(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    entry = bytes(
        database.execute(
            "SELECT entry FROM audit_record WHERE leaf_index = ?", (index,)
        ).fetchone()[0]
    )
    database.close()
    content = path.read_bytes()
    at = content.index(entry) + entry.index(b'"core":"') + len(b'"core":"')
    changed = b"B" if content[at : at + 1] == b"A" else b"A"
    path.write_bytes(content[:at] + changed + content[at + 1 :])
