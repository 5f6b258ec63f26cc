"""The data plane of one process: it is opened whole, and its Snapshot is swapped whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

from connectors.scripted import open_scripted
from gateway.app import open_control_plane
from gateway.data_plane import Composition, log_origin, open_data_plane
from tests.homes import apply_pack, make_settings
from tests.world import CSV_PATH, make_request, text_answer

PUBLISHED = text_answer(b"month,admissions\n2026-08,145\n", "text/csv")


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


def test_the_log_keeps_its_name_over_the_turn_of_the_year(tmp_path: Path) -> None:
    """A shard that exists is continued; only a new home begins with this year's."""
    settings = make_settings(tmp_path)
    assert log_origin(settings).startswith("gw.example/audit/20")

    settings.audit_directory.mkdir()
    (settings.audit_directory / "audit-2021.db").touch()
    assert log_origin(settings) == "gw.example/audit/2021"
