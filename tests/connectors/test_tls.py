"""Services are verified by chain, name, time and version, each over a real TLS connection."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from connectors.base import Call, CallFailed
from connectors.credentials import CredentialUnavailable
from connectors.http import HttpSettings, open_http
from connectors.secrets import SecretReference, SecretStore
from connectors.tls import TLS_VERSION_MIN, ClientCertificate, show_certificate, verifying_context

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def call_over(context: ssl.SSLContext, host: str = "localhost", **settings: Any) -> str:
    """Call a TLS server on loopback; return its answer, or how the call failed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1000):
            writer.write(OK)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        opened = HttpSettings(base_url=f"https://{host}:{port}", allow_loopback=True, **settings)
        try:
            async with open_http(opened) as connector:
                reply = await connector.call(Call(method="GET", target=b"/"))
                body = await reply.read(10)
                await reply.release()
                return body.decode()
        except CallFailed as failed:
            return f"{failed.failure}, sent: {failed.sent}: {failed.detail}"


FAILS = "unreachable, sent: False: the service's certificate does not hold: "


@pytest.mark.parametrize(
    ("host", "days", "trusted", "outcome"),
    [
        pytest.param("localhost", 1, True, "ok", id="U-01-tls-good"),
        pytest.param("localhost", 1, False, FAILS + "self-signed", id="U-01-tls-chain"),
        pytest.param(
            "localhost", -1, True, FAILS + "certificate has expired", id="U-01-tls-expired"
        ),
        pytest.param("other.test", 1, True, FAILS + "Hostname mismatch", id="U-01-tls-wrong-host"),
    ],
)
def test_certificates_are_verified(
    make_certificate: Callable[..., Any], host: str, days: int, trusted: bool, outcome: str
) -> None:
    """Unknown authorities, expired certificates and other names do not pass; nothing is sent."""
    certificate = make_certificate(host, days)
    ca_file = str(certificate.path) if trusted else None
    found = asyncio.run(call_over(certificate.server_context(), ca_file=ca_file))
    assert found.startswith(outcome)


def test_an_address_needs_a_certificate_for_the_address(
    make_certificate: Callable[..., Any],
) -> None:
    """U-01: a certificate for a name says nothing about the address it is found at."""
    certificate = make_certificate("localhost", 1)
    found = asyncio.run(
        call_over(certificate.server_context(), "127.0.0.1", ca_file=str(certificate.path))
    )
    assert found.startswith(FAILS + "IP address mismatch")


@pytest.mark.parametrize(
    ("newest", "outcome"),
    [
        (ssl.TLSVersion.TLSv1_1, "unreachable, sent: False"),
        (ssl.TLSVersion.TLSv1_2, "ok"),
        (ssl.TLSVersion.TLSv1_3, "ok"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_old_versions_of_tls_are_not_spoken(
    make_certificate: Callable[..., Any], newest: ssl.TLSVersion, outcome: str
) -> None:
    """A server that offers TLS 1.1 at most is not talked to."""
    certificate = make_certificate()
    context = certificate.server_context()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = newest
    context.set_ciphers("ALL:@SECLEVEL=0")
    found = asyncio.run(call_over(context, ca_file=str(certificate.path)))
    assert found.startswith(outcome)


def test_the_least_version_is_named() -> None:
    """It does not depend on how the system's OpenSSL is configured."""
    context = verifying_context()
    assert context.minimum_version == TLS_VERSION_MIN == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("shown", [True, False])
def test_the_gateway_shows_its_certificate_where_it_has_one(
    make_certificate: Callable[..., Any], tmp_path: Path, shown: bool
) -> None:
    """A service that asks for a certificate (mutual TLS) is called with it, or not at all."""
    server, client = make_certificate("localhost"), make_certificate("gateway.test")
    client.path.chmod(0o600)
    context = server.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(client.path)
    # TLS 1.3 tells a client only after its first bytes that its certificate is missing.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    reference = SecretReference.parse(f"file:{client.path.name}")
    certificate = ClientCertificate(certificate=reference, key=reference) if shown else None
    found = asyncio.run(
        call_over(
            context,
            ca_file=str(server.path),
            client_certificate=certificate,
            secrets=SecretStore(directory=client.path.parent),
        )
    )
    assert found.startswith("ok" if shown else "unreachable")


def test_a_key_that_does_not_belong_or_is_encrypted_is_refused(
    make_certificate: Callable[..., Any], tmp_path: Path
) -> None:
    """OpenSSL asks nobody for a password, and the refusal names the references."""
    one, other = make_certificate("one.test"), make_certificate("other.test")
    key = serialization.load_pem_private_key(one.path.read_bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"SYNTHETIC"),
    )
    for name, content in (("key", other.path.read_bytes()), ("locked", encrypted)):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
        pair = ClientCertificate(
            certificate=SecretReference.parse(f"file:{one.path.name}"),
            key=SecretReference.parse(f"file:{name}"),
        )
        with pytest.raises(CredentialUnavailable, match=f"and file:{name} are not a certificate"):
            show_certificate(verifying_context(), pair, SecretStore(directory=tmp_path))
