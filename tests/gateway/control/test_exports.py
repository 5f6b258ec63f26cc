"""Tests of exports over the API, and of the record that each leaves first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx2
import orjson
import pytest
from fastapi import FastAPI
from starlette.types import Message

from gateway.audit.entry import Kind
from gateway.audit.exports.selection import Selection, pick
from gateway.audit.lifecycle.opened import open_log
from gateway.audit.privacy.scrub import empty_wal
from gateway.audit.reading.reader import find_log, snapshot
from gateway.clock import new_uuid7
from gateway.control import exports
from tests.control_listener import ORIGIN, Control
from tests.gateway.control.test_exchanges import SUBJECT, denial


def test_records_are_streamed_and_the_export_recorded(control: Control) -> None:
    """The selection's events, nothing personal; the log says who took them and for what."""
    control.written.extend(
        [denial(new_uuid7()), denial(new_uuid7(), agreement="DSA-2026-0002", client="other")]
    )
    (answer,) = control.get(
        "/api/v1/exports?format=ocsf&agreement=DSA-2026-0002&use=integrity_and_security"
    )
    (event,) = [orjson.loads(line) for line in answer.content.splitlines()]
    assert event["class_uid"] == 6003
    assert SUBJECT not in answer.text
    with snapshot(find_log(control.directory / "audit")) as db:
        (recorded,) = pick(db, Selection(kind=Kind.EXPORT), end=1_000)
    core = recorded.section("core")
    assert (core["use"], core["filters"]) == ("integrity_and_security", ["agreement"])


def test_personal_sections_are_open_only_if_asked_for(control: Control) -> None:
    """The answer's media type is that of its form."""
    control.written.append(denial(new_uuid7()))
    closed, opened = control.get(
        "/api/v1/exports?format=fhir", "/api/v1/exports?format=csv&personal=true"
    )
    assert closed.headers["content-type"] == "application/fhir+ndjson"
    assert SUBJECT not in closed.text
    assert opened.headers["content-type"].startswith("text/csv")
    assert SUBJECT in opened.text


def test_times_beyond_the_log_s_find_the_same(control: Control) -> None:
    """A year that no record can have is no failure."""
    control.written.append(denial(new_uuid7()))
    (answer,) = control.get(
        "/api/v1/exports?format=ocsf&kind=decision.deny"
        "&from=1066-10-14T00:00:00Z&until=9999-12-31T00:00:00Z"
    )
    assert answer.status_code == 200
    assert len(answer.content.splitlines()) == 1


class Stalled:
    """A caller who takes nothing of an answer's body, until it goes."""

    def __init__(self) -> None:
        """Nothing was sent yet."""
        self.begun = asyncio.Event()
        self.gone = asyncio.Event()
        self._asked = False

    async def receive(self) -> Message:
        """Return the request, and later that the caller has gone."""
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take the head, and no body."""
        if message["type"] == "http.response.body":
            self.begun.set()
            await asyncio.Event().wait()


def stalled_in(app: FastAPI, secret: str, caller: Stalled) -> asyncio.Task[None]:
    """Begin an export that its caller stalls."""
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": "GET", "scheme": "http", "path": "/api/v1/exports", "root_path": "",
        "raw_path": b"/api/v1/exports", "query_string": b"format=ocsf", "client": None,
        "headers": [(b"authorization", f"Bearer {secret}".encode())], "server": ("control", 80),
    }  # fmt: skip
    return asyncio.create_task(app(scope, caller.receive, caller.send))


async def with_app(control: Control, use: Callable[[FastAPI], Awaitable[None]]) -> None:
    """Use the application with its log."""
    audit = control.directory / "audit"
    log = open_log(audit, origin=ORIGIN, instance="test", keys=control.keys)
    await log.start()
    try:
        await use(control.app(log))
    finally:
        await log.stop()


def test_stalled_exports_are_few_and_hold_nothing_of_the_log(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is emptied under them (F5); one more is refused, and let in once one has gone."""
    monkeypatch.setattr(exports, "EXPORTS_MAX", 2)
    monkeypatch.setattr(exports, "PIECE_BYTES", 1)

    async def use(app: FastAPI) -> None:
        callers = [Stalled(), Stalled()]
        tasks = [stalled_in(app, control.secret, caller) for caller in callers]
        for caller in callers:
            await asyncio.wait_for(caller.begun.wait(), 30)
        assert await asyncio.to_thread(empty_wal, find_log(control.directory / "audit"))
        transport = httpx2.ASGITransport(app=app)
        headers = {"authorization": f"Bearer {control.secret}"}
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://control", headers=headers
        ) as client:
            refused = await client.get("/api/v1/exports?format=csv")
            assert (refused.status_code, "2 exports" in refused.text) == (503, True)
            callers[0].gone.set()
            await asyncio.wait_for(tasks[0], 30)
            assert (await client.get("/api/v1/exports?format=csv")).status_code == 200
        callers[1].gone.set()
        await asyncio.wait_for(tasks[1], 30)

    asyncio.run(with_app(control, use))


def test_an_export_that_is_not_taken_breaks_off(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody keeps the others from exporting by taking nothing."""
    monkeypatch.setattr(exports, "PIECE_S_MAX", 0.01)

    async def use(app: FastAPI) -> None:
        caller = Stalled()
        await asyncio.wait_for(stalled_in(app, control.secret, caller), 30)
        assert caller.begun.is_set()

    asyncio.run(with_app(control, use))


def test_what_cannot_be_exported_is_a_problem(control: Control) -> None:
    """Without a checkpoint nothing can be proved; strangers and unknown forms are refused."""
    unproved, unknown = control.get(
        "/api/v1/exports?format=ndjson", "/api/v1/exports?format=parquet"
    )
    (stranger,) = control.get("/api/v1/exports", secret=None)
    assert (unproved.status_code, unknown.status_code, stranger.status_code) == (503, 400, 401)
