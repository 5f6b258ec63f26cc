"""What a connector reads and fetches before it may call: authorities, certificate, credential."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from connectors.credentials import (
    REREAD_S,
    ClientCredentials,
    Credentials,
    CredentialUnavailable,
    SentCredential,
    read_static,
)
from connectors.egress import EgressRule
from connectors.secrets import SecretStore
from connectors.tls import ClientCertificate, show_certificate, verifying_context
from connectors.wire import Pool

_Seen = tuple[tuple[Path, int, int], ...]
"""Files with their inode and time of change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What pools use from now on; None leaves as it is what they have."""

    credential: SentCredential | None
    tls: ssl.SSLContext | None
    lifetime_s: float
    renew_s: float

    def hand_to(self, pools: Iterable[Pool]) -> None:
        """Let `pools` use it for the requests and connections to come."""
        for pool in pools:
            if self.credential is not None:
                pool.authorize(self.credential.name, self.credential.value)
            if self.tls is not None:
                pool.verify_with(self.tls)


class MaterialSource:
    """Obtains the material of one service, again each time it is asked; see `Keeper`."""

    def __init__(
        self,
        *,
        credentials: Credentials | None,
        client_certificate: ClientCertificate | None,
        ca_file: str | None,
        store: SecretStore,
        rule: EgressRule,
    ) -> None:
        """`rule` judges where a token may be fetched; a relative `ca_file` is in the store."""
        self._credentials = credentials
        self._client_certificate = client_certificate
        self._ca_file = (store.directory or Path()) / ca_file if ca_file else None
        self._store = store
        self._rule = rule
        self._tls: ssl.SSLContext | None = None
        self._tls_seen: _Seen = ()

    async def obtain(self) -> Material:
        """Return the material as it is now.

        Raises:
            SecretUnavailable: a secret cannot be read.
            CredentialUnavailable: something else is missing; the message says what.
        """
        await asyncio.to_thread(self._load_tls)
        credential = None
        if isinstance(self._credentials, ClientCredentials):
            # Authlib and the HTTP client are for those who need them: settings are read everywhere.
            from connectors.oauth import fetch_token

            credential = await fetch_token(
                self._credentials, self._store, rule=self._rule, tls=self._tls
            )
        elif self._credentials is not None:
            credential = await read_static(self._credentials, self._store)
        return Material(
            credential=credential,
            tls=self._tls,
            lifetime_s=credential.lifetime_s if credential else 2 * REREAD_S,
            renew_s=credential.renew_s if credential else REREAD_S,
        )

    def _load_tls(self) -> None:
        """Make a new context where the files have changed; connections that are open stay."""
        if self._ca_file is None and self._client_certificate is None:
            return
        seen = self._look()
        if self._tls is not None and seen == self._tls_seen:
            return
        try:
            context = verifying_context(self._ca_file)
        except OSError:
            raise CredentialUnavailable(
                f"{self._ca_file} cannot be read as authorities in PEM"
            ) from None
        if self._client_certificate is not None:
            show_certificate(context, self._client_certificate, self._store)
        self._tls, self._tls_seen = context, seen

    def _look(self) -> _Seen:
        paths = [self._ca_file] if self._ca_file else []
        if self._client_certificate is not None:
            client = self._client_certificate
            paths += [self._store.path_of(client.certificate), self._store.path_of(client.key)]
        try:
            stats = [(path, path.stat()) for path in paths]
        except OSError:
            return ()  # whoever reads them says which is missing
        return tuple((path, found.st_ino, found.st_mtime_ns) for path, found in stats)
