"""Reads and tries services for `concordat service`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from connectors.breaker import BreakerState
from connectors.http import HttpSettings
from gateway.cli.configuration import open_registry
from gateway.cli.neighbours import probe
from gateway.cli.output import Stop
from gateway.registry.documents import Configuration, Kind, PlainDocument
from gateway.registry.reach import KIND_OF_CREDENTIALS, read_reach
from gateway.registry.store import StopKind
from gateway.settings import Settings
from gateway.targets import States, read_states
from gateway.telemetry import live_instances
from policies.document import read_agreement
from policies.reading import nearest


def listed(settings: Settings) -> list[dict[str, Any]]:
    """Return the services of the present configuration, in the order of their names.

    Each has its places with what the running workers see of them, and how the gateway shows itself.
    """
    with open_registry(settings) as registry:
        configuration, stops = registry.load()[1], registry.stops()
    used = _uses(configuration)
    run = settings.run_directory
    states = tuple(read_states(run, live_instances(run)).values())
    return [
        {
            "connector": connector,
            "owner": document["owner"],
            "kind": document.get("kind", "http"),
            "base_url": read_reach(document, [], ()).base_url,
            "agreements": used[connector],
            "stopped": (StopKind.SERVICE, connector) in stops,
            "credentials": _credentials(read_reach(document, [], ())),
            "targets": _targets(connector, document, states),
        }
        for connector, document in configuration.services.items()
    ]


def probed(settings: Settings, connectors: Collection[str]) -> list[dict[str, Any]]:
    """Try `connectors`, or every service; return how each was.

    Raises:
        Stop: there is none of a name.
    """
    with open_registry(settings) as registry:
        services = {state.document["connector"]: state for state in registry.present(Kind.SERVICE)}
    for name in connectors:
        if name not in services:
            message = f"there is no service {name!r}{nearest(name, map(str, services))}"
            raise Stop(message, mend="concordat service list")

    async def probe_all() -> list[dict[str, Any]]:
        found = []
        for name in connectors or services:
            health = await probe(services[name].document, settings)
            found.append({"connector": name, "healthy": health.healthy, "detail": health.detail})
        return found

    return asyncio.run(probe_all())


def _targets(
    connector: str, document: PlainDocument, states: Iterable[States]
) -> list[dict[str, Any]]:
    """Tell of each place how many workers watch it, how many spare it, and how it fails."""
    reach = read_reach(document, [], ())
    found = []
    for base_url in (reach.base_url, *reach.further_urls):
        seen = [
            target
            for one in states
            for target in one.get(connector, ())
            if target.base_url == base_url
        ]
        found.append(
            {
                "base_url": base_url,
                "workers": len(seen),
                "spared_by": sum(target.state is not BreakerState.CLOSED for target in seen),
                "opened": sum(target.opened for target in seen),
                "failures_in_a_row": max((target.failures for target in seen), default=0),
            }
        )
    return found


def _credentials(reach: HttpSettings) -> str | None:
    """Return the kind of credential and where its secret lies, never the secret."""
    if reach.credentials is None:
        return None
    return f"{KIND_OF_CREDENTIALS[type(reach.credentials)]}, {reach.credentials.secret}"


def _uses(configuration: Configuration) -> Counter[str]:
    """Count the agreements whose rules name each service."""
    return Counter(
        connector
        for document in configuration.agreements.values()
        for connector in {rule.connector for rule in read_agreement(document).rules}
    )
