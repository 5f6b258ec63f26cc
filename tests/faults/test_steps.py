"""kill -9 at each step of an exchange: nothing acknowledged is lost, every intent finds its end."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.lifecycle.sweep import Sweeper
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.reading.reader import find_log, verify_log
from gateway.audit.sqlite import open_for_reading
from gateway.clock import uuid_text
from gateway.data_plane import Composition, log_origin, open_audit_log
from gateway.database import open_engine, upgrade
from gateway.exchange.snapshot import Snapshot
from gateway.refresh import compile_snapshot
from gateway.registry.configuration import read_directory
from gateway.settings import load_settings
from tests.faults.journals import Journal, kinds_of, open_exchanges, open_stage
from tests.faults.mortal import LEFT, Death, Step, run_mortal_worker
from tests.listening import connected, read_answer
from tests.running import ITEM, PLAY_S_MAX, PROVIDER, item_token

ROUNDS: Final = 50
COMPANY: Final = 4
"""Callers at once in every other pass through the steps; alone, what is left is known exactly."""
TORN_BYTES: Final = (1, 24, 900, 4_120, 9_000)
"""How far a torn commit gets: within a frame's head, before its page, in it, after it, later."""
WORKER_S_MAX: Final = 30.0

# Workers start from a process that has loaded everything already: fifty of them in seconds.
_WORKERS: Final = multiprocessing.get_context("forkserver")
_WORKERS.set_forkserver_preload(["tests.faults.mortal"])


@dataclass
class Fuse:
    """Kills a worker that waits for the service's answer, at the call that was agreed."""

    calls_left: int = 0
    worker_pid: int = 0

    async def answers(self) -> bool:
        """Tell whether the service answers the call that has just come."""
        self.calls_left -= 1
        if self.calls_left:
            return True
        os.kill(self.worker_pid, signal.SIGKILL)
        return False


@dataclass
class Mortals:
    """A gateway whose workers are started one by one, each for one death."""

    composition: Composition
    snapshot: Snapshot
    listener: socket.socket
    journal: Journal
    fuse: Fuse
    token: str
    seen: set[str] = field(default_factory=set)

    @property
    def home(self) -> Path:
        """The gateway's home."""
        return self.composition.settings.home

    async def die(self, death: Death, callers: int) -> None:
        """Let one worker serve `callers` until it dies."""
        self.fuse.calls_left = death.occurrence if death.step is Step.DURING_CALL else -1
        ours, theirs = _WORKERS.Pipe()
        worker = _WORKERS.Process(
            target=run_mortal_worker,
            args=(death, self.composition, self.listener, theirs, self.snapshot),
        )
        worker.start()
        theirs.close()
        try:
            assert await asyncio.to_thread(ours.poll, WORKER_S_MAX), "the worker did not start"
            assert ours.recv().trouble is None
            assert worker.pid is not None
            self.fuse.worker_pid = worker.pid
            await asyncio.gather(*(self._call_on() for _ in range(callers)))
            await asyncio.to_thread(worker.join, WORKER_S_MAX)
            assert worker.exitcode == -(signal.SIGXFSZ if death.torn else signal.SIGKILL), death
        finally:
            worker.kill()
            worker.join()
            ours.close()

    async def _call_on(self) -> None:
        """Call again and again on one connection until it breaks."""
        port = self.listener.getsockname()[1]
        host = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {self.token}\r\n\r\n"
        request = f"GET {ITEM} HTTP/1.1\r\n{host}".encode()
        async with connected(port) as (reader, writer):
            try:
                while True:
                    writer.write(request)
                    answer = await read_answer(reader)
                    assert answer.status == 200, answer
                    self.journal.acknowledge(answer.headers[b"exchange-id"].decode())
            except (asyncio.IncompleteReadError, ConnectionError):
                return

    async def recover(self) -> None:
        """Do what the control process does after a death: close what is open, sign the log."""
        settings = self.composition.settings
        log = open_audit_log(settings, instance="control")
        await log.start()
        sweeper = Sweeper(log)
        integrator = Integrator(
            settings.audit_directory,
            origin=log_origin(settings),
            keys=LogKeys(settings.keys_directory),
        )
        try:
            await sweeper.sweep()
            integrator.step()
        finally:
            integrator.close()
            sweeper.close()
            await log.stop()

    def judge(self, death: Death, *, alone: bool) -> None:
        """Hold what is new in the log to what callers and service saw (I1, I3, I4, I8)."""
        path = find_log(self.home / "audit")
        began = {identifier for identifier in intents(path) if identifier not in self.seen}
        self.seen |= began
        acknowledged = {one for one in self.journal.acknowledged if one in began}
        served = {one for one in self.journal.served if one in began}
        assert self.journal.acknowledged == [
            one for one in self.journal.acknowledged if one in self.seen
        ], "an acknowledged exchange is not in the log"
        assert set(self.journal.served) <= self.seen, "the service was asked without an intent"
        assert open_exchanges(self.home) == 0
        for identifier in acknowledged:
            assert kinds_of(path, identifier) == (Kind.INTENT, Kind.OUTCOME)
        lost = began - acknowledged
        for identifier in lost:
            assert kinds_of(path, identifier) in [left.kinds for left in LEFT.values()]
        assert len(lost) <= COMPANY
        if alone:
            left = LEFT[death.step]
            assert [kinds_of(path, one) for one in lost] == [left.kinds] * bool(left.kinds), death
            assert [one in served for one in lost] == [left.served] * len(lost), death


def intents(path: Path) -> list[str]:
    """Return the ids of the exchanges whose intents the log holds."""
    database = open_for_reading(path)
    try:
        rows = database.execute(
            "SELECT exchange FROM audit_record WHERE kind = ?", (KIND_CODES[Kind.INTENT],)
        ).fetchall()
    finally:
        database.close()
    return [uuid_text(row[0]) for row in rows]


@asynccontextmanager
async def open_mortals(directory: Path) -> AsyncIterator[Mortals]:
    """Open an issuer, a service and all of a gateway but its workers."""
    journal, fuse = Journal(), Fuse()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with open_stage(directory, journal, fuse.answers) as key:
            settings = load_settings(
                directory / "home", organisation=PROVIDER, public_base_url=base_url
            )
            settings.home.mkdir()
            engine = open_engine(settings.database_url)
            upgrade(engine)
            engine.dispose()
            yield Mortals(
                composition=Composition(settings=settings, allow_loopback_http=True),
                snapshot=compile_snapshot(
                    read_directory(directory / "configuration"),
                    organisation=PROVIDER,
                    public_base_url=base_url,
                    revision=1,
                    allow_loopback=True,
                ),
                listener=listener,
                journal=journal,
                fuse=fuse,
                token=item_token(key, base_url),
            )


def test_fifty_deaths_at_every_step_lose_nothing(tmp_path: Path) -> None:
    """F1, F2: each step in turn, alone and in company, on one log that grows (I1, I3, I4, I8)."""

    async def play() -> None:
        async with open_mortals(tmp_path) as mortals:
            for number, step in zip(range(ROUNDS), itertools.cycle(Step), strict=False):
                round_, torn_bytes = number // len(Step), TORN_BYTES[number % len(TORN_BYTES)]
                death = Death(step=step, occurrence=2 + number % 5, torn_bytes=torn_bytes)
                alone = round_ % 2 == 0
                await mortals.die(death, callers=1 if alone else COMPANY)
                await mortals.recover()
                mortals.judge(death, alone=alone)
        path = find_log(mortals.home / "audit")
        report = verify_log(path, keys=LogKeys(mortals.home / "keys"))
        assert report.ok, report.faults
        assert len(mortals.journal.acknowledged) >= ROUNDS
        assert report.size > 2 * len(mortals.journal.acknowledged)

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))
