"""The doctor's checks of what the configuration points to: issuers, their clocks, and services."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from connectors.base import Health
from connectors.discovery import UnknownKind, open_connector
from connectors.fetch import FetchFailed
from gateway.cli.finding import Finding, failed, ok
from gateway.cli.output import amount
from gateway.clock import SystemClock
from gateway.demo.state import is_demo
from gateway.identity.issuers import KeySetRefused, fetch_keys, metadata_url_of
from gateway.identity.tokens import CLOCK_SKEW_S_MAX
from gateway.registry.documents import Configuration, PlainDocument
from gateway.registry.reach import read_reach
from gateway.settings import Settings
from policies.reading import DocumentInvalid, Fault

NTP: Final = "timedatectl set-ntp true, and wait until `timedatectl` says that it is synchronised"
"""What mends a clock."""


def examine_neighbours(
    configuration: Configuration, settings: Settings, *, allow_loopback_http: bool
) -> Iterator[Finding]:
    """Ask every issuer for its keys and the time, and every service for a connection.

    Issuers are asked where the workers ask them, by the same rules; `allow_loopback_http` is for
    the demo and tests.
    """
    for issuer, document in configuration.issuers.items():
        yield from _issuer(issuer, document, allow_loopback_http=allow_loopback_http)
    yield from asyncio.run(_services(configuration, settings))


async def probe(document: PlainDocument, settings: Settings) -> Health:
    """Reach every place of a service with the gateway's own credentials, asking for nothing."""
    faults: list[Fault] = []
    reach = read_reach(document, faults, ())
    if faults:
        return Health(healthy=False, detail=str(DocumentInvalid(faults)))
    opened = replace(reach, allow_loopback=is_demo(settings.home), secrets=settings.secret_store())
    try:
        async with open_connector(str(document.get("kind", "http")), opened) as connector:
            return await connector.probe()
    except (OSError, ValueError, UnknownKind) as failure:
        return Health(healthy=False, detail=str(failure))


def _issuer(
    issuer: str, document: Mapping[str, object], *, allow_loopback_http: bool
) -> Iterator[Finding]:
    told = document.get("metadata_url")
    url = str(told) if told else metadata_url_of(issuer)
    try:
        published = asyncio.run(fetch_keys(issuer, url, allow_loopback_http=allow_loopback_http))
        read_at = SystemClock().now()
    except (FetchFailed, KeySetRefused) as failure:
        mend = f"curl -fsS {shlex.quote(url)}: the issuer's metadata, which this host must reach"
        yield failed("issuer", f"{issuer}: {failure}", mend)
        return
    yield ok("issuer", f"{issuer}: {amount(len(published.keys), 'key')}")
    yield from _clock_beside(issuer, published.date, read_at)


def _clock_beside(issuer: str, date: str, read_at: datetime) -> Iterator[Finding]:
    """Compare this machine's time with an issuer's: tokens are judged by both of them.

    An answer's Date is in whole seconds (RFC 9110, section 6.6.1); one that cannot be read tells
    nothing.
    """
    try:
        there = parsedate_to_datetime(date)
        apart_s = (read_at - there).total_seconds()
    except (TypeError, ValueError):
        return
    if abs(apart_s) > CLOCK_SKEW_S_MAX + 1:
        word = "ahead of" if apart_s > 0 else "behind"
        detail = f"is {abs(apart_s):.0f} s {word} that of {issuer}: its tokens will be refused"
        yield failed("clock", detail, NTP)


async def _services(configuration: Configuration, settings: Settings) -> list[Finding]:
    findings = []
    for connector, document in configuration.services.items():
        health = await probe(document, settings)
        if health.healthy:
            findings.append(ok("service", f"{connector}: {health.detail}"))
        else:
            mend = f"concordat service test {shlex.quote(connector)} --home {settings.home}"
            mend += ", once it runs, and its address and secrets are right"
            findings.append(failed("service", f"{connector}: {health.detail}", mend))
    return findings
