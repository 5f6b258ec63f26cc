"""Floods of refusals against a real gateway: they slow themselves, and nobody else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.reading.reader import find_log
from gateway.audit.sqlite import open_for_reading
from gateway.clock import monotonic_s
from gateway.exchange.pace import AT_ONCE, HOLD_S_MAX, PER_S
from gateway.exchange.refused import RECORDS_PER_SOURCE_PER_MINUTE
from tests.faults.journals import Journal, open_stage
from tests.listening import read_answer
from tests.running import ITEM, PLAY_S_MAX, Running, free_port, item_token, running_gateway

FLOODERS: Final = 150
"""Connections of a flood: more than are answered at once."""
SILENT: Final = 900
"""Connections that say nothing: more than a process may have open."""
GOOD_CALLS: Final = 30
PATIENCE_S: Final = 60.0


@dataclass
class Flood:
    """A flood from one address, and what it has been answered."""

    source: str
    statuses: list[int]

    async def call_on(self, port: int, request: bytes) -> None:
        """Send one request after another, on a new connection where the last one was closed."""
        while True:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, local_addr=(self.source, 0)
            )
            try:
                while True:
                    writer.write(request)
                    answer = await read_answer(reader)
                    self.statuses.append(answer.status)
                    if answer.headers.get(b"connection") == b"close":
                        break
            except (asyncio.IncompleteReadError, ConnectionError):
                continue
            finally:
                writer.transport.abort()


@asynccontextmanager
async def flooding(port: int, source: str, request: bytes) -> AsyncIterator[Flood]:
    """Flood a gateway while the block runs, and wait until more has come than goes at once."""
    flood = Flood(source, [])
    tasks = [asyncio.create_task(flood.call_on(port, request)) for _ in range(FLOODERS)]
    try:
        async with asyncio.timeout(PATIENCE_S):
            while len(flood.statuses) < AT_ONCE:  # noqa: ASYNC110 - the answers have no event
                await asyncio.sleep(0.01)
        yield flood
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def request_with(running: Running, authorization: str) -> bytes:
    """Return a request for the one item, with a line of its own."""
    host = running.base_url.partition("//")[2]
    return f"GET {ITEM} HTTP/1.1\r\nHost: {host}\r\n{authorization}\r\n".encode()


async def good_calls(port: int, request: bytes) -> list[int]:
    """Make calls one after another on one connection, and return their statuses."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    statuses = []
    for _ in range(GOOD_CALLS):
        writer.write(request)
        statuses.append((await read_answer(reader)).status)
    writer.transport.abort()
    return statuses


def recorded(home: Path) -> dict[Kind, int]:
    """Return how many records of each kind the log holds."""
    database = open_for_reading(find_log(home / "audit"))
    try:
        rows = dict(database.execute("SELECT kind, count(*) FROM audit_record GROUP BY kind"))
    finally:
        database.close()
    return {kind: rows.get(code, 0) for kind, code in KIND_CODES.items()}


@contextmanager
def silent_connections(port: int) -> Iterator[None]:
    """Hold connections of two addresses that say nothing while the block runs."""
    with ExitStack() as stack:
        for number in range(SILENT):
            source = f"127.0.3.{1 + number % 2}"
            connection = socket.create_connection(
                ("127.0.0.1", port), PATIENCE_S, source_address=(source, 0)
            )
            stack.enter_context(connection)
        yield


def files_of(pid: int) -> int:
    """Return how many files a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


@asynccontextmanager
async def open_gateway(
    directory: Path, *, open_files: tuple[int, int] | None = None
) -> AsyncIterator[tuple[Running, bytes, dict[str, bytes]]]:
    """Open a gateway of one worker; yield it with a good request and every kind of bad one."""
    async with open_stage(directory, Journal()) as key:
        gateway = running_gateway(
            directory / "home",
            directory / "configuration",
            port=free_port(),
            workers=1,
            open_files=open_files,
        )
        running = await asyncio.to_thread(gateway.__enter__)
        try:
            token = item_token(key, running.base_url)
            stranger = item_token(key, running.base_url, client="no-party-of-the-agreement")
            bad = {
                "denied": request_with(running, f"Authorization: Bearer {stranger}\r\n"),
                "forged": request_with(running, f"Authorization: Bearer {token[:-8]}AAAAAAAA\r\n"),
                "without a token": request_with(running, ""),
            }
            yield running, request_with(running, f"Authorization: Bearer {token}\r\n"), bad
        finally:
            await asyncio.to_thread(gateway.__exit__, None, None, None)


def test_a_flood_slows_itself(tmp_path: Path) -> None:
    """Good calls all go through; a flood gets no more answers, and no more records, than due."""

    async def play() -> None:
        async with open_gateway(tmp_path) as (running, good, bad):
            port = int(running.base_url.rpartition(":")[2])
            home = running.home
            for last, kind in enumerate(bad, start=2):
                before, began_s = recorded(home), monotonic_s()
                async with flooding(port, f"127.0.0.{last}", bad[kind]) as flood:
                    assert await good_calls(port, good) == [200] * GOOD_CALLS
                    # Whoever has waited the longest time is answered, though more wait than the
                    # pace lets out: each of them once in that time.
                    took_s = monotonic_s() - began_s
                    due = AT_ONCE + PER_S * took_s + FLOODERS * (took_s // HOLD_S_MAX)
                    answered, after = list(flood.statuses), recorded(home)
                grown = {each: after[each] - before[each] for each in after}
                assert set(answered) == {403 if kind == "denied" else 401}
                assert AT_ONCE <= len(answered) <= due + 1
                assert grown[Kind.OUTCOME] == GOOD_CALLS
                if kind == "denied":
                    # One durable record each: of those answered, and of those held back.
                    assert len(answered) <= grown[Kind.DENY] <= due + FLOODERS
                if kind == "forged":
                    # A minute may have ended meanwhile: its counts, and the rate of the next one.
                    per_minute = RECORDS_PER_SOURCE_PER_MINUTE
                    assert per_minute <= grown[Kind.TRAFFIC_REFUSED] <= 2 * per_minute + 1

            before = recorded(home)
            malformed = b"GET /a/../b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            async with flooding(port, "127.0.0.99", malformed) as flood:
                assert await good_calls(port, good) == [200] * GOOD_CALLS
                assert set(flood.statuses) == {400}
            after = recorded(home)
            # The counts of the floods before, if a minute has ended meanwhile, and nothing else.
            assert after[Kind.TRAFFIC_REFUSED] <= before[Kind.TRAFFIC_REFUSED] + 1
            assert after[Kind.OUTCOME] == before[Kind.OUTCOME] + GOOD_CALLS

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


@pytest.mark.parametrize("open_files", [(256, 800), (600, 600)], ids=["a shell's", "at most"])
def test_silent_connections_take_no_place_from_others(
    tmp_path: Path, open_files: tuple[int, int]
) -> None:
    """Strangers who open whatever they can and say nothing: the others are served (N-04).

    The same holds where a process may open few files, and must not come to the last of them.
    """

    async def play() -> None:
        async with open_gateway(tmp_path, open_files=open_files) as (running, good, _):
            port = int(running.base_url.rpartition(":")[2])
            with silent_connections(port):
                assert await good_calls(port, good) == [200] * GOOD_CALLS
                statuses = [(await good_calls(port, good))[-1] for _ in range(5)]
                assert statuses == [200] * 5
                assert [files_of(worker) < open_files[1] for worker in running.workers] == [True]

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))
