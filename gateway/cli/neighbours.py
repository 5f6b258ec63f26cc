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
from gateway.cli.finding import Finding, failed, ok
from gateway.clock import SystemClock
from gateway.demo.channel import Answer, Channel, ChannelFailed
from gateway.demo.state import is_demo
from gateway.identity.tokens import CLOCK_SKEW_S_MAX
from gateway.registry.documents import Configuration, PlainDocument
from gateway.registry.reach import read_reach
from gateway.settings import Settings
from policies.reading import DocumentInvalid, Fault

PROBE_TIMEOUT_S: Final = 5.0
NTP: Final = "timedatectl set-ntp true, and wait until `timedatectl` says that it is synchronised"
"""What mends a clock."""
_OK: Final = 200


def examine_neighbours(configuration: Configuration, settings: Settings) -> Iterator[Finding]:
    """Ask every issuer for its keys and the time, and every service for a connection."""
    with Channel(timeout_s=PROBE_TIMEOUT_S) as channel:
        for issuer, document in configuration.issuers.items():
            yield from _issuer(channel, issuer, document)
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


def _issuer(channel: Channel, issuer: str, document: Mapping[str, object]) -> Iterator[Finding]:
    url = str(document.get("metadata_url") or f"{issuer}/.well-known/oauth-authorization-server")
    try:
        answer = _fetched(channel, url)
        read_at = SystemClock().now()
        keys = _keys_published(channel, answer)
    except (ChannelFailed, ValueError) as failure:
        mend = f"curl -fsS {shlex.quote(url)}: the issuer's metadata, which this host must reach"
        yield failed("issuer", f"{issuer}: {failure}", mend)
        return
    yield ok("issuer", f"{issuer}: {keys} keys")
    yield from _clock_beside(issuer, answer, read_at)


def _clock_beside(issuer: str, answer: Answer, read_at: datetime) -> Iterator[Finding]:
    """Compare this machine's time with an issuer's: tokens are judged by both of them.

    An answer's Date is in whole seconds (RFC 9110, section 6.6.1); one that cannot be read tells
    nothing.
    """
    try:
        there = parsedate_to_datetime(answer.headers.get("date", ""))
        apart_s = (read_at - there).total_seconds()
    except (TypeError, ValueError):
        return
    if abs(apart_s) > CLOCK_SKEW_S_MAX + 1:
        word = "ahead of" if apart_s > 0 else "behind"
        detail = f"is {abs(apart_s):.0f} s {word} that of {issuer}: its tokens will be refused"
        yield failed("clock", detail, NTP)


def _keys_published(channel: Channel, metadata: Answer) -> int:
    keys = _members(_fetched(channel, str(_members(metadata).get("jwks_uri")))).get("keys")
    if not isinstance(keys, list) or not keys:
        raise ValueError("publishes no keys")
    return len(keys)


def _fetched(channel: Channel, url: str) -> Answer:
    answer = channel.send("GET", url)
    if answer.status != _OK:
        raise ValueError(f"{url} answers {answer.status}")
    return answer


def _members(answer: Answer) -> Mapping[str, object]:
    value = answer.json()
    return value if isinstance(value, dict) else {}


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
