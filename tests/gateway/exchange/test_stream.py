"""Long answers: released while they come, and never whole before they are on record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Call, CallFailed, Failure
from connectors.scripted import Act, Script
from connectors.wire import PoolLimits
from gateway.audit.entry import Kind
from gateway.exchange import records, watch
from gateway.exchange.conclude import conclude
from gateway.exchange.deliver import deliver
from gateway.exchange.facts import Ending, Exchange
from gateway.exchange.messages import AnswerCut, Response
from gateway.exchange.pipeline import release_long
from gateway.exchange.stream import (
    HELD_BYTES_MAX,
    LONG_PER_CALLER_MAX,
    LONG_PUBLIC_MAX,
    STOPPING,
    LongAnswer,
    LongAnswers,
    long_response,
    read_start,
)
from gateway.exchange.watch import Watch
from policies.decision import Duties
from tests.world import NORTHVALE, Caller, World, ask, document_of, field_of, freeze, open_world

PIECE = b"x" * 65536
PIECES = HELD_BYTES_MAX // len(PIECE) + 16
CONNECTOR = "dwp-eligibility"


def chunk(data: bytes) -> bytes:
    """Return one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\n\r\n"
LONG: Script = (HEAD, *(chunk(PIECE),) * PIECES, b"0\r\n\r\n")
CUT_SHORT: Script = (HEAD, *(chunk(PIECE),) * PIECES, Act.CLOSE)
STALLED: Script = (HEAD, *(chunk(PIECE),) * PIECES, Act.STALL)


async def begin(
    world: World, duties: Duties | None = None, caller: Caller | None = None
) -> Response:
    """Record an intent, call the service, and return the response that streams its answer."""
    exchange: Exchange = (await ask(world)).exchange
    decision = replace(exchange.decision, duties=duties or Duties())
    request = replace(exchange.request, presence=caller or Caller())
    exchange = replace(exchange, decision=decision, request=request)
    intent = await world.log.append(records.intent(exchange, instance="test"))
    long = await deliver(exchange, world.ports.connectors[CONNECTOR], world.ports.duty_processes)
    assert isinstance(long, LongAnswer)
    over = Watch(exchange, intent, log=world.log, instance="test", stop_list=world.ports.stop_list)

    async def finish(ending: Ending) -> Ending:
        return await conclude(exchange, ending, intent, world.log, instance="test")

    return long_response(long, over, request.presence, finish)


def body_of(response: Response) -> AsyncIterator[bytes]:
    """Return the pieces of a response."""
    assert not isinstance(response.body, bytes)
    return response.body


async def taken(response: Response) -> tuple[bytes, bool]:
    """Take the body as the front does; returns what came, and whether its end did."""
    came = b""
    try:
        async for piece in body_of(response):
            came += piece
    except AnswerCut:
        return came, False
    return came, True


def play(tmp_path: Path, script: Script, use: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    """Use a world whose service plays `script`."""

    async def run() -> None:
        async with open_world(tmp_path, [script]) as world:
            await use(world)

    asyncio.run(run())


def kinds(record: dict[str, Any]) -> list[Kind]:
    """Return the kinds of an exchange's records."""
    return [entry["kind"] for entry in record["entries"]]


def test_an_answer_that_is_short_is_read_whole(tmp_path: Path) -> None:
    """Up to 1 MiB nothing is released before the outcome."""

    async def use(world: World) -> None:
        exchange = (await ask(world)).exchange
        exchange = replace(exchange, decision=replace(exchange.decision, duties=Duties()))
        connector = world.ports.connectors[CONNECTOR]
        ending = await deliver(exchange, connector, world.ports.duty_processes)
        assert not isinstance(ending, LongAnswer)
        assert ending.body == PIECE

    play(tmp_path, (HEAD, chunk(PIECE), b"0\r\n\r\n"), use)


def test_a_long_answer_ends_on_record(tmp_path: Path) -> None:
    """I2: the last piece comes when the outcome is durable, with the digest of the whole."""

    async def use(world: World) -> None:
        response = await begin(world)
        seen = 0
        async for piece in body_of(response):
            seen += len(piece)
            if seen < len(PIECE) * PIECES:
                assert kinds(world.recorded(response)) == [Kind.INTENT]
        record = world.recorded(response)
        assert kinds(record) == [Kind.INTENT, Kind.OUTCOME]
        assert record["bytes"] == seen == len(PIECE) * PIECES
        assert "cut" not in record
        assert record["sections"]["payload"]["response_digest"].startswith("sha-256=:")

    play(tmp_path, LONG, use)


@pytest.mark.parametrize(
    ("script", "cause"), [(CUT_SHORT, "service-malformed")], ids=["U-04-short-body"]
)
def test_a_service_that_breaks_off_is_seen_to(tmp_path: Path, script: Script, cause: str) -> None:
    """The consumer gets no end, and the record says why and how much there was."""

    async def use(world: World) -> None:
        response = await begin(world)
        came, whole = await taken(response)
        assert not whole
        record = world.recorded(response)
        assert (record["cut"], record["reason"]) == (cause, "CONNECTOR_UNAVAILABLE")
        assert record["bytes"] >= len(came)
        assert "response_digest" not in record["sections"].get("payload", {})

    play(tmp_path, script, use)


def test_progress_is_on_record_before_the_next_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What passed without a record is bounded by one window."""
    monkeypatch.setattr(watch, "WINDOW_BYTES", HELD_BYTES_MAX)

    async def use(world: World) -> None:
        response = await begin(world)
        _, whole = await taken(response)
        assert whole
        found = kinds(world.recorded(response))
        assert found[0] == Kind.INTENT
        assert found[-1] == Kind.OUTCOME
        assert set(found[1:-1]) == {Kind.PROGRESS}

    play(tmp_path, LONG, use)


@pytest.mark.parametrize(
    ("stop", "cause"),
    [
        (("agreement", "DSA-2026-0003"), "agreement-not-active"),
        (("service", CONNECTOR), "connector-unavailable"),
        (None, "stop-list-stale"),
    ],
)
def test_what_is_stopped_meanwhile_cuts_the_answer(
    tmp_path: Path, stop: tuple[str, str] | None, cause: str
) -> None:
    """A suspension does not wait for the end of a long answer, nor does a stop-list that is old."""

    async def use(world: World) -> None:
        response = await begin(world)
        body = body_of(response)
        await anext(body)
        if stop is None:
            world.stop_list_age_s = 60.0
        else:
            world.stops.add(stop)
        _, whole = await taken(response)
        assert not whole
        assert world.recorded(response)["cut"] == cause

    play(tmp_path, LONG, use)


def test_a_log_that_fails_cuts_the_answer(tmp_path: Path) -> None:
    """F17: no consumer has a complete answer whose outcome is not durable (I2)."""

    async def use(world: World) -> None:
        response = await begin(world)
        await anext(body_of(response))
        freeze(world)
        _, whole = await taken(response)
        assert not whole

    play(tmp_path, LONG, use)


@pytest.mark.parametrize("begun", [True, False])
def test_a_caller_who_goes_leaves_an_outcome(tmp_path: Path, begun: bool) -> None:
    """F16, N-05: the front closes the body of a caller who has gone, asked for or not (I2)."""

    async def use(world: World) -> None:
        caller = Caller()
        response = await begin(world, caller=caller)
        body = body_of(response)
        if begun:
            await anext(body)
        caller.leave()
        await body.aclose()  # type: ignore[attr-defined]  # a body of a stream has it
        record = world.recorded(response)
        assert (record["cut"], kinds(record)[-1]) == ("client-gone", Kind.OUTCOME)

    play(tmp_path, LONG, use)


def test_a_caller_who_goes_while_the_service_is_slow_ends_the_call(tmp_path: Path) -> None:
    """F16, N-05: nobody waits for the service's next piece on behalf of nobody."""

    async def use(world: World) -> None:
        caller = Caller()
        response = await begin(world, caller=caller)
        taking = asyncio.ensure_future(taken(response))
        while caller.callback is None:  # noqa: ASYNC110 - until it waits for the service
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.leave()
        _, whole = await taking
        assert not whole
        assert world.recorded(response)["cut"] == "client-gone"

    play(tmp_path, STALLED, use)


def test_the_gateway_s_own_end_is_on_record(tmp_path: Path) -> None:
    """A worker that must stop cuts what has not ended, and says so."""

    async def use(world: World) -> None:
        caller = Caller()
        response = await begin(world, caller=caller)
        taking = asyncio.ensure_future(taken(response))
        while caller.callback is None:  # noqa: ASYNC110 - until it waits for the service
            await asyncio.sleep(0)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        assert world.recorded(response)["cut"] == STOPPING

    play(tmp_path, STALLED, use)


def test_rows_are_filtered_while_they_come(tmp_path: Path) -> None:
    """Duties on single rows stream; a row that cannot be read cuts the answer before it."""
    duties = Duties(allowed=frozenset({"area"}), declared=frozenset({"area", "phone"}))
    rows = b"area,phone\r\n" + b"N,%b\r\n" % (b"0" * 1000) * (HELD_BYTES_MAX // 900)

    async def use(world: World) -> None:
        response = await begin(world, duties)
        came, whole = await taken(response)
        assert not whole
        record = world.recorded(response)
        assert (record["cut"], record["reason"]) == ("duty-not-applicable", "DUTY_NOT_APPLICABLE")
        assert came.startswith(b"area\r\nN\r\nN")
        assert b"0" not in came
        assert record["fields_withheld"] == ["phone"]

    more = chunk(b"N,1\r\n" * 200_000)
    broken = chunk(b'N,"1"2\r\n')
    play(tmp_path, (HEAD, chunk(rows), more, broken, more, b"0\r\n\r\n"), use)


def test_a_beginning_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    """The first 1 MiB has the deadline of an answer that is held whole."""

    async def use(world: World) -> None:
        connector = world.ports.connectors[CONNECTOR]
        reply = await connector.call(Call(method="GET", target=b"/"))
        with pytest.raises(CallFailed) as failed:
            await read_start(reply, seconds=0.05)
        assert failed.value.failure is Failure.TIMED_OUT
        await reply.release()

    play(tmp_path, (HEAD, chunk(PIECE), Act.STALL), use)


def test_nobody_takes_a_service_from_the_others() -> None:
    """Long answers of one caller, and those of all strangers, leave connections for the rest."""
    under_way = LongAnswers()
    mine = [under_way.begin("a", "me", public=False) for _ in range(LONG_PER_CALLER_MAX + 1)]
    assert mine == [True] * LONG_PER_CALLER_MAX + [False]
    assert under_way.begin("b", "me", public=False)
    under_way.end("a", "me", public=False)
    assert under_way.begin("a", "me", public=False)

    strangers = [under_way.begin("a", f"192.0.2.{n}", public=True) for n in range(100)]
    assert strangers.count(True) == LONG_PUBLIC_MAX
    assert under_way.begin("a", "you", public=False)
    assert PoolLimits().connections_max > LONG_PUBLIC_MAX + LONG_PER_CALLER_MAX


def test_a_long_answer_too_many_is_given_up_on_record(tmp_path: Path) -> None:
    """429 says when to come again, the outcome says why, and an answer that ends makes room."""

    async def use(world: World) -> None:
        long_answers = world.ports.long_answers
        client = f"{NORTHVALE} northvale-warm-homes"
        for _ in range(LONG_PER_CALLER_MAX - 1):
            assert long_answers.begin(CONNECTOR, client, public=False)
        first, second = await released(world), await released(world)
        assert second.status == 429
        assert document_of(second)["reason_code"] == "RATE_LIMITED"
        assert int(field_of(second, "retry-after")) > 0
        record = world.recorded(second)
        assert kinds(record) == [Kind.INTENT, Kind.OUTCOME]
        assert record["problem"] == "rate-limited"
        _, whole = await taken(first)
        assert whole
        assert (await released(world)).status == 200

    async def run() -> None:
        async with open_world(tmp_path, [LONG] * 3) as world:
            await use(world)

    asyncio.run(run())


async def released(world: World) -> Response:
    """Make a call whose answer is long, and release it as the exchange does."""
    exchange: Exchange = (await ask(world)).exchange
    exchange = replace(exchange, decision=replace(exchange.decision, duties=Duties()))
    intent = await world.log.append(records.intent(exchange, instance="test"))
    long = await deliver(exchange, world.ports.connectors[CONNECTOR], world.ports.duty_processes)
    assert isinstance(long, LongAnswer)
    return await release_long(exchange, long, intent, world.ports)
