"""The limit of what strangers read of the log at once, over all routes together."""

from __future__ import annotations

import asyncio
from threading import Event

import httpx2
import pytest
from fastapi import FastAPI

from gateway.audit.lifecycle.opened import open_log
from gateway.audit.search.access import LogReader
from gateway.control import public_log
from gateway.control.proofs import proofs_router
from gateway.control.public_log import PublicLog
from gateway.control.published import published_router
from gateway.errors import AuditUnavailable, NotFound
from tests.control_listener import ORIGIN, Control

PATHS = ("", "/2026/tile/0/000.p/1", "/receipt-keys", "/receipt-keys/announced")


def test_no_public_route_reads_out_of_turn(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the turns are taken, shards, tiles, keys and their proof wait: threads are few."""
    monkeypatch.setattr(public_log, "READINGS_AT_ONCE", 2)

    async def play() -> None:
        reader = LogReader(directory=control.directory / "audit", keys=control.keys)
        log = open_log(reader.directory, origin=ORIGIN, instance="test", keys=control.keys)
        await log.start()
        public, ended, app = PublicLog(reader.directory), Event(), FastAPI()
        app.include_router(proofs_router(reader, log, control.registry, public))
        app.include_router(published_router(public, log, control.registry))
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        try:
            long = [asyncio.create_task(public.read(ended.wait)) for _ in range(2)]
            async with httpx2.AsyncClient(transport=transport, base_url="http://control") as client:
                asked = [asyncio.create_task(client.get(f"/audit/v1{path}")) for path in PATHS]
                _, waiting = await asyncio.wait(asked, timeout=0.5)
                assert len(waiting) == len(PATHS)
                ended.set()
                await asyncio.wait_for(asyncio.gather(*asked, *long), 60)
        finally:
            ended.set()
            await log.stop()

    asyncio.run(play())


def test_a_shard_is_found_by_its_name(control: Control) -> None:
    """Or it is the newest one; a name that none has is not found, and no log is unavailable."""
    public = PublicLog(control.directory / "audit")
    with pytest.raises(AuditUnavailable):
        asyncio.run(public.read(lambda: public.place(None)))
    (listed,) = control.get("/audit/v1")
    assert [one["origin"] for one in listed.json()["shards"]] == [ORIGIN]
    public = PublicLog(control.directory / "audit")
    assert public.place(None) == public.place("2026")
    with pytest.raises(NotFound):
        public.place("1999")
