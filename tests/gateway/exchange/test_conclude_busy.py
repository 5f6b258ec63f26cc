"""A log that is busy for longer than a call waits: what was refused did not take place."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.audit import log as log_module
from gateway.audit.disk.locks import FileLock
from gateway.audit.reading.reader import find_log
from gateway.audit.search.query import show
from gateway.audit.sqlite import LOCK_NAME
from gateway.exchange.conclude import claims_of, conclude, reserved_by
from gateway.exchange.facts import Ending, Exchange, Flow
from gateway.exchange.records import intent
from policies.decision import ReasonCode
from tests.world import ELIGIBLE, World, ask, json_answer, open_world

ONE_MATCH = json_answer({"records": [ELIGIBLE]})


@pytest.fixture(autouse=True)
def _watched_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "WATCH_INTERVAL_S", 0.02)


@contextmanager
def hung_neighbour(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hold the log's lock, as a worker that hangs does; calls wait for it but a moment."""
    lock = FileLock(world.home / "audit" / LOCK_NAME)
    with monkeypatch.context() as patched, lock:
        patched.setattr(log_module, "APPEND_DEADLINE_S", 0.05)
        yield
    lock.close()


def test_a_call_that_was_refused_for_a_busy_log_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 says that it did not take place: its key is free, and the service hears it once."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH]) as world:

            async def call() -> int:
                request = world.match_request()
                key = (b"idempotency-key", b'"once"')
                request = replace(request, headers=(*request.headers, key))
                return (await world.send(request)).status

            with hung_neighbour(world, monkeypatch):
                assert await call() == 503
            assert await call() == 200
            assert len(world.service.requests) == 1

    asyncio.run(play())


async def conclude_late(world: World, ending: Ending, patch: pytest.MonkeyPatch) -> Exchange:
    """Begin an exchange with a form for one use, and end it while the log is busy."""
    exchange = (await ask(world)).exchange
    duties = replace(exchange.decision.duties, subjects_per_day=1, single_use="LER-2026-0001")
    exchange = replace(exchange, decision=replace(exchange.decision, duties=duties))
    record = intent(exchange, instance="test")
    counters, claims = reserved_by(exchange, world.log), claims_of(exchange)
    position = await world.log.append(record, claims=claims, counters=counters)
    with hung_neighbour(world, patch):
        concluded = await conclude(exchange, ending, position, world.log, instance="test")
        assert (concluded.status, concluded.problem) == (503, "audit-unavailable")
    # Whatever comes later is stored after what was left.
    await world.log.append(intent((await ask(world)).exchange, instance="test"))
    return exchange


def outcome_of(world: World, exchange: Exchange) -> dict[str, object]:
    """Return what is on record of an exchange."""
    view = show(find_log(world.home / "audit"), exchange.id)
    assert view is not None
    return dict(view)


def test_an_unsent_call_gives_everything_back_though_its_outcome_came_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form may be used and the person counted by the next call; the outcome says why."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            for _ in range(2):
                unsent = Ending(status=502, sent=False)
                exchange = await conclude_late(world, unsent, monkeypatch)
                record = outcome_of(world, exchange)
                assert (record["status"], record["problem"]) == (503, "audit-unavailable")

    asyncio.run(play())


def test_an_answer_that_was_not_released_is_not_on_record_as_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer got 503, and so says the outcome; what had streamed before it is counted."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            whole = Ending(status=200, body=b"{}", service_status=200, subjects_counted=1)
            record = outcome_of(world, await conclude_late(world, whole, monkeypatch))
            assert (record["status"], record["subjects"]) == (503, 0)

        async with open_world(tmp_path / "other") as world:
            flow = Flow(answer_bytes=9, answer_digest="sha-256:x")
            long = Ending(status=200, records=3, flow=flow)
            record = outcome_of(world, await conclude_late(world, long, monkeypatch))
            assert (record["status"], record["records"]) == (200, 3)
            assert (record["reason"], record["cut"]) == (
                ReasonCode.AUDIT_UNAVAILABLE,
                "audit-unavailable",
            )

    asyncio.run(play())
