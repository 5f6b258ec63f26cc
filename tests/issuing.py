"""A real issuer on loopback for tests: it serves metadata, keys, and whatever it is told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

from gateway.identity.caller import IssuerProfile
from tests.tokens import SigningKey, key_set, make_profile

METADATA_PATH = "/metadata"
WELL_KNOWN_PATH = "/.well-known/oauth-authorization-server"
KEYS_PATH = "/jwks.json"


class IssuerServer:
    """An HTTP server whose documents can be changed while it runs, and that counts requests.

    Use it as an async context manager; `documents` maps paths to JSON values or raw bytes.
    """

    def __init__(self, *keys: SigningKey) -> None:
        """Publish `keys`, once it is open."""
        self.documents: dict[str, object] = {KEYS_PATH: key_set(*keys)}
        self.headers: Mapping[str, str] = {}
        self.requests: Counter[str] = Counter()
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def __aenter__(self) -> Self:
        """Listen on a free port of loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.issuer = f"http://127.0.0.1:{port}"
        metadata = {"issuer": self.issuer, "jwks_uri": self.issuer + KEYS_PATH}
        self.documents |= {METADATA_PATH: metadata, WELL_KNOWN_PATH: metadata}
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.close()
        await self._server.wait_closed()

    def profile(self, **members: Any) -> IssuerProfile:
        """Make the profile under which a gateway would configure this issuer."""
        return make_profile(self.issuer, **{"metadata_url": self.issuer + METADATA_PATH, **members})

    def publish(self, *keys: SigningKey) -> None:
        """Replace the published keys."""
        self.documents[KEYS_PATH] = key_set(*keys)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, once the gate is open, and close."""
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        self.requests[path] += 1
        self.asked.set()
        await self.gate.wait()
        document = self.documents.get(path)
        status = "404 Not Found" if document is None else "200 OK"
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        fields = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
            **self.headers,
        }
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
