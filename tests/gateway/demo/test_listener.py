"""One application in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
from multiprocessing.connection import Connection

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gateway.demo.channel import Channel, ChannelFailed
from gateway.demo.listener import LOOPBACK, listen, serve

_SPAWN = multiprocessing.get_context("spawn")


async def _hello(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def _serve_hello(ready: Connection) -> None:
    serve(Starlette(routes=[Route("/", _hello)]), listen(), ready)


def _start_and_die(outside: Connection) -> None:
    receiver, sender = _SPAWN.Pipe(duplex=False)
    child = _SPAWN.Process(target=_serve_hello, args=(sender,))
    child.start()
    outside.send((receiver.recv(), child.pid))
    os.kill(os.getpid(), signal.SIGKILL)


def test_serves_until_it_is_asked_to_stop() -> None:
    """It answers once it says it is ready, and ends cleanly on SIGTERM."""
    receiver, sender = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_serve_hello, args=(sender,))
    process.start()
    host, port = receiver.recv()
    with Channel() as channel:
        assert channel.send("GET", f"http://{host}:{port}/").body == b"hello"
    process.terminate()
    process.join(10)
    assert process.exitcode == 0


def test_ends_when_its_parent_is_killed() -> None:
    """A parent that is killed leaves no server behind."""
    receiver, sender = _SPAWN.Pipe(duplex=False)
    parent = _SPAWN.Process(target=_start_and_die, args=(sender,))
    parent.start()
    (host, port), child = receiver.recv()
    parent.join(10)
    pidfd = _open_pid(child)
    if pidfd is not None:
        _wait_for_end(pidfd)
    with Channel(timeout_s=1) as channel, pytest.raises(ChannelFailed):
        channel.send("GET", f"http://{host}:{port}/")


def test_a_taken_port_is_an_error() -> None:
    """Two listeners never share a port."""
    with listen() as first, pytest.raises(OSError, match="in use"):
        listen(first.getsockname()[1])
    assert LOOPBACK == "127.0.0.1"


def _open_pid(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _wait_for_end(descriptor: int) -> None:
    # A process's descriptor becomes readable when it ends.
    ready, _, _ = select.select([descriptor], [], [], 10)
    os.close(descriptor)
    assert ready
