"""The `http` kind: a plain HTTP/1.1 service of a department."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final

from connectors.base import Call, CallFailed, Failure, Health, Reply
from connectors.egress import EgressRule
from connectors.origin import Origin
from connectors.wire import Pool, PoolLimits

PROBE_S: Final = 5.0
"""Time for a probe to connect, TLS included."""

_CREDENTIALS_REFUSED: Final = frozenset({401, 407})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Where an HTTP service is and how it may be used.

    `base_url` is https, or http to loopback where `allow_loopback` says so; its path goes before
    every target. `networks` lists private networks (CIDR) that the service may live in; `ca_file`
    names a PEM file of the authorities that sign for it, instead of the system's.
    """

    base_url: str
    allow_loopback: bool = False
    networks: tuple[str, ...] = ()
    ca_file: str | None = None
    limits: PoolLimits = field(default_factory=PoolLimits)


@asynccontextmanager
async def open_http(settings: HttpSettings) -> AsyncIterator[HttpConnector]:
    """Open the connector of one service and close its connections afterwards.

    Raises:
        BaseUrlInvalid: for a base URL that may not be used (a ValueError, as for `networks`).
        OSError: `ca_file` cannot be read.
    """
    origin = Origin.parse(settings.base_url, allow_loopback=settings.allow_loopback)
    egress = EgressRule(
        allow_loopback=settings.allow_loopback,
        networks=tuple(ip_network(text) for text in settings.networks),
    )
    tls = None
    if origin.secure:
        # Reads the authorities from disk.
        tls = await asyncio.to_thread(_verifying_context, settings.ca_file)
    pool = Pool(origin, limits=settings.limits, egress=egress, tls=tls)
    try:
        yield HttpConnector(pool)
    finally:
        await pool.close()


class HttpConnector:
    """A Connector to one HTTP service. It follows no redirect, keeps no cookie, decodes nothing."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which whoever opened it closes."""
        self._pool = pool

    async def call(self, call: Call) -> Reply:
        """Carry out `call` (`Connector.call`).

        REFUSED where the service does not accept the gateway itself: 401 and 407 are about our
        credentials, and would mislead the caller about its own (RFC 9110, 15.5.2).
        """
        reply = await self._pool.request(call)
        if reply.status in _CREDENTIALS_REFUSED:
            await reply.release()
            raise CallFailed(
                Failure.REFUSED,
                f"the service does not accept the gateway's credentials ({reply.status})",
                sent=True,
            )
        return reply

    async def probe(self) -> Health:
        """Connect, TLS included, without asking for anything."""
        try:
            await self._pool.probe(PROBE_S)
        except CallFailed as failure:
            return Health(healthy=False, detail=f"No connection to the service: {failure.detail}.")
        return Health(healthy=True, detail="The service takes connections.")


def _verifying_context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
