"""The data plane of one process: it is opened whole, and its Snapshot is swapped whole."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.discovery import UnknownKind
from connectors.scripted import open_scripted
from gateway.app import open_control_plane
from gateway.data_plane import Composition, log_origin, open_data_plane
from tests.homes import apply_pack, make_settings
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
                        name: replace(service, base_url="http://127.0.0.1:9")
                        for name, service in good.services.items()
                    }
                    last = list(services)[-1]
                    services[last] = replace(services[last], kind="carrier-pigeon")
                    with pytest.raises(UnknownKind):
                        await data.adopt(replace(good, revision=2, services=services))
                    assert (await data.handle(make_request("GET", CSV_PATH))).body == OLD

    asyncio.run(play())


def test_the_log_keeps_its_name_over_the_turn_of_the_year(tmp_path: Path) -> None:
    """A shard that exists is continued; only a new home begins with this year's."""
    settings = make_settings(tmp_path)
    assert log_origin(settings).startswith("gw.example/audit/20")

    settings.audit_directory.mkdir()
    (settings.audit_directory / "audit-2021.db").touch()
    assert log_origin(settings) == "gw.example/audit/2021"
