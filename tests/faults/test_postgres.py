"""The log in PostgreSQL under faults: writers killed, the server crashed, standbys and failover."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import pytest

from connectors.fetch import open_client
from gateway.audit import postgres as postgres_module
from gateway.audit.lifecycle.sweep import Sweeper
from gateway.audit.log import AuditLog
from gateway.audit.postgresql import presence as postgres_presence
from gateway.audit.reading.reader import verify_log
from gateway.audit.store import LogBusy, Position
from tests.faults.forked import FORKED
from tests.faults.journals import Journal, open_stage
from tests.faults.test_crash import all_closed, judge, load, served_again, worker_pids
from tests.faults.writers import write_until_killed
from tests.gateway.audit.records import (
    integrated,
    intent,
    keys_in,
    place_in,
    provisioned,
    selected,
    use_postgres,
    using,
)  # fmt: skip
from tests.postgres import Postgres
from tests.running import ITEM, PLAY_S_MAX, free_port, running_gateway

ROUNDS: Final = 50
WRITERS: Final = 3
WAIT_S_MAX: Final = 60.0


@contextmanager
def writers_on(directory: Path, journals: list[Path]) -> Iterator[None]:
    """Have a process write to each journal until the block ends; then all are killed -9."""
    writers = [
        FORKED.Process(target=write_until_killed, args=(directory, journal)) for journal in journals
    ]
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        for writer in writers:
            writer.kill()
        for writer in writers:
            writer.join()


def lines_of(journal: Path) -> list[str]:
    """Return what a writer was acknowledged so far."""
    return journal.read_text().splitlines() if journal.exists() else []


def test_fifty_rounds_of_killed_writers_lose_nothing(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F2: three processes on one log die together, fifty times (I3, I4, I5, I8)."""
    monkeypatch.setattr(postgres_presence, "SILENCE_S_MAX", 3.0)
    use_postgres(tmp_path, postgres_url)
    provisioned(tmp_path)
    journals = [tmp_path / f"journal-{number}" for number in range(WRITERS)]
    for round_ in range(ROUNDS):
        wanted = [len(lines_of(journal)) + 1 + round_ % 7 for journal in journals]
        deadline_s = time.monotonic() + WAIT_S_MAX
        with writers_on(tmp_path, journals):
            while any(len(lines_of(j)) < n for j, n in zip(journals, wanted, strict=True)):
                assert time.monotonic() < deadline_s
                time.sleep(0.005)

    async def close(log: AuditLog) -> None:
        with closing(Sweeper(log)) as sweeper:
            while selected(log.path, "SELECT count(*) FROM audit_open") != [(0,)]:
                await sweeper.sweep()
                await asyncio.sleep(0.1)

    using(tmp_path, close)
    place = integrated(tmp_path)
    rows = selected(place, "SELECT leaf_index, leaf_hash FROM audit_record")
    stored = {index: leaf_hash.hex() for index, leaf_hash in rows}
    lines = [line.split() for journal in journals for line in lines_of(journal)]
    assert len(lines) >= ROUNDS * WRITERS
    assert {(int(index), leaf_hash) for index, leaf_hash in lines} <= set(stored.items())
    assert len({index for index, _ in lines}) == len(lines)
    report = verify_log(place, keys=keys_in(tmp_path))
    assert report.ok, report.faults


def both_of(primary: Postgres, standby: Postgres, database: str) -> str:
    """Return the URL of whichever of two servers takes records."""
    parts = urlsplit(primary.url(database))
    netloc = f"{parts.netloc},127.0.0.1:{standby.port}"
    return urlunsplit(parts._replace(netloc=netloc, query="target_session_attrs=read-write"))


def test_a_synchronous_standby_is_waited_for_and_takes_over(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F8, F10: what is acknowledged is on the standby too, whoever cancels the wait (I3, I5)."""
    monkeypatch.setattr(postgres_module, "RETRY_S", 0.05)
    url = postgres.new_database()
    database = urlsplit(url).path[1:]
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE %s"
    cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

    with postgres.standby("north") as standby:
        use_postgres(tmp_path, both_of(postgres, standby, database))
        postgres.configure(synchronous_standby_names="north")

        async def waiting(statement: str) -> None:
            while postgres.execute(waits, f"%{statement}%") == [(0,)]:  # noqa: ASYNC110 - a server's state
                await asyncio.sleep(0.02)

        async def use(log: AuditLog) -> None:
            first = await log.append(intent())
            await asyncio.to_thread(standby.stop)
            append = asyncio.create_task(log.append(intent()))
            await waiting("audit_append")
            postgres.execute(cancel)
            await waiting("audit_barrier")  # the commit "succeeded", with a warning
            assert not append.done()
            await asyncio.to_thread(standby.start)
            places = [first, await append, await log.append(intent())]
            assert [place.index for place in places] == [1, 2, 3]

            postgres.stop("immediate")
            standby.promote()
            places.append(await again(log))
            stored = dict(
                selected(place_in(tmp_path), "SELECT leaf_index, leaf_hash FROM audit_record")
            )
            assert {place.index: place.leaf_hash for place in places}.items() <= stored.items()
            assert places[-1].index == 4
            assert log.failure is None

        using(tmp_path, use)
        assert verify_log(integrated(tmp_path), keys=keys_in(tmp_path)).ok


async def again(log: AuditLog) -> Position:
    """Append as soon as there is a server that takes records."""
    while True:
        try:
            return await log.append(intent())
        except LogBusy:
            await asyncio.sleep(0.05)


def test_a_gateway_outlives_a_crash_of_its_server(tmp_path: Path, postgres: Postgres) -> None:
    """F9: 503 while it is down, no worker ends, nothing acknowledged is lost (I3, I4, I8, I10)."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "concordat.yaml").write_text(f"audit_url: {postgres.new_database()}\n")

    async def play() -> None:
        journal = Journal()
        async with open_stage(tmp_path, journal) as key:
            port = free_port()
            directory = tmp_path / "configuration"
            with running_gateway(home, directory, port=port, workers=2) as running:
                async with load(running, key, journal):
                    await served_again(journal)
                    await asyncio.sleep(0.5)
                workers = worker_pids(running)
                postgres.stop("immediate")
                headers = {"authorization": f"Bearer {running.token(key)}"}
                served = len(journal.served)
                async with open_client(timeout_s=20.0) as client:
                    answer = await client.request("GET", running.base_url + ITEM, headers)
                    assert (answer.status, len(journal.served)) == (503, served)
                    postgres.start()
                    while answer.status == 503:
                        answer = await client.request("GET", running.base_url + ITEM, headers)
                    assert answer.status == 200, answer.body
                async with load(running, key, journal):
                    await served_again(journal)
                assert sorted(worker_pids(running)) == sorted(workers)
                await all_closed(home)
            judge(home, journal)

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))
