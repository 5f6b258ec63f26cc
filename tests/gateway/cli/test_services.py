"""Services as the commands read and try them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from connectors.breaker import BreakerState
from connectors.scripted import open_scripted
from connectors.targets import TargetState
from gateway.administration import apply_configuration
from gateway.cli.home import NewHome
from gateway.cli.services import listed, probed
from gateway.demo.state import FOLDER
from gateway.settings import Settings
from gateway.targets import write_states
from gateway.telemetry import Counters
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


PLACES = ["https://127.0.0.1:1", "https://127.0.0.1:2"]
KEY = {"kind": "api-key", "header": "X-Key", "secret": "file:key"}


def apply_places(settings: Settings, **members: object) -> None:
    """Apply one service at two places, which needs a key."""
    configuration = pack_configuration()
    plain = {k: v for k, v in configuration.services["nv-housing"].items() if k != "base_url"}
    reach = {"base_urls": PLACES, "networks": ["127.0.0.0/8"], "credentials": KEY, **members}
    one = replace(configuration, services={"nv-housing": {**plain, **reach}}, agreements={})
    apply_configuration(one, settings, by="tests")


def test_places_are_listed_with_what_living_workers_see(new_home: NewHome) -> None:
    """In the order of preference; the secret's place is told, a worker that died is not asked."""
    settings = new_home.settings
    apply_places(settings)
    (before,) = listed(settings)
    assert [place["workers"] for place in before["targets"]] == [0, 0]
    counters = [Counters.open(settings.run_directory, instance) for instance in ("a", "b")]
    well = tuple(
        TargetState(base_url=place, state=BreakerState.CLOSED, failures=0, opened=0, retried=0)
        for place in PLACES
    )
    spared = replace(well[0], state=BreakerState.HALF_OPEN, failures=7, opened=2)
    write_states(settings.run_directory, "a", {"nv-housing": (spared, well[1])})
    write_states(settings.run_directory, "b", {"nv-housing": well})
    write_states(settings.run_directory, "dead", {"nv-housing": (spared, spared)})

    (found,) = listed(settings)
    for opened in counters:
        opened.close()

    assert found["base_url"] == PLACES[0]
    assert found["credentials"] == "api-key, file:key"
    assert [place["base_url"] for place in found["targets"]] == PLACES
    assert [place["spared_by"] for place in found["targets"]] == [1, 0]
    assert [place["workers"] for place in found["targets"]] == [2, 2]
    assert found["targets"][0]["failures_in_a_row"] == 7


def test_a_probe_needs_the_secret_first(new_home: NewHome) -> None:
    """Then every place is looked at."""
    settings = new_home.settings
    apply_places(settings)
    (found,) = probed(settings, ())
    assert not found["healthy"]
    assert "file:key cannot be read" in found["detail"]

    key = settings.secrets_directory / "key"
    key.touch(0o600)
    key.write_text("k")
    (found,) = probed(settings, ())
    assert not found["healthy"]
    assert all(place in found["detail"] for place in PLACES)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"kind": "fax"}, "no connector of kind 'fax'"),
        ({"base_urls": []}, "base_urls"),
        ({"base_urls": ["ftp://x"]}, "neither https nor http"),
    ],
)
def test_what_cannot_be_opened_is_a_finding(
    new_home: NewHome, members: dict[str, object], told: str
) -> None:
    """A configuration that came from another version is no traceback."""
    apply_places(new_home.settings, **members)
    (found,) = probed(new_home.settings, ())
    assert not found["healthy"]
    assert told in found["detail"]
