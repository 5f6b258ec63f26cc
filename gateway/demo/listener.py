"""Runs one ASGI application of the demo on loopback, in a process that dies with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Final

import uvicorn

from gateway.files import keep_private

if TYPE_CHECKING:
    from starlette.applications import Starlette

LOOPBACK: Final = "127.0.0.1"
_STOP_GRACE_S: Final = 2


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to `serve`, so that Ctrl-C stops the demo once."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(port: int = 0) -> socket.socket:
    """Return a socket that listens on loopback; port 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError:
        listener.close()
        raise
    listener.listen()
    return listener


def serve(app: Starlette, listener: socket.socket, ready: Connection) -> None:
    """Serve `app` on `listener` until SIGTERM or the parent's end; tell `ready` once it answers."""
    keep_private()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, then sends SIGTERM
    asyncio.run(_serve(app, listener, ready))


async def _serve(app: Starlette, listener: socket.socket, ready: Connection) -> None:
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="error",
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=_STOP_GRACE_S,
    )
    server = _Server(config)

    def stop() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop)
    stop_with_parent(lambda: loop.call_soon_threadsafe(stop))
    ready.send(listener.getsockname())
    ready.close()
    await server.serve(sockets=[listener])


def stop_with_parent(stop: Callable[[], object]) -> None:
    """Call `stop`, in a thread, when the parent is gone: even killed, it leaves nothing behind."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        stop()

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()
