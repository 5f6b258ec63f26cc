"""Connections that are silent, slow or many (N), and what TLS tells about the caller."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.exchange.front import connection
from gateway.exchange.messages import ClientGone, Request, Response
from tests.listening import (
    GET,
    HOST,
    PATIENCE_S,
    QUICK,
    connected,
    listening,
    read_answer,
    reset_when_closed,
    talk,
    until,
)

_POST = b"POST /a HTTP/1.1\r\n" + HOST


async def _trickle(writer: asyncio.StreamWriter, wire: bytes) -> None:
    """Send octet by octet, several in every window, until the listener has had enough."""
    try:
        for at in range(len(wire)):
            writer.write(wire[at : at + 1])
            await writer.drain()
            await asyncio.sleep(0.02)
    except ConnectionError:
        return


async def _ends(first: bytes, slowly: bytes = b"") -> tuple[bytes, list[str], float]:
    """Return what comes back, what was counted and after how many seconds it ended."""
    async with listening() as listener, connected(listener.port) as (reader, writer):
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        writer.write(first)
        trickling = asyncio.ensure_future(_trickle(writer, slowly))
        received = await reader.read()
        lasted_s = loop.time() - began_s
        trickling.cancel()
        return received, listener.refused, lasted_s


def test_n_01_a_silent_connection_is_closed() -> None:
    """Nothing was asked, so nothing is answered or counted."""
    received, refused, lasted_s = asyncio.run(_ends(b""))
    assert (received, refused) == (b"", [])
    assert lasted_s >= QUICK.head_s


def test_an_idle_connection_is_closed() -> None:
    """After an answer the connection is kept for a while only."""
    received, refused, lasted_s = asyncio.run(_ends(GET))
    assert received.endswith(b"GET /a ")
    assert refused == []
    assert lasted_s >= QUICK.idle_s


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "next"])
def test_n_02_a_slow_head_is_refused(before: bytes) -> None:
    """The time for a head is counted from its beginning, not from its last octet."""
    wire = b"GET /" + b"a" * 1000
    received, refused, lasted_s = asyncio.run(_ends(before + wire[:5], wire[5:]))
    assert b"HTTP/1.1 408 " in received
    assert refused == ["request-timeout"]
    assert QUICK.head_s <= lasted_s < PATIENCE_S / 2


def test_n_03_a_slow_body_is_refused() -> None:
    """Octets that trickle in below the least pace do not hold an exchange open."""
    head = _POST + b"Content-Length: 5000\r\n\r\n"
    received, refused, lasted_s = asyncio.run(_ends(head, b"x" * 5000))
    assert received.startswith(b"HTTP/1.1 408 ")
    assert refused == ["request-timeout"]
    assert lasted_s < PATIENCE_S / 2


def test_a_handler_that_is_slow_to_read_is_not_the_callers_fault() -> None:
    """While we make the caller wait, its pace is not judged, and little is held in memory."""
    held_bytes = 0

    async def handler(request: Request) -> Response:
        nonlocal held_bytes
        await asyncio.sleep(2 * QUICK.body_window_s)
        read_bytes = 0
        async for chunk in request.body.chunks():
            read_bytes += len(chunk)
            held_bytes = max(held_bytes, len(chunk))
        return Response(status=200, headers=(), body=b"%d" % read_bytes)

    async def run() -> None:
        async with listening(handler) as listener, connected(listener.port) as (reader, writer):
            length = 8 * 1024 * 1024
            writer.write(_POST + b"Content-Length: %d\r\n\r\n" % length + b"x" * length)
            assert (await read_answer(reader)).body == b"%d" % length
            assert listener.refused == []

    asyncio.run(run())
    assert held_bytes <= 1024 * 1024


def test_n_03_a_caller_who_does_not_read_is_cut_off() -> None:
    """F16: an answer is made as fast as it is read, and a stalled reader loses the connection."""
    produced_bytes = 0
    ended: list[bool] = []

    async def stream() -> AsyncIterator[bytes]:
        nonlocal produced_bytes
        try:
            while True:
                produced_bytes += 65536
                yield b"x" * 65536
        finally:
            ended.append(True)

    async def handler(request: Request) -> Response:
        return Response(status=200, headers=(), body=stream())

    async def run() -> None:
        async with listening(handler) as listener, connected(listener.port) as (_, writer):
            writer.write(GET)
            await until(lambda: ended and not listener.state.connections)

    asyncio.run(run())
    assert ended == [True]
    assert produced_bytes < 64 * 1024 * 1024


def test_a_slow_reader_who_reads_gets_everything() -> None:
    """A whole answer larger than the buffers survives several windows, if it is read."""
    body = b"x" * (24 * 1024 * 1024)

    async def handler(request: Request) -> Response:
        return Response(status=200, headers=(), body=body, close=True)

    async def run() -> int:
        settings = replace(QUICK, write_window_s=0.3, linger_s=0.1)
        async with (
            listening(handler, settings) as listener,
            connected(listener.port) as (reader, writer),
        ):
            writer.write(GET)
            read_bytes = 0
            while piece := await reader.read(512 * 1024):
                read_bytes += len(piece)
                await asyncio.sleep(0.03)
            return read_bytes

    assert asyncio.run(run()) > len(body)


def test_n_04_connections_have_a_cap() -> None:
    """One too many is told so at once, and those before it are served.

    One source has a half of them.
    """

    async def run() -> None:
        settings = replace(QUICK, connections_max=4, head_s=5.0)
        async with (
            listening(settings=settings) as listener,
            connected(listener.port) as (reader, writer),
            connected(listener.port),
        ):
            assert (await talk(listener.port)).startswith(b"HTTP/1.1 503 ")
            assert listener.refused == ["not-ready"]
            writer.write(GET)
            assert (await read_answer(reader)).status == 200

    asyncio.run(run())


def test_n_04_a_connection_that_ends_makes_room() -> None:
    """Whoever was refused finds room once another has gone."""

    async def run() -> None:
        settings = replace(QUICK, connections_max=2, head_s=5.0)
        async with listening(settings=settings) as listener:
            for _ in range(5):
                async with connected(listener.port) as (reader, writer):
                    assert (await talk(listener.port)).startswith(b"HTTP/1.1 503 ")
                    writer.write(GET)
                    assert (await read_answer(reader)).status == 200
                await until(lambda: not listener.state.connections)

    asyncio.run(run())


def test_n_04_nobody_lingers_where_too_many_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood that is sent away does not hold its connections until each has heard why."""
    monkeypatch.setattr(connection, "LINGERING_MAX", 3)

    async def run() -> None:
        settings = replace(QUICK, connections_max=2, head_s=30.0, linger_s=30.0)
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listening(settings=settings))
            for _ in range(20):
                await stack.enter_async_context(connected(listener.port))
            await until(lambda: len(listener.refused) == 19)
            # The one that is served, and of the others as many as may linger.
            await until(lambda: len(listener.state.connections) <= 2 + 3)

    asyncio.run(run())


async def _send_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"\x00" * 65536)
        await writer.drain()


def test_a_refused_caller_who_sends_on_is_cut_off() -> None:
    """After a refusal a bounded number of octets is thrown away."""

    async def run() -> None:
        settings = replace(QUICK, linger_s=PATIENCE_S, linger_bytes_max=100_000)
        async with listening(settings=settings) as listener:
            async with connected(listener.port) as (_, writer):
                with pytest.raises(ConnectionError):
                    await _send_for_ever(writer)
            assert listener.refused == ["malformed-request"]

    asyncio.run(run())


def test_a_forced_end_cuts_the_answer() -> None:
    """uvicorn cancels what outlasts its grace: the caller sees no whole answer."""

    async def run() -> None:
        began = asyncio.Event()

        async def handler(request: Request) -> Response:
            began.set()
            await asyncio.Event().wait()
            raise ClientGone

        async with listening(handler) as listener, connected(listener.port) as (reader, writer):
            writer.write(GET)
            await began.wait()
            for task in listener.state.tasks:
                task.cancel()
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await read_answer(reader)

    asyncio.run(run())


def _certificate(directory: Path, name: str) -> tuple[Path, bytes]:
    """Write a self-signed certificate and its key; return the file and the certificate in DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path, certificate.public_bytes(serialization.Encoding.DER)


def test_the_client_certificate_is_handed_on(tmp_path: Path) -> None:
    """With TLS here, the handler sees the certificate that the handshake proved (RFC 8705)."""
    ours, _ = _certificate(tmp_path, "localhost")
    theirs, theirs_der = _certificate(tmp_path, "caller")
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=theirs)
    server_tls.verify_mode = ssl.CERT_OPTIONAL
    server_tls.load_cert_chain(ours)
    seen: list[tuple[bool, bytes | None, str]] = []

    async def handler(request: Request) -> Response:
        seen.append((request.secure, request.certificate_der, request.source))
        return Response(status=200, headers=(), body=b"", close=True)

    async def run() -> None:
        async with listening(handler, tls=server_tls) as listener:
            for certificate in (theirs, None):
                client_tls = ssl.create_default_context(cafile=ours)
                if certificate:
                    client_tls.load_cert_chain(certificate)
                async with connected(listener.port, client_tls) as (reader, writer):
                    writer.write(GET)
                    assert (await read_answer(reader)).status == 200

    asyncio.run(run())
    assert seen == [(True, theirs_der, "127.0.0.1"), (True, None, "127.0.0.1")]


def test_n_07_a_request_on_its_way_is_answered_though_the_listener_ends() -> None:
    """A fresh connection has a moment for its head; one between requests is closed at once."""

    async def run() -> None:
        patient = replace(QUICK, last_head_s=PATIENCE_S, head_s=PATIENCE_S, idle_s=PATIENCE_S)
        async with (
            listening(settings=patient) as listener,
            connected(listener.port) as (reader, writer),
            connected(listener.port) as (used, used_writer),
        ):
            used_writer.write(GET)
            await read_answer(used)
            await until(lambda: len(listener.state.connections) == 2)
            for connection in list(listener.state.connections):
                connection.shutdown()
            assert await used.read() == b""
            writer.write(GET)
            answer = await read_answer(reader)
            assert (answer.status, answer.headers[b"connection"]) == (200, b"close")
            assert await reader.read() == b""

    asyncio.run(run())


def test_n_05_whoever_works_for_a_caller_is_told_that_it_left() -> None:
    """The handler can give up what nobody waits for; it is told once, and only while it asks."""

    async def run() -> bool:
        began, told = asyncio.Event(), asyncio.Event()

        async def handler(request: Request) -> Response:
            assert not request.presence.left()
            request.presence.when_left(told.set)
            began.set()
            await told.wait()
            return Response(status=200, headers=())

        async with listening(handler) as listener:
            async with connected(listener.port) as (_, writer):
                writer.write(GET)
                await began.wait()
                reset_when_closed(writer)
            await asyncio.wait_for(told.wait(), PATIENCE_S)
        return told.is_set()

    assert asyncio.run(run())
