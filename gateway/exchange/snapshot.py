"""Everything that the hot path reads, frozen together and swapped whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from connectors.http import HttpSettings
from gateway.exchange.routes import RouteTable
from gateway.identity.caller import IssuerProfile
from policies.decision import DecisionForm
from policies.law import Law
from policies.select import AgreementIndex
from policies.service import ServiceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A group of operations behind one connector.

    `audiences` holds the resource URI that access tokens must name as their audience (RFC 8707),
    ``<public base URL>/<connector>``; `reach` is how the connector finds the service, without the
    secrets and permissions of the host that it is opened on.
    """

    facts: ServiceFacts
    audiences: frozenset[str]
    reach: HttpSettings
    kind: str = "http"

    @property
    def base_url(self) -> str:
        """Where the service is, or the preferred one of its places."""
        return self.reach.base_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One consistent state of the registry, compiled; `revision` is the registry's.

    `audiences` are the resource URIs of all services: what a token must name on a path that none
    of them serves. `forms` are the recorded decisions to share, by the reference of their request;
    `vocabulary` is the version of the code lists, `via` what calls say of this gateway in `Via`.
    """

    revision: int
    organisation: str
    public_base_url: str
    issuers: Mapping[str, IssuerProfile]
    services: Mapping[str, Service]
    audiences: frozenset[str]
    routes: RouteTable
    agreements: AgreementIndex
    law: Law
    forms: Mapping[str, DecisionForm]
    vocabulary: str
    via: bytes

    def error_format(self, path: tuple[str, ...]) -> str:
        """Return the format of refusals for a path, given by its segments.

        It is that of its service. Where none serves it, it is that of the services beneath the
        longest beginning of the path, if they have one in common: a FHIR client that asks for a
        resource that is not shared understands the answer (design.md, section 4).
        """
        route = self.routes.match(path)
        names = (route.service,) if route else self.routes.near(path)
        formats = {self.services[name].facts.error_format for name in names}
        return formats.pop() if len(formats) == 1 else "problem"


STOP_LIST_AGE_S_MAX: Final = 5.0
"""A stop-list older than this stops everything: fail closed, never fail stale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopList:
    """What may not be used any more, read straight from the registry at every decision.

    `entries` holds (kind, key) pairs; kinds are agreement, client, issuer, service, peer, key,
    token and grant. `read_at_s` is the monotonic time of the reading.
    """

    entries: frozenset[tuple[str, str]]
    read_at_s: float
