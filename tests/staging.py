"""A real gateway with two services behind it, under load, while its configuration changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from connectors.fetch import Answer, Caller, open_client
from gateway.administration import apply_configuration
from gateway.clock import monotonic_s
from gateway.registry.configuration import read_directory
from gateway.registry.store import Changes
from tests.issuing import METADATA_PATH, IssuerServer
from tests.running import (
    FIELDS,
    ISSUER,
    ITEM,
    Running,
    free_port,
    running_gateway,
    write_configuration,
)
from tests.steady import SteadyService, open_steady
from tests.tokens import SigningKey, make_key

MOVING: Final = "moving"
MOVING_ITEM: Final = "/plain/v1/other-0001"
MOVING_AGREEMENT: Final = "DSA-2026-1001"
CALLERS: Final = 3
WAIT_S_MAX: Final = 30.0
POLL_S: Final = 0.02
BODY: Final = json.dumps({"records": [dict.fromkeys(FIELDS, "x" * 40)]}).encode()


@dataclass(frozen=True)
class Seen:
    """One answer under load: when it was asked for (monotonic seconds), and what came."""

    asked_s: float
    status: int


@dataclass
class Stage:
    """What a test plays on: the gateway, its two services and its configuration's files."""

    running: Running
    key: SigningKey
    plain: SteadyService
    moving: SteadyService
    configuration: Path
    seen: list[Seen] = field(default_factory=list)

    def edit(self, name: str, change: Callable[[Any], object]) -> None:
        """Change one file of the configuration in place."""
        path = self.configuration / name
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    async def apply(self) -> Changes:
        """Apply the configuration from outside, as an operator does while the gateway runs."""
        configuration = read_directory(self.configuration)
        settings = self.running.settings
        return await asyncio.to_thread(apply_configuration, configuration, settings, by="tests")

    async def call(self, client: Caller, path: str = ITEM, **token: Any) -> Answer:
        """Make one call with a new token."""
        headers = {"authorization": f"Bearer {self.running.token(self.key, **token)}"}
        return await client.request("GET", self.running.base_url + path, headers)

    async def call_moving(self, client: Caller) -> Answer:
        """Make one call of the service that moves."""
        return await self.call(client, MOVING_ITEM, service=MOVING, agreement=MOVING_AGREEMENT)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Keep some callers of the plain service busy while the block runs."""
        stop = asyncio.Event()

        async def go_on() -> None:
            headers = {"authorization": f"Bearer {self.running.token(self.key)}"}
            async with open_client() as client:
                while not stop.is_set():
                    asked_s = monotonic_s()
                    answer = await client.request("GET", self.running.base_url + ITEM, headers)
                    self.seen.append(Seen(asked_s, answer.status))

        async with asyncio.TaskGroup() as callers:
            for _ in range(CALLERS):
                callers.create_task(go_on())
            try:
                yield
            finally:
                stop.set()

    async def ready(self, client: Caller) -> bool:
        """Ask whether the gateway says that it is ready."""
        return (await client.request("GET", self.running.control_url + "/readyz")).status == 200

    async def everywhere(self, revision: int) -> None:
        """Wait until every worker enforces a revision of the configuration."""
        await until(lambda: all(it.revision >= revision for it in self.running.figures.values()))


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; a test that waits in vain fails."""
    async with asyncio.timeout(WAIT_S_MAX):
        while not holds():  # noqa: ASYNC110 - other processes change what is looked at
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def open_stage(
    directory: Path, *, workers: int = 2, agreements: int = 2, registry_url: str | None = None
) -> AsyncIterator[Stage]:
    """Open an issuer, two services and a gateway with an agreement for each of them, or more."""
    key, configuration = make_key(), directory / "configuration"
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(IssuerServer(key))
        keys_url = f"{issuer.issuer}/jwks.json"
        issuer.documents[METADATA_PATH] = {"issuer": ISSUER, "jwks_uri": keys_url}
        plain = await stack.enter_async_context(open_steady(BODY))
        moving = await stack.enter_async_context(open_steady(BODY))
        write_configuration(
            configuration,
            service_url=plain.base_url,
            metadata_url=issuer.issuer + METADATA_PATH,
            agreements=agreements,
        )
        _add_moving(configuration, moving.base_url)
        # The gateway blocks while it starts and stops; the services must go on answering.
        gateway = running_gateway(
            directory / "home",
            configuration,
            port=free_port(),
            workers=workers,
            registry_url=registry_url,
        )
        running = await asyncio.to_thread(gateway.__enter__)
        stack.push_async_callback(asyncio.to_thread, gateway.__exit__, None, None, None)
        yield Stage(running, key, plain, moving, configuration)


def _add_moving(configuration: Path, base_url: str) -> None:
    services = configuration / "services.yaml"
    document = json.loads(services.read_text())
    document["services"].append(
        document["services"][0] | {"connector": MOVING, "base_url": base_url}
    )
    services.write_text(json.dumps(document))
    path = configuration / "agreements" / "0001.yaml"
    agreement = json.loads(path.read_text())
    agreement["access"]["rules"][0]["connector"] = MOVING
    path.write_text(json.dumps(agreement))
