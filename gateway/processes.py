"""The processes of one gateway: a control process that supervises, and workers that exchange.

The control process compiles Snapshots, integrates the log and serves people; each worker serves
the data listener. A worker that dies is started again; the control process may die without any
harm to the exchanges, which go on under the last Snapshot they were given.
"""

from __future__ import annotations

import asyncio
import errno
import multiprocessing
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Final

import uvicorn

from gateway.app import ControlPlane, open_control_plane
from gateway.audit.rounds import pause
from gateway.clock import DecisionClock, SystemClock, monotonic_s, monotonic_us
from gateway.data_plane import Composition
from gateway.exchange.limits import RateLimiter
from gateway.files import keep_private
from gateway.logs import Event, event
from gateway.open_files import connections_max, raise_open_files
from gateway.presence import Role, check_alone, present
from gateway.settings import Settings
from gateway.telemetry import live_workers
from gateway.worker import CLOSING_S, DRAIN_S, QuietServer, Said, on_signals, run_worker

WORKER_START_S: Final = 30.0
"""Time for a worker to open its log and its listener."""
RESTART_PAUSE_S: Final = 0.5
"""Pause before a worker that died is started again; it doubles with every death after the first."""
RESTART_PAUSE_S_MAX: Final = 30.0
"""The longest pause: what keeps a worker from living may be mended at any time."""
STEADY_S: Final = 60.0
"""A worker that has lived this long has started well: its next death counts as the first."""
WATCH_S: Final = 0.5
"""How often the control process looks for a new configuration and for dead workers."""
HUNG_S: Final = 20.0
"""A worker whose event loop has not turned for this long is ended: it may hold the log's lock, for
which all the others wait. It beats once a second, and no work on the loop takes nearly as long."""

_SPAWN: Final = multiprocessing.get_context("spawn")


class WorkerFailed(Exception):
    """A worker did not come up; the sentence says why."""


class AddressTaken(OSError):
    """Another program listens on `address`."""

    def __init__(self, address: str) -> None:
        """Name the address; no process may ask whose listener it is without being root."""
        super().__init__(errno.EADDRINUSE, f"{address} is in use by another program")
        self.address: Final = address

    def __str__(self) -> str:
        """Return the sentence without its number."""
        return str(self.strerror)


def run_gateway(
    settings: Settings,
    *,
    clock: DecisionClock | None = None,
    new_rates: Callable[[], RateLimiter] = RateLimiter,
    allow_loopback_http: bool = False,
    ready: Connection | None = None,
    listeners: tuple[socket.socket, socket.socket] | None = None,
) -> None:
    """Run a gateway until SIGTERM or SIGINT; SIGHUP ends nothing, from here on.

    `clock`, `new_rates` and `allow_loopback_http` are for the demo and tests (see `Composition`);
    `ready` is sent the addresses of both listeners and the workers' process ids once all of them
    listen.
    `listeners`, for data and for control, are used where whoever starts the gateway has opened
    them already; else they are opened as the settings say.

    Raises:
        WorkerFailed: a worker did not come up.
        GatewayRuns: processes of an earlier gateway of this home have not ended.
        AddressTaken: something else listens where this gateway should.
        OSError: a listener's address cannot be used.
        LogUnavailable, RegistryUnavailable, DatabaseUnsuitable, SnapshotRefused: nothing was
            started.
        LogUnavailable: the log's store failed later; the service manager is to start the gateway
            again, which then recovers the log.
    """
    composition = Composition(
        settings=settings,
        clock=clock or SystemClock(),
        new_rates=new_rates,
        allow_loopback_http=allow_loopback_http,
    )
    # A closed terminal and `systemctl reload` send it. There is nothing to do: a new configuration
    # is taken up within `WATCH_S` anyway. What is ignored here is so in every process started from
    # here too, from its first moment on.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    keep_private()
    raise_open_files()
    check_alone(settings.run_directory)
    with present(settings.run_directory, Role.CONTROL):
        asyncio.run(_supervise(composition, ready, listeners))


async def _supervise(
    composition: Composition,
    ready: Connection | None,
    listeners: tuple[socket.socket, socket.socket] | None,
) -> None:
    settings = composition.settings
    stop = asyncio.Event()
    on_signals(stop.set)
    async with AsyncExitStack() as stack:
        addresses = (settings.data_listen, settings.control_listen)
        data, control = [
            stack.enter_context(listener)
            for listener in listeners or [_listen(address) for address in addresses]
        ]
        plane = await stack.enter_async_context(open_control_plane(composition))
        workers = Workers(composition, data, plane)
        stack.push_async_callback(workers.stop)
        await workers.start()
        await stack.enter_async_context(_serve_control(plane, control))
        if ready is not None:
            listening = {"data": data.getsockname()[:2], "control": control.getsockname()[:2]}
            ready.send({**listening, "workers": workers.pids()})
        else:
            event(
                Event.STARTED,
                data=settings.data_listen,
                control=settings.control_listen,
                workers=settings.workers,
                connections=settings.workers * connections_max(),
                revision=plane.snapshot.revision,
            )
        while not stop.is_set():
            if plane.failure is not None:
                raise plane.failure
            await asyncio.to_thread(plane.refresh)
            await workers.hand_over()
            await workers.look_after()
            await pause(stop, WATCH_S)
        if ready is None:
            event(Event.STOPPING)


@dataclass(slots=True)
class _Worker:
    """One place among the workers: who fills it now, and how often that has gone wrong lately."""

    process: BaseProcess
    channel: Connection
    revision: int
    """The revision of the Snapshot that it was last given."""
    part: str
    started_s: float
    deaths: int = 0
    sending: asyncio.Task[None] | None = None
    restarting: asyncio.Task[None] | None = None


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
        for number in range(1, self._composition.settings.workers + 1):
            process, channel, revision = self._spawn()
            part = f"worker {number}"
            self._workers.append(
                _Worker(process, channel, revision, part=part, started_s=monotonic_s())
            )
        for worker in self._workers:
            await asyncio.to_thread(_await_ready, worker.channel)

    async def hand_over(self) -> None:
        """Give the newest Snapshot, whole, to every worker that has not been given it yet.

        One that takes nothing holds up nobody, and gets the newest as soon as it takes the last.
        """
        snapshot = self._plane.snapshot
        behind = [worker for worker in self._workers if worker.revision != snapshot.revision]
        free = [worker for worker in behind if worker.sending is None or worker.sending.done()]
        if not free:
            return
        # Written once for all of them: with many agreements this takes longest.
        content = await asyncio.to_thread(ForkingPickler.dumps, snapshot)
        for worker in free:
            worker.revision = snapshot.revision
            worker.sending = asyncio.get_running_loop().create_task(
                asyncio.to_thread(_send, worker.channel, content)
            )

    async def look_after(self) -> None:
        """Hear what the workers say, and begin to start again whatever has died or hangs.

        The open exchanges of a dead worker are closed by the sweeper. A worker that does not come
        up is tried again, ever more seldom, and `/readyz` tells; the others know nothing of it.
        """
        hung = _hung(self._composition.settings.run_directory)
        for worker in self._workers:
            if worker.restarting is not None and not worker.restarting.done():
                continue
            if worker.process.pid in hung and worker.process.is_alive():
                event(Event.WORKER_HUNG, pid=worker.process.pid)
                worker.process.kill()
                await asyncio.to_thread(worker.process.join)
            if worker.process.is_alive():
                for said in _heard(worker.channel):
                    trouble = said.trouble and f"{worker.part}: {said.trouble}"
                    self._plane.troubles.report(worker.part, trouble)
                continue
            worker.restarting = asyncio.get_running_loop().create_task(self._restart(worker))

    async def stop(self) -> None:
        """Let the exchanges under way end, then end the processes.

        Our own copy of the listener goes first: who calls now is to be refused at once and go
        elsewhere, not to wait for workers that take nobody any more.
        """
        self._listener.close()
        restarting = [worker.restarting for worker in self._workers if worker.restarting]
        for task in restarting:
            task.cancel()
        for worker in self._workers:
            worker.process.terminate()
        await asyncio.gather(*restarting, return_exceptions=True)
        deadline_s = monotonic_s() + DRAIN_S + CLOSING_S
        for worker in self._workers:
            await asyncio.to_thread(worker.process.join, max(0.0, deadline_s - monotonic_s()))
            if worker.process.is_alive():
                worker.process.kill()
                await asyncio.to_thread(worker.process.join)
            worker.channel.close()

    async def _restart(self, worker: _Worker) -> None:
        """Fill the place of a worker that has died, after a pause that grows with its deaths."""
        lived_s = monotonic_s() - worker.started_s
        worker.deaths = 1 if lived_s >= STEADY_S else worker.deaths + 1
        event(Event.WORKER_DIED, exit_code=worker.process.exitcode or 0)
        worker.channel.close()
        if worker.deaths > 1 and not self._plane.troubles.knows(worker.part):
            sentence = f"{worker.part}: it has died {worker.deaths} times in a row."
            self._plane.troubles.report(worker.part, sentence)
        await asyncio.sleep(restart_pause_s(worker.deaths))
        worker.process, worker.channel, worker.revision = self._spawn()
        worker.started_s = monotonic_s()
        try:
            await asyncio.to_thread(_await_ready, worker.channel)
        except WorkerFailed as failure:
            self._plane.troubles.report(worker.part, f"{worker.part}: {failure}.")
            return
        self._plane.troubles.report(worker.part, None)
        event(Event.WORKER_RESTARTED, pid=worker.process.pid or 0)

    def _spawn(self) -> tuple[BaseProcess, Connection, int]:
        ours, theirs = _SPAWN.Pipe()
        snapshot = self._plane.snapshot
        process = _SPAWN.Process(
            target=run_worker,
            args=(self._composition, self._listener, theirs, snapshot),
            name="concordat-worker",
        )
        process.start()
        theirs.close()
        return process, ours, snapshot.revision


def _hung(run_directory: Path) -> frozenset[int]:
    """Return the process ids of workers that have served, and whose event loops stand still."""
    latest_us = monotonic_us() - int(HUNG_S * 1_000_000)
    workers = live_workers(run_directory)
    return frozenset([one.pid for one in workers if 0 < one.beat_at_us < latest_us])


def restart_pause_s(deaths: int) -> float:
    """Return the pause before a worker is started again that died `deaths` times in a row."""
    # Beyond some doublings the pause is the longest anyway.
    return min(RESTART_PAUSE_S * 2.0 ** min(deaths - 1, 16), RESTART_PAUSE_S_MAX)


def _send(channel: Connection, snapshot: memoryview) -> None:
    """Send a pickled Snapshot; a worker that has died gets it when it is started again."""
    with suppress(OSError):
        channel.send_bytes(snapshot)


def _heard(channel: Connection) -> Iterator[Said]:
    """Yield what a worker has said since it was last asked."""
    try:
        while channel.poll():
            yield channel.recv()
    except (EOFError, OSError):
        return  # it has just died


def _await_ready(channel: Connection) -> None:
    trouble: str | None = f"it did not listen within {WORKER_START_S:.0f} s"
    if channel.poll(WORKER_START_S):
        try:
            trouble = channel.recv().trouble
        except (EOFError, OSError):
            trouble = "it ended before it listened"
    if trouble is not None:
        raise WorkerFailed(f"a worker could not start: {trouble}")


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
    try:
        listener = socket.create_server((host, int(port)), family=family, backlog=2048)
    except OSError as failure:
        if failure.errno == errno.EADDRINUSE:
            raise AddressTaken(address) from None
        raise
    with listener:
        yield listener
