"""The http kind: where it may go, what it takes for a refusal, and how it is probed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from connectors.base import Call, CallFailed, Failure, Health
from connectors.http import HttpSettings, open_http
from connectors.origin import BaseUrlInvalid
from connectors.scripted import open_scripted

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def probe(settings: HttpSettings) -> Health:
    """Probe the service of `settings`."""
    async with open_http(settings) as connector:
        return await connector.probe()


async def fetch(settings: HttpSettings, call: Call) -> bytes:
    """Make one call and read its body."""
    async with open_http(settings) as connector:
        reply = await connector.call(call)
        try:
            return await reply.read(1000)
        finally:
            await reply.release()


def test_the_base_path_goes_before_the_target() -> None:
    """A service below a path is called below it, target byte for byte."""

    async def run() -> bytes:
        async with open_scripted(((OK,),)) as service:
            settings = HttpSettings(base_url=service.base_url + "/api/", allow_loopback=True)
            assert await fetch(settings, Call(method="GET", target=b"/p%2fq?r=%20")) == b"ok"
            return service.requests[0]

    assert asyncio.run(run()).startswith(b"GET /api/p%2fq?r=%20 HTTP/1.1\r\nhost: 127.0.0.1:")


def test_loopback_is_denied_unless_told() -> None:
    """U-09: a public-looking name that leads to loopback is refused, nothing sent."""

    async def run() -> tuple[CallFailed, int]:
        async with open_scripted(()) as service:
            settings = HttpSettings(base_url=f"https://localhost:{service.port}")
            with pytest.raises(CallFailed) as caught:
                await fetch(settings, Call(method="GET", target=b"/"))
            return caught.value, service.connections

    failed, connections = asyncio.run(run())
    assert (failed.failure, failed.sent, connections) == (Failure.REFUSED, False, 0)


def test_a_bad_base_url_is_refused_at_opening() -> None:
    """Plain HTTP needs loopback and permission."""
    with pytest.raises(BaseUrlInvalid):
        asyncio.run(probe(HttpSettings(base_url="http://127.0.0.1:1")))


def test_probes_ask_for_nothing() -> None:
    """A probe connects and says so; the service sees no request."""

    async def run() -> tuple[Health, list[bytes]]:
        async with open_scripted(()) as service:
            settings = HttpSettings(base_url=service.base_url, allow_loopback=True)
            return await probe(settings), service.requests

    assert asyncio.run(run()) == (
        Health(healthy=True, detail="The service takes connections."),
        [],
    )


def test_probes_tell_why_not() -> None:
    """A probe of nobody says what the system said."""
    health = asyncio.run(probe(HttpSettings(base_url="http://127.0.0.1:1", allow_loopback=True)))
    assert not health.healthy
    assert health.detail == "No connection to the service: Connection refused."


@pytest.mark.parametrize(
    ("host", "days", "trusted", "outcome"),
    [
        ("localhost", 1, True, "ok"),
        ("localhost", 1, False, "unreachable, sent: False"),
        ("localhost", -1, True, "unreachable, sent: False"),
        ("other.test", 1, True, "unreachable, sent: False"),
    ],
)
def test_tls_is_verified(
    make_certificate: Callable[..., Any], host: str, days: int, trusted: bool, outcome: str
) -> None:
    """U-01: unknown authorities, expired certificates and other names do not pass."""
    certificate = make_certificate(host, days)

    async def run() -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if await reader.read(1000):
                writer.write(OK)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=certificate.server_context())
        async with server:
            settings = HttpSettings(
                base_url=f"https://localhost:{server.sockets[0].getsockname()[1]}",
                allow_loopback=True,
                ca_file=str(certificate.path) if trusted else None,
            )
            try:
                return (await fetch(settings, Call(method="GET", target=b"/"))).decode()
            except CallFailed as failed:
                return f"{failed.failure}, sent: {failed.sent}"

    assert asyncio.run(run()) == outcome
