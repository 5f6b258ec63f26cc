"""The data plane of one process: it is opened whole, and its Snapshot is swapped whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.discovery import UnknownKind
from connectors.scripted import open_scripted
from gateway.app import open_control_plane
from gateway.data_plane import (
    Composition,
    front_settings,
    log_origin,
    open_data_plane,
    running,
)
from gateway.registry.configuration import Configuration
from gateway.settings import load_settings
from gateway.targets import read_states
from tests.homes import apply, apply_pack, make_settings
from tests.steady import open_steady
from tests.world import CSV_PATH, make_request, text_answer

WAIT_S_MAX = 20
OLD, NEW = b"month,admissions\n2026-08,145\n", b"month,admissions\n2026-08,245\n"
PUBLISHED = text_answer(OLD, "text/csv")


def test_a_new_snapshot_is_used_from_the_next_exchange_on(tmp_path: Path) -> None:
    """A service that moves is called at its new address, without a restart."""

    async def play() -> None:
        async with open_scripted([PUBLISHED]) as old, open_scripted([PUBLISHED]) as new:
            settings = make_settings(tmp_path)
            apply_pack(settings, old.base_url)
            composition = Composition(settings=settings, allow_loopback_http=True)
            async with open_control_plane(composition) as control:
                snapshot = control.snapshot
                async with open_data_plane(composition, snapshot, instance="one") as data:
                    await data.handle(make_request("GET", CSV_PATH))
                    apply_pack(settings, new.base_url)
                    assert await asyncio.to_thread(control.refresh)
                    await data.adopt(control.snapshot)
                    await data.handle(make_request("GET", CSV_PATH))

            assert (len(old.requests), len(new.requests)) == (1, 1)

    asyncio.run(play())


def test_a_connector_that_is_replaced_ends_with_its_last_call(tmp_path: Path) -> None:
    """A call under way when its service moves is answered by the old one, which is then left."""

    async def play() -> None:
        async with open_steady(OLD, "text/csv") as old, open_steady(NEW, "text/csv") as new:
            settings = make_settings(tmp_path)
            apply_pack(settings, old.base_url)
            composition = Composition(settings=settings, allow_loopback_http=True)
            async with open_control_plane(composition) as control:
                snapshot = control.snapshot
                async with open_data_plane(composition, snapshot, instance="one") as data:
                    old.may_answer.clear()
                    under_way = asyncio.create_task(data.handle(make_request("GET", CSV_PATH)))
                    await asyncio.wait_for(old.asked.wait(), WAIT_S_MAX)
                    apply_pack(settings, new.base_url)
                    assert await asyncio.to_thread(control.refresh)
                    await data.adopt(control.snapshot)
                    assert (await data.handle(make_request("GET", CSV_PATH))).body == NEW

                    old.may_answer.set()
                    assert (await under_way).body == OLD
                    await asyncio.wait_for(old.left.wait(), WAIT_S_MAX)

            assert (old.requests, new.requests) == (1, 1)

    asyncio.run(play())


def test_a_snapshot_of_which_a_part_cannot_be_opened_changes_nothing(tmp_path: Path) -> None:
    """What was opened for it is closed again; what was in force stays."""

    async def play() -> None:
        async with open_steady(OLD, "text/csv") as old:
            settings = make_settings(tmp_path)
            apply_pack(settings, old.base_url)
            composition = Composition(settings=settings, allow_loopback_http=True)
            async with open_control_plane(composition) as control:
                good = control.snapshot
                async with open_data_plane(composition, good, instance="one") as data:
                    services = {
                        name: replace(
                            service, reach=replace(service.reach, base_url="http://127.0.0.1:9")
                        )
                        for name, service in good.services.items()
                    }
                    last = list(services)[-1]
                    services[last] = replace(services[last], kind="carrier-pigeon")
                    with pytest.raises(UnknownKind):
                        await data.adopt(replace(good, revision=2, services=services))
                    assert (await data.handle(make_request("GET", CSV_PATH))).body == OLD

    asyncio.run(play())


def test_what_a_worker_sees_of_its_targets_is_left_for_others(tmp_path: Path) -> None:
    """A standby takes over from a main place that is down, and both show."""

    async def play() -> None:
        async with open_scripted([PUBLISHED]) as standby:
            settings = make_settings(tmp_path)
            places = ["http://127.0.0.1:1", standby.base_url]
            apply(settings, placed(apply_pack(settings, places[0]), places))
            composition = Composition(settings=settings, allow_loopback_http=True)
            async with open_control_plane(composition) as control:
                snapshot = control.snapshot
                async with open_data_plane(composition, snapshot, instance="one") as data:
                    response = await data.handle(make_request("GET", CSV_PATH))
                    assert response.status == 200
                    connector = data.states()["r9z-open"]
                    assert [place.failures for place in connector] == [1, 0]
                    await until(
                        lambda: (
                            read_states(settings.run_directory, ["one"]) == {"one": data.states()}
                        )
                    )

    asyncio.run(play())


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - housekeeping tells nobody
            await asyncio.sleep(0.05)


def retitled(configuration: Configuration) -> Configuration:
    """Return the configuration with another title for every service."""
    services = {name: {**one, "title": "New"} for name, one in configuration.services.items()}
    return replace(configuration, services=services)


def placed(configuration: Configuration, places: list[str]) -> Configuration:
    """Return the configuration with every service at `places`."""
    services = {
        name: {**{k: v for k, v in service.items() if k != "base_url"}, "base_urls": places}
        for name, service in configuration.services.items()
    }
    return replace(configuration, services=services)


def test_a_connector_stays_open_while_only_a_service_s_facts_change(tmp_path: Path) -> None:
    """A new title costs no connection, token or breaker's memory."""

    async def play() -> None:
        async with open_scripted([PUBLISHED]) as service:
            settings = make_settings(tmp_path)
            configuration = apply_pack(settings, service.base_url)
            composition = Composition(settings=settings, allow_loopback_http=True)
            async with open_control_plane(composition) as control:
                snapshot = control.snapshot
                async with open_data_plane(composition, snapshot, instance="one") as data:
                    before = dict(data._connectors)
                    services = {
                        name: {**one, "title": "New"}
                        for name, one in configuration.services.items()
                    }
                    apply(settings, replace(configuration, services=services))
                    assert await asyncio.to_thread(control.refresh)
                    await data.adopt(control.snapshot)
                    assert data._connectors == before

    asyncio.run(play())


MARKER = "SYNTHETIC-key-hunter2"


def keyed(configuration: Configuration, secret: str) -> Configuration:
    """Return the configuration with an API key for every service."""
    key = {"kind": "api-key", "header": "X-Api-Key", "secret": secret}
    services = {
        name: {**service, "credentials": key} for name, service in configuration.services.items()
    }
    return replace(configuration, services=services)


@pytest.mark.parametrize("secret", ["file:key", "env:CONCORDAT_SECRET_KEY"])
def test_a_service_gets_the_gateway_s_key_and_nobody_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    """The key is in the request upstream, and in nothing that the gateway writes."""

    async def play() -> None:
        async with open_scripted([PUBLISHED]) as service:
            settings = make_settings(tmp_path)
            monkeypatch.setenv("CONCORDAT_SECRET_KEY", MARKER)
            settings.secrets_directory.mkdir()
            kept = settings.secrets_directory / "key"
            kept.touch(0o600)
            kept.write_text(MARKER)
            apply(settings, keyed(apply_pack(settings, service.base_url), secret))
            composition = Composition(settings=settings, allow_loopback_http=True)
            async with open_control_plane(composition) as control:
                snapshot = control.snapshot
                async with open_data_plane(composition, snapshot, instance="one") as data:
                    response = await data.handle(make_request("GET", CSV_PATH))
            assert b"x-api-key: " + MARKER.encode() in service.requests[0]
            assert response.status == 200
            kept.unlink()

    asyncio.run(play())
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 3
    assert not [path for path in written if MARKER.encode() in path.read_bytes()]


def test_the_log_keeps_its_name_over_the_turn_of_the_year(tmp_path: Path) -> None:
    """A shard that exists is continued; only a new home begins with this year's."""
    settings = make_settings(tmp_path)
    assert log_origin(settings).startswith("gw.example/audit/20")

    settings.audit_directory.mkdir()
    (settings.audit_directory / "audit-2021.db").touch()
    assert log_origin(settings) == "gw.example/audit/2021"


def test_no_work_beside_a_worker_ends_unnoticed(capsys: pytest.CaptureFixture[str]) -> None:
    """A line names it and the failure's class alone; work that was ended on purpose has none."""

    async def fails() -> None:
        raise ValueError("9990000018")

    async def play() -> None:
        async with running(asyncio.sleep(3_600)), running(fails()):
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    asyncio.run(play())
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["role"], told["failure"]) == ("task.ended", "fails", "ValueError")


@pytest.mark.parametrize(
    ("public", "listens", "more", "hosts"),
    [
        ("https://Gw.example.", "0.0.0.0:8080", None, {"gw.example"}),
        ("https://gw:8443", "[::]:80", "A.local, 10.0.0.1:9", {"gw", "a.local", "10.0.0.1:9"}),
        ("https://gw.example", "[2001:db8::1]:80", None, {"gw.example", "[2001:db8::1]"}),
        ("https://[2001:DB8:0:0::1]", "[::]:80", "[0:0::2]:9", {"[2001:db8::1]", "[::2]:9"}),
        ("http://127.0.0.1:8080", "127.0.0.2:0", None, {"localhost", "127.0.0.1", "[::1]"}),
    ],
)  # fmt: skip
def test_the_front_answers_for_the_hosts_that_callers_know(
    tmp_path: Path, public: str, listens: str, more: str | None, hosts: set[str]
) -> None:
    """The public name, those of the settings, and what the listener is called where it is."""
    settings = load_settings(
        tmp_path,
        organisation="ods:R9Z",
        public_base_url=public,
        data_listen=listens,
        data_hosts=more,
    )
    assert front_settings(settings).hosts == frozenset(hosts)
