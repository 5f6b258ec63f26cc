"""How what the registry says comes into force: snapshots whole, stops at once."""

from __future__ import annotations

import ipaddress
import math
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast
from urllib.parse import urlsplit

from connectors.credentials import ClientCredentials
from connectors.discovery import kinds
from connectors.http import HttpSettings
from connectors.origin import BaseUrlInvalid, Origin
from gateway.clock import monotonic_s, system_time_us
from gateway.exchange.front.via import pseudonym_of, via_of
from gateway.exchange.routes import Route, RouteConflict, RouteTable
from gateway.exchange.snapshot import Service, Snapshot, StopList
from gateway.identity.caller import IssuerProfile
from gateway.registry.compiled import AgreementCompiler
from gateway.registry.configuration import Configuration
from gateway.registry.lawbooks import vocabulary_version
from gateway.registry.reach import read_reach
from gateway.registry.store import RegistryUnavailable
from gateway.settings import shown_address
from policies.decision import DecisionForm
from policies.forms import read_form
from policies.law import Law, read_instruments
from policies.reading import DocumentInvalid, Fault, place
from policies.select import AgreementIndex
from policies.service import ServiceFacts, identifier_names, read_services

STOP_LIST_INTERVAL_S: Final = 0.25
"""How often each worker reads the stop-list: a stop takes effect everywhere within a second."""
_STOP_TIMEOUT_S: Final = 10.0


class SnapshotRefused(Exception):
    """A configuration that cannot be enforced; `faults` are sentences, each naming its document."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        """Keep every fault, so that all can be mended at once."""
        super().__init__("\n".join(faults))
        self.faults: Final = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """All that decisions depend on, compiled; where anything is to be reached is no part of it.

    `forms` are the recorded decisions to share, by the reference of their request; `vocabulary` is
    the version of the code lists.
    """

    issuers: Mapping[str, IssuerProfile]
    services: Mapping[str, ServiceFacts]
    routes: RouteTable
    agreements: AgreementIndex
    law: Law
    forms: Mapping[str, DecisionForm]
    vocabulary: str


def compile_rules(
    configuration: Configuration, compiler: AgreementCompiler | None = None
) -> Rulebook:
    """Compile what decisions depend on, as an offline policy test needs it.

    A `compiler` that is used again compiles only what is new since.

    Raises:
        SnapshotRefused: with every fault of every document.
    """
    faults: list[str] = []
    services = {facts.connector: facts for facts in _read_services(configuration, faults)}
    compiled = (compiler or AgreementCompiler()).compile(configuration.agreements, services)
    for key, invalid in compiled.invalid.items():
        faults += _sentences(f"agreement {key}", invalid)
    law = _read_law(configuration, faults)
    forms = dict(_read_forms(configuration, services, faults))
    routes = RouteTable(())
    try:
        routes = RouteTable(
            Route(template=rule.template.text, service=rule.connector)
            for policy in compiled.policies
            for rule in policy.rules
        )
    except RouteConflict as conflict:
        faults.append(f"{conflict}.")
    if faults:
        raise SnapshotRefused(tuple(faults))
    return Rulebook(
        issuers={key: _profile(document) for key, document in configuration.issuers.items()},
        services=services,
        routes=routes,
        agreements=AgreementIndex(compiled.policies),
        law=law,
        forms=forms,
        vocabulary=vocabulary_version(configuration),
    )


def compile_snapshot(
    configuration: Configuration,
    *,
    organisation: str,
    public_base_url: str,
    revision: int,
    allow_loopback: bool = False,
    compiler: AgreementCompiler | None = None,
) -> Snapshot:
    """Compile the whole of a configuration into what the hot path reads.

    A `compiler` that is used again compiles only what is new since. `allow_loopback` lets issuers
    and services be reached by plain HTTP on this host; only the demo and tests say so.

    Raises:
        SnapshotRefused: with every fault; whatever was in force before stays so.
    """
    faults: list[str] = []
    try:
        rules = compile_rules(configuration, compiler)
    except SnapshotRefused as refused:
        rules, faults = None, list(refused.faults)
    reaches = dict(_reaches(configuration, faults))
    faults += _address_faults(configuration, reaches, allow_loopback)
    if faults or rules is None:
        raise SnapshotRefused(tuple(faults))
    services = {
        connector: Service(
            facts=facts,
            audiences=frozenset({f"{public_base_url}/{connector}"}),
            reach=reaches[connector],
            kind=str(configuration.services[connector].get("kind", "http")),
        )
        for connector, facts in rules.services.items()
    }
    return Snapshot(
        revision=revision,
        organisation=organisation,
        public_base_url=public_base_url,
        issuers=rules.issuers,
        services=services,
        audiences=frozenset().union(*(service.audiences for service in services.values())),
        routes=rules.routes,
        agreements=rules.agreements,
        law=rules.law,
        forms=rules.forms,
        vocabulary=rules.vocabulary,
        via=via_of(pseudonym_of(public_base_url)),
    )


class ConfigurationSource(Protocol):
    """Where configurations come from; the registry is one."""

    def revision(self) -> int:
        """Return the number of the present configuration."""

    def load(self) -> tuple[int, Configuration]:
        """Return the present configuration and its number."""


class SnapshotKeeper:
    """Keeps the last snapshot that compiled; a later configuration that does not changes nothing.

    `current` is None until one has compiled; `refused` tells why the newest did not.
    """

    def __init__(
        self,
        source: ConfigurationSource,
        compile_one: Callable[[Configuration, int], Snapshot],
    ) -> None:
        """Read from `source`; `compile_one` is `compile_snapshot` with the gateway's own facts."""
        self.current: Snapshot | None = None
        self.refused: SnapshotRefused | None = None
        self._source = source
        self._compile = compile_one
        self._seen: int | None = None

    def refresh(self) -> bool:
        """Compile the present configuration if it is new; tell whether `current` has changed.

        Raises:
            RegistryUnavailable: the registry does not answer; `current` stays.
        """
        if self._source.revision() == self._seen:
            return False
        revision, configuration = self._source.load()
        try:
            snapshot = self._compile(configuration, revision)
        except SnapshotRefused as refused:
            self.refused, self._seen = refused, revision
            return False
        self.current, self.refused, self._seen = snapshot, None, revision
        return True


class StopWritten(Protocol):
    """A stop as it was written down."""

    @property
    def kind(self) -> str:
        """What kind of thing is stopped."""

    @property
    def key(self) -> str:
        """Which one."""

    @property
    def at_us(self) -> int:
        """When it was written, as system time in microseconds since 1970."""


class StopSource(Protocol):
    """Where the stop-list comes from; the registry is one."""

    def stops(self) -> frozenset[tuple[str, str]]:
        """Return everything that is stopped, as (kind, key) pairs."""

    def stopped(self) -> Collection[StopWritten]:
        """Return the same with the time of each; asked for only where something is new."""


class StopListReader:
    """Reads the stop-list again and again in a thread of its own.

    `current` may be read from any thread. While the registry does not answer, the last list stays
    with its age, and whoever decides refuses it once it is too old: fail closed, never stale.
    """

    def __init__(
        self,
        source: StopSource,
        *,
        on_read: Callable[[], None] = lambda: None,
        on_effect: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Read from `source`; `on_read` is told of each reading that succeeded.

        `on_effect` is told, for each stop that comes while this reads, how many microseconds after
        its writing it took effect here. The time of writing is taken before the commit, so that
        the figure is never too small.
        """
        self.current = StopList(entries=frozenset(), read_at_s=-math.inf)
        self._source = source
        self._on_read = on_read
        self._on_effect = on_effect
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stop-list", daemon=True)

    def start(self) -> None:
        """Read once, if the registry answers, and then every `STOP_LIST_INTERVAL_S`."""
        self._read()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(_STOP_TIMEOUT_S)

    def _run(self) -> None:
        while not self._stopping.wait(STOP_LIST_INTERVAL_S):
            self._read()

    def _read(self) -> None:
        begun_s = monotonic_s()  # the list is as old as the moment before it was asked for
        try:
            entries = self._source.stops()
        except RegistryUnavailable:
            return
        before, self.current = self.current, StopList(entries=entries, read_at_s=begun_s)
        in_force_us = system_time_us()
        self._on_read()
        new = entries - before.entries
        if new and before.read_at_s > -math.inf:
            self._measure(new, in_force_us)

    def _measure(self, new: frozenset[tuple[str, str]], in_force_us: int) -> None:
        """Tell how long each new stop took; it is in force already, whatever happens here."""
        try:
            written = self._source.stopped()
        except (RegistryUnavailable, ValueError):
            return  # or a kind of stop that a newer version knows
        for stop in written:
            if (stop.kind, stop.key) in new:
                self._on_effect(max(0, in_force_us - stop.at_us))


def _read_services(configuration: Configuration, faults: list[str]) -> Iterator[ServiceFacts]:
    for connector, document in configuration.services.items():
        try:
            yield from read_services({"services": [document]})
        except DocumentInvalid as invalid:
            faults += _sentences(f"service {connector}", invalid)


def _read_law(configuration: Configuration, faults: list[str]) -> Law:
    instruments = {}
    for key, document in configuration.instruments.items():
        try:
            (instruments[key],) = read_instruments({"instruments": [document]})
        except DocumentInvalid as invalid:
            faults += _sentences(f"instrument {key}", invalid)
    return Law(instruments=instruments)


def _read_forms(
    configuration: Configuration, services: Mapping[str, ServiceFacts], faults: list[str]
) -> Iterator[tuple[str, DecisionForm]]:
    names = identifier_names(services.values())
    for key, document in configuration.forms.items():
        try:
            form = read_form(document, names)
        except DocumentInvalid as invalid:
            faults += _sentences(f"form {key}", invalid)
            continue
        if form is not None:
            yield key, form


def _sentences(name: str, invalid: DocumentInvalid) -> list[str]:
    return [f"{name}, {place(fault.pointer)}: {fault.message}." for fault in invalid.faults]


def _profile(document: Mapping[str, object]) -> IssuerProfile:
    """Return an issuer's profile; what its document does not say keeps the profile's default."""
    said = dict(document)
    for name in ("organisations", "algorithms"):
        if name in said:
            said[name] = frozenset(cast("list[str]", said[name]))
    return IssuerProfile(**cast("dict[str, Any]", said))


def _reaches(configuration: Configuration, faults: list[str]) -> Iterator[tuple[str, HttpSettings]]:
    for connector, document in configuration.services.items():
        found: list[Fault] = []
        yield connector, read_reach(document, found, ())
        if found:
            faults += _sentences(f"service {connector}", DocumentInvalid(found))


def _address_faults(
    configuration: Configuration, reaches: Mapping[str, HttpSettings], allow_loopback: bool
) -> Iterator[str]:
    for connector, document in configuration.services.items():
        reach = reaches[connector]
        for address in (reach.base_url, *reach.further_urls):
            name = f"service {connector}: base_url"
            faults = list(_check_address(name, address, allow_loopback))
            yield from faults or _check_base_url(name, address, allow_loopback)
        if isinstance(reach.credentials, ClientCredentials):
            address = reach.credentials.token_url.partition("?")[0]
            yield from _check_address(f"service {connector}: token_url", address, allow_loopback)
        kind = str(document.get("kind", "http"))
        if kind not in kinds():
            known = ", ".join(sorted(kinds()))
            yield f"service {connector}: there is no kind {kind!r}; installed kinds: {known}."
    for issuer, document in configuration.issuers.items():
        address = str(document.get("metadata_url") or issuer)
        yield from _check_address(f"issuer {shown_address(issuer)}", address, allow_loopback)


def _check_address(name: str, address: str, allow_loopback: bool) -> Iterator[str]:
    """Yield what is wrong with the address of a service or an issuer."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        yield f"{name}: {shown_address(address)!r} is not a URL."
        return
    if not address:
        yield f"{name} is missing: where is it to be reached?"
    elif parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        yield f"{name}: {shown_address(address)!r} is not of the form https://host/path."
    elif parts.query or parts.fragment:
        yield f"{name}: {shown_address(address)!r} must not have a query or a fragment."
    elif parts.scheme == "http" and not (allow_loopback and _is_loopback(host)):
        yield f"{name}: {shown_address(address)!r} is not encrypted; use https."


def _check_base_url(name: str, address: str, allow_loopback: bool) -> Iterator[str]:
    """Yield what a worker's connector would refuse, so that no Snapshot fails to be adopted."""
    try:
        Origin.parse(address, allow_loopback=allow_loopback)
    except BaseUrlInvalid as invalid:
        yield f"{name}: {shown_address(address)!r}: {invalid}."


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
