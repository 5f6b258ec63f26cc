"""A service on loopback that gives the same answer for as long as it is asked, for loads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class SteadyService:
    """What it was asked, and when it may answer: while `may_answer` is set.

    `left` is set while no connection to it is open.
    """

    answer: bytes
    base_url: str = ""
    requests: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer every request of one connection until the caller ends it."""
        self.writers.add(writer)
        self.left.clear()
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    await reader.readuntil(b"\r\n\r\n")  # the loads send no bodies
                    self.requests += 1
                    self.asked.set()
                    await self.may_answer.wait()
                    writer.write(self.answer)
                    await writer.drain()
        finally:
            self.writers.discard(writer)
            if not self.writers:
                self.left.set()
            writer.close()


@asynccontextmanager
async def open_steady(
    body: bytes, media_type: str = "application/json"
) -> AsyncIterator[SteadyService]:
    """Serve `body` on a free port of 127.0.0.1 until the block ends."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    service = SteadyService(head.encode() + body)
    service.may_answer.set()
    service.left.set()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield service
    finally:
        server.close()
        service.may_answer.set()
        for writer in tuple(service.writers):
            writer.close()
        await server.wait_closed()
        await service.left.wait()
