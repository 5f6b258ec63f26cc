"""Reads and tries services for `concordat service`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from typing import Any

from gateway.cli.configuration import open_registry
from gateway.cli.neighbours import probe
from gateway.cli.output import Stop
from gateway.demo.state import is_demo
from gateway.registry.documents import Configuration, Kind
from gateway.registry.store import StopKind
from gateway.settings import Settings
from policies.document import read_agreement
from policies.reading import nearest


def listed(settings: Settings) -> list[dict[str, Any]]:
    """Return the services of the present configuration, in the order of their names."""
    with open_registry(settings) as registry:
        configuration, stops = registry.load()[1], registry.stops()
    used = _uses(configuration)
    return [
        {
            "connector": connector,
            "owner": document["owner"],
            "kind": document.get("kind", "http"),
            "base_url": document.get("base_url", ""),
            "agreements": used[connector],
            "stopped": (StopKind.SERVICE, connector) in stops,
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
    loopback = is_demo(settings.home)

    async def probe_all() -> list[dict[str, Any]]:
        found = []
        for name in connectors or services:
            base_url = str(services[name].document.get("base_url") or "")
            health = await probe(base_url, loopback=loopback)
            found.append({"connector": name, "healthy": health.healthy, "detail": health.detail})
        return found

    return asyncio.run(probe_all())


def _uses(configuration: Configuration) -> Counter[str]:
    """Count the agreements whose rules name each service."""
    return Counter(
        connector
        for document in configuration.agreements.values()
        for connector in {rule.connector for rule in read_agreement(document).rules}
    )
