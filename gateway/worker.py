"""A worker process: it serves the data listener until SIGTERM.

This module imports nothing of the control plane, so that a worker starts, and starts again, fast.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

import uvicorn
import uvloop

from gateway.audit.store import LogFrozen
from gateway.clock import new_uuid7
from gateway.data_plane import (
    Composition,
    DataPlane,
    front_settings,
    not_adopted,
    open_data_plane,
    running,
)
from gateway.exchange.front.protocol import make_protocol
from gateway.exchange.front.rules import FrontSettings
from gateway.exchange.snapshot import Snapshot
from gateway.files import keep_private
from gateway.presence import Role, present
from gateway.telemetry import FRONT_REFUSALS

FAILURE_WATCH_S: Final = 1.0
"""How often a worker looks whether its log has failed."""
DRAIN_S: Final = 35.0
"""Time for the exchanges under way to end after SIGTERM: a call's deadline, and its outcome."""
CLOSING_S: Final = 10.0
"""Time for a worker that serves nobody any more to commit its last records and close its files."""


GC_THRESHOLDS: Final = (20_000, 20, 50)
"""When the collector looks for cycles: an exchange makes none, so that seldom is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a worker tells the control process: the revision in force, or what is wrong."""

    revision: int | None = None
    trouble: str | None = None


class QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to whoever runs it, and tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        """Serve `config`; `listening` is set once the listener takes connections."""
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does."""
        await super().startup(sockets=sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: the process has its own handlers."""
        yield


def run_worker(
    composition: Composition, listener: socket.socket, channel: Connection, snapshot: Snapshot
) -> None:
    """Serve the data listener until SIGTERM; the body of a worker process."""
    # A terminal's Ctrl-C reaches every process of the group; the control process decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # So does a closed terminal's hang-up, which nobody decides about.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    keep_private()
    try:
        with (
            present(composition.settings.run_directory, Role.WORKER),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(_work(composition, listener, channel, snapshot))
    except Exception as failure:  # whoever started us shall know why
        channel.send(Said(trouble=f"{type(failure).__name__}: {failure}"))
        raise SystemExit(1) from failure


async def _work(
    composition: Composition, listener: socket.socket, channel: Connection, snapshot: Snapshot
) -> None:
    instance = f"worker-{new_uuid7().hex()[-12:]}"
    async with open_data_plane(composition, snapshot, instance=instance) as plane:
        gc.set_threshold(*GC_THRESHOLDS)
        _spare_the_collector()
        server = _data_server(plane, front_settings(composition.settings))
        on_signals(lambda: setattr(server, "should_exit", True), signals=(signal.SIGTERM,))
        serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
        await server.listening.wait()
        channel.send(Said(revision=snapshot.revision))
        async with _receiving(channel, plane), running(_end_on_failure(plane, server)):
            await serving


async def _end_on_failure(plane: DataPlane, server: QuietServer) -> None:
    """End a process whose log has failed: only a fresh start can tell what was written last.

    Where the log is frozen a fresh start changes nothing: the worker goes on to say so, with 503.
    """
    while plane.failure is None or isinstance(plane.failure, LogFrozen):  # noqa: ASYNC110 - asked seldom, and the hot path tells nobody
        await asyncio.sleep(FAILURE_WATCH_S)
    server.should_exit = True


def _data_server(plane: DataPlane, settings: FrontSettings) -> QuietServer:
    def count_refusal(code: str) -> None:
        plane.counters.add(FRONT_REFUSALS[code])

    return QuietServer(
        uvicorn.Config(
            _nothing,
            http=make_protocol(plane.handle, settings, count_refusal),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=int(DRAIN_S),
        )
    )


async def _nothing(scope: object, receive: object, send: object) -> None:
    """Stand where uvicorn wants an ASGI application; the protocol class never calls it."""


@asynccontextmanager
async def _receiving(channel: Connection, plane: DataPlane) -> AsyncIterator[None]:
    """Adopt each Snapshot that the control process hands over, for as long as it lives."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[Snapshot] = asyncio.Queue()

    def receive() -> None:
        while True:
            try:
                snapshot = channel.recv()
            except (EOFError, OSError):
                return  # the control process is gone; the last Snapshot stays
            loop.call_soon_threadsafe(arrived.put_nowait, snapshot)

    async def adopt() -> None:
        while True:
            snapshot = await arrived.get()
            try:
                await plane.adopt(snapshot)
                _spare_the_collector()
                channel.send(Said(revision=snapshot.revision))
            except Exception as failure:  # noqa: BLE001 - the last good Snapshot stays
                channel.send(Said(trouble=not_adopted(snapshot, failure)))

    threading.Thread(target=receive, name="snapshots", daemon=True).start()
    async with running(adopt()):
        yield


def _spare_the_collector() -> None:
    """Take what lives long, code and Snapshot, out of the collector's sight.

    Walking a Snapshot of a thousand agreements again and again cost a fifth of all CPU time. What
    is frozen is still freed with its last reference; only cycles in it would stay.
    """
    gc.freeze()


def on_signals(
    act: Callable[[], object],
    signals: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT),
) -> None:
    """Call `act` in the running event loop when one of `signals` arrives."""
    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, act)
