"""The published log over HTTP: who gets what, and what caches may keep."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from email.utils import parsedate_to_datetime

import httpx2
import pytest

from gateway.audit.entry import Kind
from gateway.audit.note import open_checkpoint
from gateway.audit.place import PostgresHome
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.reading.reader import find_log
from gateway.audit.search.access import LogReader
from gateway.audit.search.query import Filters, find
from gateway.clock import new_uuid7, system_time_us
from gateway.control.app import create_control
from gateway.control.health import Readiness
from tests.control_listener import ORIGIN, Control, UnavailableLog
from tests.gateway.control.test_exchanges import denial

BASE = "/audit/v1/2026"


def publish(control: Control, records: int) -> None:
    """Have the log hold so many records besides its first, and publish their head."""
    control.written.extend(denial(new_uuid7()) for _ in range(records))
    control.get("/livez")
    growing = Integrator(control.directory / "audit", origin=ORIGIN, keys=control.keys)
    growing.step()
    growing.close()


def test_strangers_get_the_checkpoint_and_the_hashes(control: Control) -> None:
    """Checkpoint and tiles need no credentials, and say how long they may be kept."""
    publish(control, 299)
    checkpoint, full, partial, level1 = control.get(
        f"{BASE}/checkpoint", f"{BASE}/tile/0/000", f"{BASE}/tile/0/001.p/44",
        f"{BASE}/tile/1/000.p/1", secret=None,
    )  # fmt: skip
    head = open_checkpoint(checkpoint.text, control.keys.signer(ORIGIN).verifier)

    assert head.size == 300
    assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
    assert checkpoint.headers["cache-control"] == "no-cache"
    published = parsedate_to_datetime(checkpoint.headers["last-modified"])
    assert abs(published.timestamp() - system_time_us() / 1_000_000) < 600
    assert (len(full.content), len(partial.content), len(level1.content)) == (8192, 1408, 32)
    assert full.headers["content-type"] == "application/octet-stream"
    assert "immutable" in full.headers["cache-control"]
    assert partial.headers["cache-control"] == "public, max-age=60"
    assert level1.content != hashlib.sha256(full.content).digest()


@pytest.mark.parametrize(
    "path",
    [
        f"{BASE}/tile/0/001.p/45", f"{BASE}/tile/0/001", f"{BASE}/tile/0/0", f"{BASE}/tile/9/000",
        f"{BASE}/tile/00/000", f"{BASE}/tile/0/000.p/256", f"{BASE}/tile/x/000",
        f"{BASE}/tile/0/%2e%2e/000", "/audit/v1/2025/checkpoint", "/audit/v1/2025/tile/0/000",
    ],
)  # fmt: skip
def test_what_is_not_published_is_not_there(control: Control, path: str) -> None:
    """Tiles beyond the checkpoint, other spellings of a path and other shards are 404."""
    publish(control, 299)
    (answer,) = control.get(path, secret=None)
    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/not-found"


def test_entries_are_for_auditors_and_their_reading_is_recorded_once(control: Control) -> None:
    """Without credentials 401; a mirror's bundles leave one record, not one each."""
    publish(control, 3)
    path = f"{BASE}/tile/entries/000.p/4"
    (stranger,) = control.get(path, secret=None)
    first, second = control.get(path, path)
    page = find(find_log(control.directory / "audit"), Filters(kind=Kind.ACCESS), keys=control.keys)

    assert stranger.status_code == 401
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert first.headers["cache-control"].startswith("private")
    assert [(one["verb"], one["shard"]) for one in page.items] == [("mirror", "2026")]


def test_entries_stay_closed_where_the_reading_cannot_be_recorded(control: Control) -> None:
    """No record, no entries."""
    publish(control, 3)
    control.log_fails = True
    (answer,) = control.get(f"{BASE}/tile/entries/000.p/4")
    assert answer.status_code == 503


def test_the_shards_are_listed_with_their_keys(control: Control) -> None:
    """Whoever knows the gateway's address finds every shard, its key and where it is."""
    publish(control, 1)
    (answer,) = control.get("/audit/v1", secret=None)
    assert answer.json() == {
        "shards": [
            {
                "origin": ORIGIN,
                "vkey": control.keys.signer(ORIGIN).verifier.vkey(),
                "monitoring_url": BASE,
                "size": 2,
            }
        ]
    }


def test_a_database_that_does_not_answer_keeps_nobody_else_waiting(control: Control) -> None:
    """F9: however many strangers ask meanwhile, the rest of the control listener goes on."""

    async def play(silent: socket.socket) -> tuple[int, int, set[int]]:
        url = f"postgresql://gateway@127.0.0.1:{silent.getsockname()[1]}/audit"
        home = PostgresHome(url, control.directory / "audit")
        app = create_control(
            registry=control.registry,
            reader=LogReader(directory=home, keys=control.keys),
            log=UnavailableLog(),
            readiness=lambda: Readiness(reasons=()),
            metrics=control.metrics,
        )
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://control") as client:
            asked = [f"{BASE}/tile/0/000", f"{BASE}/checkpoint", "/audit/v1"] * 20
            waiting = [asyncio.ensure_future(client.get(path)) for path in asked]
            ready = await client.get("/readyz")
            answered = sum(one.done() for one in waiting)
            silent.close()
            return (
                ready.status_code,
                answered,
                {one.status_code for one in await asyncio.gather(*waiting)},
            )

    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        assert asyncio.run(play(silent)) == (200, 0, {503})
