"""Services as the commands read and try them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from connectors.scripted import open_scripted
from gateway.administration import apply_configuration
from gateway.cli.home import NewHome
from gateway.cli.services import listed, probed
from gateway.demo.state import FOLDER
from tests.configured import pack_configuration


def test_a_new_home_has_no_services(new_home: NewHome) -> None:
    """Nothing is listed, and nothing can fail."""
    assert listed(new_home.settings) == []
    assert probed(new_home.settings, ()) == []


def test_a_service_that_takes_connections_is_healthy(new_home: NewHome) -> None:
    """It is asked for nothing; the demo's own are reached by plain HTTP on this host."""
    settings = new_home.settings
    (settings.home / FOLDER).mkdir()
    (settings.home / FOLDER / "state.json").touch()

    async def play() -> None:
        async with open_scripted([]) as running:
            configuration = pack_configuration()
            services = {
                name: {**document, "base_url": running.base_url}
                for name, document in configuration.services.items()
            }
            one = replace(configuration, services=services)
            await asyncio.to_thread(apply_configuration, one, settings, by="tests")
            found = await asyncio.to_thread(probed, settings, ("nv-housing",))

            assert [one["healthy"] for one in found] == [True]
            assert running.requests == []

    asyncio.run(play())
