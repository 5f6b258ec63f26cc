"""How services are verified, and how the gateway shows a certificate to those that ask for one."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from connectors.credentials import CredentialUnavailable
from connectors.secrets import SecretReference, SecretStore, SecretUnavailable

TLS_VERSION_MIN: Final = ssl.TLSVersion.TLSv1_2
"""NCSC's guidance on TLS, and the least that departments may offer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """The gateway's certificate for one service, its chain behind it, and the key, all PEM."""

    certificate: SecretReference
    key: SecretReference


def verifying_context(
    ca_file: Path | None = None, *, protocols: tuple[str, ...] = ("http/1.1",)
) -> ssl.SSLContext:
    """Return a context that verifies chain and host name, by the system's authorities or a file's.

    `protocols` are offered by ALPN (RFC 7301); with none the extension is left out. Reads from
    disk.

    Raises:
        OSError: the file cannot be read, or holds no certificate (ssl.SSLError).
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = TLS_VERSION_MIN
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def show_certificate(
    context: ssl.SSLContext, client: ClientCertificate, store: SecretStore
) -> None:
    """Let `context` show the gateway's certificate. Reads from disk.

    Raises:
        SecretUnavailable: a file cannot be read, or others may use the key.
        CredentialUnavailable: the files hold no certificate with its key, or the key is encrypted.
    """
    key = store.private_path_of(client.key)
    certificate = store.path_of(client.certificate)
    try:
        # Without a password given, OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, key, password=b"")
    except FileNotFoundError:
        raise CredentialUnavailable(f"{client.certificate} is not there") from None
    except (OSError, ValueError):
        raise CredentialUnavailable(
            f"{client.certificate} and {client.key} are not a certificate with its key in PEM"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Who signs for a peer, and what the gateway shows it if it asks.

    Unless given: the system's authorities, and no certificate. `store` has the certificate's files.
    """

    ca_file: Path | None = None
    certificate: ClientCertificate | None = None
    store: SecretStore = field(default_factory=SecretStore)

    def context(self, *, protocols: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
        """Return what verifies and shows so; `protocols` as for `verifying_context`.

        Reads from disk, anew each time: files may be replaced while the gateway runs.

        Raises:
            CredentialUnavailable: a file cannot be used; the sentence says which.
        """
        try:
            context = verifying_context(self.ca_file, protocols=protocols)
        except OSError:
            raise CredentialUnavailable("the file of authorities cannot be read") from None
        if self.certificate is not None:
            try:
                show_certificate(context, self.certificate, self.store)
            except SecretUnavailable as unavailable:
                raise CredentialUnavailable(str(unavailable)) from None
        return context
