"""The composition root: what is opened works together, and is closed again."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx2
import pytest

from connectors.scripted import open_scripted
from gateway.app import create_app, open_control_plane, tell_of_end
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.publishing.proofs import find_announcement
from gateway.audit.reading.reader import find_log, verify_log
from gateway.control.health import Readiness, Troubles
from gateway.data_plane import Composition, open_data_plane, running
from gateway.database import open_engine
from gateway.refresh import SnapshotRefused
from gateway.registry.store import Registry
from tests.homes import apply_pack, make_settings
from tests.world import CSV_PATH, make_request, text_answer

PUBLISHED = text_answer(b"month,admissions\n2026-08,145\n", "text/csv")


def test_control_and_data_plane_carry_an_exchange_and_a_signed_head(tmp_path: Path) -> None:
    """A worker's exchange is integrated by the control process into a log that verifies."""

    async def play() -> None:
        async with open_scripted([PUBLISHED]) as service:
            settings = make_settings(tmp_path)
            apply_pack(settings, service.base_url)
            composition = Composition(settings=settings, allow_loopback_http=True)
            async with open_control_plane(composition) as control:
                snapshot = control.snapshot
                async with open_data_plane(composition, snapshot, instance="one") as data:
                    response = await data.handle(make_request("GET", CSV_PATH))
                    assert response.status == 200
        report = verify_log(find_log(settings.audit_directory))

        assert report.ok
        assert report.size == 3  # the opening, the intent, the outcome
        assert report.checkpoints >= 1

    asyncio.run(play())


@pytest.mark.parametrize(("part", "ready"), [("sweeper", False), ("follower", True)])
def test_background_work_that_ends_by_itself_is_told(
    capsys: pytest.CaptureFixture[str], part: str, *, ready: bool
) -> None:
    """By its part and the failure's class alone; work that was ended on purpose is not."""

    async def fails() -> None:
        raise ValueError("9990000018")

    async def play() -> Readiness:
        troubles = Troubles()
        async with (
            running(asyncio.sleep(3_600), partial(tell_of_end, "other", troubles)),
            running(fails(), partial(tell_of_end, part, troubles)),
        ):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return troubles.readiness()

    found = asyncio.run(play())
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["role"], told["failure"]) == ("task.ended", part, "ValueError")
    assert found.ready is ready
    assert [*found.reasons, *found.warnings] == [
        f"The {part} has ended unexpectedly: start the gateway anew."
    ]


def test_a_log_that_has_another_receipt_key_announces_it_once(tmp_path: Path) -> None:
    """The control process has the log tell its new receipt key, at the first start with it."""

    async def play() -> None:
        settings = make_settings(tmp_path)
        apply_pack(settings, "http://127.0.0.1:9")
        composition = Composition(settings=settings, allow_loopback_http=True)
        announced = []
        for _ in range(3):
            async with open_control_plane(composition):
                signer = LogKeys(settings.keys_directory).receipt_signer("any")
                place = find_log(settings.audit_directory)
                announced.append(find_announcement(place, signer.public_text))
            if len(announced) == 1:
                (settings.keys_directory / "log-receipt.key").unlink()

        assert announced == [0, 1, 1]
        assert verify_log(find_log(settings.audit_directory)).size == 2

    asyncio.run(play())


def test_a_configuration_that_cannot_be_enforced_changes_nothing(tmp_path: Path) -> None:
    """The last good Snapshot stays, and readiness says why the newest is not in force."""

    async def play() -> None:
        settings = make_settings(tmp_path)
        configuration = apply_pack(settings, "http://127.0.0.1:9")
        composition = Composition(settings=settings, allow_loopback_http=True)
        async with open_control_plane(composition) as control:
            before = control.snapshot
            broken = replace(configuration, services={})
            engine = open_engine(settings.database_url)
            Registry(engine).apply(broken, by="tests")
            engine.dispose()

            assert not await asyncio.to_thread(control.refresh)
            assert control.snapshot is before
            assert control.keeper.refused is not None

    asyncio.run(play())


def test_an_empty_registry_serves_nobody(tmp_path: Path) -> None:
    """A new gateway starts before anything is applied, and knows no path."""

    async def play() -> None:
        composition = Composition(settings=make_settings(tmp_path))
        async with open_control_plane(composition) as control:
            snapshot = control.snapshot
            async with open_data_plane(composition, snapshot, instance="one") as data:
                assert (await data.handle(make_request("GET", CSV_PATH))).status == 404

    asyncio.run(play())


def test_what_cannot_be_enforced_does_not_start(tmp_path: Path) -> None:
    """At the start there is no last good Snapshot: every fault is told instead."""
    settings = make_settings(tmp_path)
    configuration = apply_pack(settings, "http://127.0.0.1:9")
    engine = open_engine(settings.database_url)
    Registry(engine).apply(replace(configuration, services={}), by="tests")
    engine.dispose()

    async def play() -> None:
        async with open_control_plane(Composition(settings=settings)):
            raise AssertionError

    with pytest.raises(SnapshotRefused, match="connector"):
        asyncio.run(play())


def test_one_application_serves_both_planes(tmp_path: Path) -> None:
    """On one port, health and exchanges are answered, and the exchange is on record."""

    async def play() -> None:
        async with open_scripted([PUBLISHED]) as service:
            settings = make_settings(tmp_path)
            apply_pack(settings, service.base_url)
            app = create_app(Composition(settings=settings, allow_loopback_http=True))
            async with app.router.lifespan_context(app):
                transport = httpx2.ASGITransport(app=app)
                async with httpx2.AsyncClient(
                    transport=transport, base_url="http://gw.example"
                ) as client:
                    health = await client.get("/livez")
                    exchanged = await client.get(CSV_PATH)
                    refused = await client.get("/open/v1/%2e%2e/secret")

            assert (health.status_code, exchanged.status_code, refused.status_code) == (
                200,
                200,
                400,
            )
            assert exchanged.headers["exchange-id"]

    asyncio.run(play())
