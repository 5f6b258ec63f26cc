"""A wire between a gateway and its PostgreSQL that a test can cut at the worst moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from enum import Enum, auto
from urllib.parse import urlsplit, urlunsplit

import pytest

from gateway.audit import log as log_module
from gateway.audit.log import AuditLog
from gateway.audit.postgres import PostgresStore
from gateway.audit.store import LogBusy
from gateway.clock import monotonic_s
from tests.gateway.audit.records import intent

PIECE_BYTES = 65_536


class Cut(Enum):
    """When the wire is cut: what is next sent never arrives, or its answer never does."""

    NEVER = auto()
    BEFORE = auto()
    AFTER = auto()


class Wire:
    """Connections through a port of loopback to a server; `url` goes through it."""

    def __init__(self, server_url: str) -> None:
        self._server = urlsplit(server_url)
        self.cut = Cut.NEVER
        self.cuts = 0
        self.port = 0
        self.carried: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        """Return the server's URL by way of this wire."""
        login = self._server.netloc.rpartition("@")[0]
        netloc = f"{login}@127.0.0.1:{self.port}"
        return urlunsplit(self._server._replace(netloc=netloc))

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until an end closes or it is cut."""
        this = asyncio.current_task()
        assert this is not None
        self.carried.append(this)
        host, port = self._server.hostname, self._server.port
        server_reader, server_writer = await asyncio.open_connection(host, port)
        waiting_for_answer = False

        async def up() -> None:
            nonlocal waiting_for_answer
            while piece := await reader.read(PIECE_BYTES):
                if self.cut is Cut.BEFORE:
                    self.cut, self.cuts = Cut.NEVER, self.cuts + 1
                    return
                if self.cut is Cut.AFTER:
                    self.cut, waiting_for_answer = Cut.NEVER, True
                server_writer.write(piece)
                await server_writer.drain()

        async def down() -> None:
            while piece := await server_reader.read(PIECE_BYTES):
                if waiting_for_answer:
                    self.cuts += 1
                    return
                writer.write(piece)
                await writer.drain()

        loop = asyncio.get_running_loop()
        ways = [loop.create_task(up()), loop.create_task(down())]
        try:
            with suppress(asyncio.CancelledError):  # the end of the wire is a cut like any other
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, server_writer):
                end.transport.abort()
                with suppress(OSError):
                    await end.wait_closed()


@asynccontextmanager
async def wire_to(server_url: str) -> AsyncIterator[Wire]:
    """Open a wire to a server."""
    wire = Wire(server_url)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        for connection in wire.carried:
            connection.cancel()
        await asyncio.gather(*wire.carried, return_exceptions=True)


def store_of(log: AuditLog) -> PostgresStore:
    """Return the driver below a log."""
    store = log._store
    assert isinstance(store, PostgresStore)
    return store


@asynccontextmanager
async def wired(log: AuditLog) -> AsyncIterator[Wire]:
    """Have a log append through a wire, on a connection that has appended before."""
    store = store_of(log)
    async with wire_to(store._place.url) as wire:
        store._place = replace(store._place, url=wire.url)
        await log.append(intent())
        yield wire
        await log.stop()


@asynccontextmanager
async def told_too_late(
    log: AuditLog, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """Have the server store what is appended in here, and its caller hear that it is too late.

    What became of it is found out only after the block.
    """
    store = store_of(log)
    gate, connect = asyncio.Event(), store._connect

    async def later() -> None:
        await gate.wait()
        await connect()

    async def pass_time(patched: pytest.MonkeyPatch, cuts: int) -> None:
        while wire.cuts == cuts:  # noqa: ASYNC110 - the server has committed by then
            await asyncio.sleep(0.01)
        patched.setattr(log_module, "monotonic_s", lambda: monotonic_s() + 61)

    monkeypatch.setattr(store, "_connect", later)
    monkeypatch.setattr(log_module, "APPEND_DEADLINE_S", 60.0)
    wire.cut = Cut.AFTER
    with monkeypatch.context() as patched:
        passing = asyncio.ensure_future(pass_time(patched, wire.cuts))
        with pytest.raises(LogBusy, match="in time"):
            yield
        await passing
    gate.set()
