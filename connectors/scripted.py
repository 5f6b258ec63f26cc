"""A service on loopback that answers as it is told, byte by byte: the bad upstream of the suite."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final

_LENGTH: Final = b"content-length: "
_CHUNKED: Final = b"transfer-encoding: chunked\r\n"


class Act(Enum):
    """What a script may do besides sending bytes."""

    CLOSE = "close"
    """End the connection in order."""
    RESET = "reset"
    """End the connection with RST."""
    STALL = "stall"
    """Send nothing until the caller goes away, or to the end where the script is deaf."""
    DEAF = "deaf"
    """As the first step: read no more than the request's head, and close after the last step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """Send `part` every `every_s` seconds until the caller goes away."""

    part: bytes
    every_s: float = 0.0


Step = bytes | Act | Repeat
Script = Sequence[Step]
"""What one request is answered with."""


class ScriptedService:
    """Answers each request with the next script, and keeps what it was sent.

    `requests` are the raw requests in order, `asked` is set by the first; `connections` counts
    those accepted. A request for which no script is left is not answered.
    """

    def __init__(self, scripts: Sequence[Script]) -> None:
        """Play `scripts`, one for each request."""
        self._scripts = iter(tuple(scripts))
        self._writers: set[asyncio.StreamWriter] = set()
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.connections = 0
        self.port = 0

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def hang_up(self) -> None:
        """Close every connection, as a service that restarts."""
        for writer in self._writers:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until a script or the caller ends it."""
        self.connections += 1
        self._writers.add(writer)
        try:
            # Whatever the caller does is its right: this side only plays its part.
            with suppress(OSError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._writers.discard(writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        script = next(self._scripts, (Act.STALL,))
        deaf = bool(script) and script[0] is Act.DEAF
        self.requests.append(head if deaf else head + await _read_body(reader, head))
        self.asked.set()
        for step in script[1:] if deaf else script:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, Repeat):
                while not reader.at_eof():
                    writer.write(step.part)
                    await writer.drain()
                    await asyncio.sleep(step.every_s)
            elif step is Act.STALL:
                await (writer.wait_closed() if deaf else reader.read())
                return False
            else:
                if step is Act.RESET:
                    _reset_on_close(writer)
                return False
        return not deaf


@asynccontextmanager
async def open_scripted(scripts: Sequence[Script]) -> AsyncIterator[ScriptedService]:
    """Serve `scripts` on a free port of 127.0.0.1 until the block ends."""
    service = ScriptedService(scripts)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            serving.add(task)
        await service.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
        service.hang_up()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """Return a request's body as it came, chunk sizes and all."""
    if _CHUNKED in head.lower():
        body = b"\r\n"
        while not body.endswith(b"\r\n0\r\n\r\n"):
            body += await reader.readuntil(b"\r\n")
        return body.removeprefix(b"\r\n")
    _, found, after = head.lower().partition(_LENGTH)
    length = int(after.partition(b"\r\n")[0]) if found else 0
    return await reader.readexactly(length)


def _reset_on_close(writer: asyncio.StreamWriter) -> None:
    # SO_LINGER with no time to linger makes close send RST.
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
