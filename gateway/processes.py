"""The processes of one gateway: a control process that supervises, and workers that exchange.

The control process compiles Snapshots, integrates the log and serves people; each worker serves
the data listener. A worker that dies is started again; the control process may die without any
harm to the exchanges, which go on under the last Snapshot they were given.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Final

import uvicorn

from gateway.app import ControlPlane, open_control_plane
from gateway.clock import DecisionClock, SystemClock, monotonic_s
from gateway.data_plane import Composition
from gateway.settings import Settings
from gateway.worker import DRAIN_S, QuietServer, on_signals, run_worker

WORKER_START_S: Final = 30.0
"""Time for a worker to open its log and its listener."""
RESTART_PAUSE_S: Final = 1.0
"""Pause before a worker that died is started again."""
WATCH_S: Final = 0.5
"""How often the control process looks for a new configuration and for dead workers."""

_SPAWN: Final = multiprocessing.get_context("spawn")


class WorkerFailed(Exception):
    """A worker did not come up; the sentence says why."""


def run_gateway(
    settings: Settings,
    *,
    clock: DecisionClock | None = None,
    allow_loopback_http: bool = False,
    ready: Connection | None = None,
) -> None:
    """Run a gateway until SIGTERM or SIGINT.

    `clock` and `allow_loopback_http` are for the demo and tests (see `Composition`); `ready` is
    sent the addresses of both listeners and the workers' process ids once all of them listen.

    Raises:
        WorkerFailed: a worker did not come up.
        OSError: a listener's address cannot be used.
        LogUnavailable, RegistryUnavailable, SnapshotRefused: nothing was started.
    """
    composition = Composition(
        settings=settings,
        clock=clock or SystemClock(),
        allow_loopback_http=allow_loopback_http,
    )
    asyncio.run(_supervise(composition, ready))


async def _supervise(composition: Composition, ready: Connection | None) -> None:
    settings = composition.settings
    stop = asyncio.Event()
    on_signals(stop.set)
    async with AsyncExitStack() as stack:
        data = stack.enter_context(_listen(settings.data_listen))
        control = stack.enter_context(_listen(settings.control_listen))
        plane = await stack.enter_async_context(open_control_plane(composition))
        workers = Workers(composition, data, plane)
        stack.push_async_callback(workers.stop)
        await workers.start()
        await stack.enter_async_context(_serve_control(plane, control))
        if ready is not None:
            listening = {"data": data.getsockname()[:2], "control": control.getsockname()[:2]}
            ready.send({**listening, "workers": workers.pids()})
        while not stop.is_set():
            if await asyncio.to_thread(plane.refresh):
                workers.hand_over()
            await workers.revive()
            await _pause(stop, WATCH_S)


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    channel: Connection


class Workers:
    """The data-plane processes of this gateway, on one listening socket."""

    def __init__(self, composition: Composition, listener: socket.socket, plane: ControlPlane):
        """Prepare; `start` starts as many as the settings say."""
        self._composition = composition
        self._listener = listener
        self._plane = plane
        self._workers: list[_Worker] = []

    def pids(self) -> list[int]:
        """Return the process ids of the workers that run."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    async def start(self) -> None:
        """Start every worker and wait until all of them listen."""
        for _ in range(self._composition.settings.workers):
            self._workers.append(self._spawn())
        for worker in self._workers:
            await asyncio.to_thread(_await_ready, worker)

    def hand_over(self) -> None:
        """Give every worker the newest Snapshot, whole."""
        for worker in self._workers:
            try:
                worker.channel.send(self._plane.snapshot)
            except OSError:
                continue  # it has died, and gets the Snapshot when it is started again

    async def revive(self) -> None:
        """Start again whatever has died; its open exchanges are closed by the sweeper."""
        for position, worker in enumerate(self._workers):
            if worker.process.is_alive():
                continue
            worker.channel.close()
            await asyncio.sleep(RESTART_PAUSE_S)
            self._workers[position] = self._spawn()
            await asyncio.to_thread(_await_ready, self._workers[position])

    async def stop(self) -> None:
        """Let the exchanges under way end, then end the processes."""
        for worker in self._workers:
            worker.process.terminate()
        deadline_s = monotonic_s() + DRAIN_S
        for worker in self._workers:
            await asyncio.to_thread(worker.process.join, max(0.0, deadline_s - monotonic_s()))
            if worker.process.is_alive():
                worker.process.kill()
            worker.channel.close()

    def _spawn(self) -> _Worker:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(
            target=run_worker,
            args=(self._composition, self._listener, theirs, self._plane.snapshot),
            name="concordat-worker",
        )
        process.start()
        theirs.close()
        return _Worker(process=process, channel=ours)


def _await_ready(worker: _Worker) -> None:
    if worker.channel.poll(WORKER_START_S):
        try:
            said = worker.channel.recv()
        except EOFError:
            said = "it ended before it listened"
    else:
        said = f"it did not listen within {WORKER_START_S:.0f} s"
    if said is not None:
        raise WorkerFailed(f"a worker could not start: {said}")


@asynccontextmanager
async def _serve_control(plane: ControlPlane, listener: socket.socket) -> AsyncIterator[None]:
    server = QuietServer(
        uvicorn.Config(
            plane.app,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )
    task = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


@contextmanager
def _listen(address: str) -> Iterator[socket.socket]:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, int(port)), family=family, backlog=2048) as listener:
        yield listener


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
