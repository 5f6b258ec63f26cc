"""What callers and services saw, kept where no gateway's crash reaches it, and held to the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.audit.place import Place
from gateway.audit.reading.reader import find_log, snapshot
from gateway.audit.search.query import show
from gateway.data_plane import log_home
from gateway.settings import load_settings
from tests.issuing import METADATA_PATH, IssuerServer
from tests.running import FIELDS, ISSUER, PROVIDER, write_configuration
from tests.tokens import SigningKey, make_key


@dataclass
class Journal:
    """Exchange ids as callers got them with whole answers, and as the service was asked."""

    acknowledged: list[str] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    def acknowledge(self, exchange_id: str) -> None:
        """Note that a caller has the whole answer of an exchange."""
        self.acknowledged.append(exchange_id)
        self.answered.set()


Answers = Callable[[], Awaitable[bool]]
"""Asked by the service once a request is here whole: whether it is to be answered."""


async def at_once() -> bool:
    """Let the service answer, without waiting for anything."""
    return True


@asynccontextmanager
async def open_service(journal: Journal, answers: Answers = at_once) -> AsyncIterator[str]:
    """Serve one record to everybody, and keep the id of every exchange that was asked for."""
    body = json.dumps({"records": [dict.fromkeys(FIELDS, "x" * 40)]}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    answer = head % len(body) + body

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                journal.served.append(request.partition("x-request-id: ")[2].partition("\r")[0])
                if await answers():
                    writer.write(answer)
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def open_stage(
    directory: Path, journal: Journal, answers: Answers = at_once
) -> AsyncIterator[SigningKey]:
    """Open an issuer and a service, and write the configuration that names them."""
    key = make_key()
    async with IssuerServer(key) as issuer, open_service(journal, answers) as service_url:
        keys_url = f"{issuer.issuer}/jwks.json"
        issuer.documents[METADATA_PATH] = {"issuer": ISSUER, "jwks_uri": keys_url}
        write_configuration(
            directory / "configuration",
            service_url=service_url,
            metadata_url=issuer.issuer + METADATA_PATH,
        )
        yield key


def kinds_of(place: Place, exchange_id: str) -> tuple[str, ...]:
    """Return the kinds of the records that the log holds of an exchange, in order."""
    view = show(place, bytes.fromhex(exchange_id.replace("-", "")))
    if view is None:
        return ()
    entries = view["entries"]
    assert isinstance(entries, list)
    return tuple(str(entry["kind"]) for entry in entries)


def open_exchanges(home: Path) -> int:
    """Return how many intents have no terminal record yet."""
    with snapshot(log_of(home)) as database:
        count: int = database.execute("SELECT count(*) FROM audit_open").fetchone()[0]
        return count


def log_of(home: Path) -> Place:
    """Return the place of the log that a home's gateway writes."""
    settings = load_settings(home, organisation=PROVIDER, public_base_url="http://127.0.0.1")
    return find_log(log_home(settings))
