"""Workers come and go under calls: nobody's answer is lost that can be given."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from connectors.fetch import Answer, open_client
from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log, verify_log
from gateway.data_plane import log_origin
from gateway.database import open_engine
from gateway.presence import Role, who_runs
from gateway.registry.configuration import read_directory
from gateway.registry.store import Registry
from gateway.settings import Settings, load_settings
from tests.faults.journals import Journal, kinds_of, open_exchanges, open_stage
from tests.listening import connected, read_answer
from tests.running import (
    ITEM,
    PLAY_S_MAX,
    PROVIDER,
    Running,
    free_port,
    item_token,
    running_gateway,
)
from tests.tokens import SigningKey

PATIENCE_S = 30.0


@dataclass
class Stage:
    """A running gateway whose service holds answers back where it is told to."""

    running: Running
    key: SigningKey
    journal: Journal
    gate: Gate

    async def begin_call(self) -> asyncio.Task[Answer]:
        """Begin a call that the service has heard, and answers when the gate is opened."""
        self.gate.asked.clear()
        self.gate.opened.clear()
        begun = asyncio.create_task(self.call())
        await self.gate.asked.wait()
        return begun

    async def call(self) -> Answer:
        """Make one call on a connection of its own."""
        headers = {"authorization": f"Bearer {item_token(self.key, self.running.base_url)}"}
        async with open_client(timeout_s=PATIENCE_S) as client:
            return await client.request("GET", self.running.base_url + ITEM, headers)

    async def control(self, path: str) -> Answer:
        """Ask the control listener."""
        async with open_client(timeout_s=PATIENCE_S) as client:
            return await client.request("GET", self.running.control_url + path)

    def workers(self) -> set[int]:
        """Return the process ids of the workers that run now."""
        runs = who_runs(self.running.home / "run")
        return {process.pid for process in runs if process.role is Role.WORKER}


@dataclass
class Gate:
    """Holds the service's answers back while it is closed."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def answers(self) -> bool:
        """Let the answer out when the gate is open."""
        self.asked.set()
        await self.opened.wait()
        return True


@asynccontextmanager
async def open_gateway(directory: Path, *, workers: int) -> AsyncIterator[Stage]:
    """Open an issuer, a service with a gate, and a real gateway."""
    journal, gate = Journal(), Gate()
    async with open_stage(directory, journal, gate.answers) as key:
        gateway = running_gateway(
            directory / "home", directory / "configuration", port=free_port(), workers=workers
        )
        # The gateway blocks while it starts and stops; the service must go on answering.
        running = await asyncio.to_thread(gateway.__enter__)
        try:
            yield Stage(running, key, journal, gate)
        finally:
            gate.opened.set()  # whatever has failed, nothing waits any more
            await asyncio.to_thread(gateway.__exit__, None, None, None)


def test_a_worker_that_is_told_to_end_finishes_what_it_has_begun(tmp_path: Path) -> None:
    """SIGTERM to workers: the call under way is answered, and others serve new ones meanwhile."""

    async def play() -> None:
        async with open_gateway(tmp_path, workers=2) as stage:
            slow = await stage.begin_call()
            before = stage.workers()
            for worker in before:
                os.kill(worker, signal.SIGTERM)
            # One of them has nothing to finish, and is replaced; the other one waits.
            await soon(lambda: stage.workers() - before)
            others = [asyncio.create_task(stage.call()) for _ in range(4)]
            await soon(lambda: len(stage.journal.served) == 5)
            assert len(stage.workers() & before) == 1
            stage.gate.opened.set()
            assert [(await call).status for call in (slow, *others)] == [200] * 5
            await soon(lambda: len(stage.workers()) == 2 and not stage.workers() & before)

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def test_a_hangup_ends_nothing(tmp_path: Path) -> None:
    """SIGHUP to every process, as a closed terminal sends it: all goes on, new calls and old."""

    async def play() -> None:
        async with open_gateway(tmp_path, workers=2) as stage:
            slow, before = await stage.begin_call(), stage.workers()
            for pid in stage.running.pids:
                os.kill(pid, signal.SIGHUP)
            others = [asyncio.create_task(stage.call()) for _ in range(8)]
            await soon(lambda: len(stage.journal.served) == 9)
            stage.gate.opened.set()
            assert [(await call).status for call in (slow, *others)] == [200] * 9
            assert stage.workers() == before
            assert (await stage.control("/readyz")).status == 200

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def test_one_worker_alone_is_replaced_without_a_refused_connection(tmp_path: Path) -> None:
    """The listening socket is the supervisor's: who calls between two workers waits a moment.

    F22: a gateway that is told to end answers the call under way first.
    """

    async def play() -> None:
        async with open_gateway(tmp_path, workers=1) as stage:
            stage.gate.opened.set()
            assert (await stage.call()).status == 200
            (worker,) = stage.workers()
            os.kill(worker, signal.SIGKILL)
            await soon(lambda: not stage.workers())
            assert (await stage.call()).status == 200

            slow = await stage.begin_call()
            stage.running.process.terminate()
            await refused(stage)
            assert not slow.done()
            stage.gate.opened.set()
            assert (await slow).status == 200
            await asyncio.to_thread(stage.running.process.join, PATIENCE_S)
            assert stage.running.process.exitcode == 0
        path = find_log(tmp_path / "home" / "audit")
        for identifier in stage.journal.served:
            assert kinds_of(path, identifier) == (Kind.INTENT, Kind.OUTCOME)
        assert len(stage.journal.served) == 3

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def test_what_a_dead_worker_left_open_is_closed_before_the_gateway_has_ended(
    tmp_path: Path,
) -> None:
    """F1, F22: a worker dies with a call under way and the gateway is stopped at once."""

    async def play() -> None:
        async with open_gateway(tmp_path, workers=1) as stage:
            slow = await stage.begin_call()
            (worker,) = stage.workers()
            os.kill(worker, signal.SIGKILL)
            stage.running.process.terminate()
            await asyncio.to_thread(stage.running.process.join, PATIENCE_S)
            await asyncio.gather(slow, return_exceptions=True)
        settings = settings_of(stage)
        path, keys = find_log(settings.audit_directory), LogKeys(settings.keys_directory)
        assert open_exchanges(settings.home) == 0
        assert kinds_of(path, stage.journal.served[0]) == (Kind.INTENT, Kind.INDETERMINATE)
        vkey = keys.signer(log_origin(settings)).verifier.vkey()
        report = verify_log(path, vkey=vkey, keys=keys)
        assert report.ok, report.faults
        assert report.signed_size == report.size

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def test_a_worker_that_cannot_start_again_is_nobody_elses_trouble(tmp_path: Path) -> None:
    """The other worker serves and takes configurations up; `/readyz` tells, until it is mended."""

    async def play() -> None:
        async with open_gateway(tmp_path, workers=2) as stage:
            stage.gate.opened.set()
            assert (await stage.call()).status == 200
            victim, other = sorted(stage.workers())
            run = stage.running.home / "run"
            run.rename(run.with_name("mislaid"))
            run.write_text("a file where a folder must be")
            os.kill(victim, signal.SIGKILL)
            await told(stage, 503, b"could not start")
            withdraw_all(stage)
            await withdrawn(stage)
            run.unlink()
            run.with_name("mislaid").rename(run)
            await told(stage, 200, b"true")
            assert len(stage.workers() - {victim, other}) == 1
            assert other in stage.workers()

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


async def soon(holds: Callable[[], object]) -> None:
    """Wait for what other processes bring about."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - other processes have no event for us
            await asyncio.sleep(0.05)


async def refused(stage: Stage) -> None:
    """Wait until nobody listens any more."""
    port = int(stage.running.base_url.rpartition(":")[2])
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            writer.transport.abort()
            await asyncio.sleep(0.05)


async def withdrawn(stage: Stage) -> None:
    """Wait until a call is refused, since nobody has agreed to it any more."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if (await stage.call()).status != 200:
                return
            await asyncio.sleep(0.05)


async def told(stage: Stage, status: int, words: bytes) -> None:
    """Wait until `/readyz` answers so."""
    async with asyncio.timeout(2 * PATIENCE_S):
        while True:
            answer = await stage.control("/readyz")
            if answer.status == status and words in answer.body:
                return
            await asyncio.sleep(0.1)


def withdraw_all(stage: Stage) -> None:
    """Apply a configuration in which the one agreement is no more."""
    configuration = stage.running.home.parent / "configuration"
    for path in (configuration / "agreements").iterdir():
        path.unlink()
    settings = settings_of(stage)
    engine = open_engine(settings.database_url)
    Registry(engine).apply(read_directory(configuration), by="tests")
    engine.dispose()


def settings_of(stage: Stage) -> Settings:
    """Return the settings of a stage's gateway, as far as they matter here."""
    base_url = stage.running.base_url
    return load_settings(stage.running.home, organisation=PROVIDER, public_base_url=base_url)


def test_a_worker_that_hangs_holds_up_nobody_and_is_replaced(tmp_path: Path) -> None:
    """F13: new calls go to the other worker at once, and the one that stands still is ended."""

    async def play() -> None:
        async with open_gateway(tmp_path, workers=2) as stage:
            stage.gate.opened.set()
            assert (await stage.call()).status == 200
            victim, other = sorted(stage.workers())
            os.kill(victim, signal.SIGSTOP)
            answers = [await stage.call() for _ in range(4)]
            assert [answer.status for answer in answers] == [200] * 4
            assert victim in stage.workers()
            await gone(stage, victim)
            await soon(lambda: len(stage.workers()) == 2)
            assert other in stage.workers()

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def test_draining_workers_in_turn_costs_no_call(tmp_path: Path) -> None:
    """A rolling restart: callers who connect for each call notice nothing of it."""

    async def play() -> None:
        async with open_gateway(tmp_path, workers=2) as stage:
            stage.gate.opened.set()
            statuses: list[int] = []
            ended = asyncio.Event()
            callers = [asyncio.create_task(call_on(stage, statuses, ended)) for _ in range(8)]
            for worker in sorted(stage.workers()):
                await soon(lambda: len(stage.workers()) == 2)
                await more(statuses)
                os.kill(worker, signal.SIGTERM)
                await gone(stage, worker)
            await soon(lambda: len(stage.workers()) == 2)
            ended.set()
            await asyncio.gather(*callers)
            assert set(statuses) == {200}

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


async def call_on(stage: Stage, statuses: list[int], ended: asyncio.Event) -> None:
    """Make call after call, each on a connection of its own."""
    host = stage.running.base_url.partition("//")[2]
    port = int(host.rpartition(":")[2])
    token = item_token(stage.key, stage.running.base_url)
    head = f"GET {ITEM} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
    while not ended.is_set():
        async with connected(port) as (reader, writer):
            writer.write(head.encode())
            statuses.append((await read_answer(reader)).status)


async def more(statuses: list[int]) -> None:
    """Wait until some more calls have been answered."""
    enough = len(statuses) + 20
    await soon(lambda: len(statuses) >= enough)


async def gone(stage: Stage, worker: int) -> None:
    """Wait until a worker has ended."""
    await soon(lambda: worker not in stage.workers())
