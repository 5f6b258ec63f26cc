"""Calling a service: what goes to it, and what of its answer may come back."""

from __future__ import annotations

import asyncio
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.base import Call, CallFailed, Failure, Health, Reply
from connectors.guard import GuardedConnector
from connectors.scripted import Act, Script
from gateway.audit.store import Position
from gateway.errors import ProblemCode
from gateway.exchange.answers import RETRY_LATER
from gateway.exchange.asked import request_subjects
from gateway.exchange.deliver import claim_of, deliver, exchange_headers, released, upstream_call
from gateway.exchange.duties import duty_processes
from gateway.exchange.duties.duty_processes import (
    IN_THREAD_BYTES_MAX,
    ON_LOOP_BYTES_MAX,
    DutyProcesses,
)
from gateway.exchange.duties.duty_turns import Claim
from gateway.exchange.duties.named_people import name_people
from gateway.exchange.facts import Exchange
from gateway.exchange.handling import HANDLINGS, AnswerHead, read_head
from gateway.exchange.messages import Headers
from gateway.exchange.records import outcome
from gateway.exchange.watch import Cut
from gateway.problems import PROBLEMS
from policies.decision import BreakGlassUse, Duties, ReasonCode
from tests.world import NORTHVALE, World, ask, json_answer, open_world, text_answer, without_duties

RESET = b"HTTP/1.1 205 Reset\r\ncontent-type: application/json\r\n"


def head_for(exchange: Exchange, fields: Headers) -> AnswerHead:
    """Read the head of an answer to the exchange."""
    return read_head(fields, HANDLINGS.of(exchange.decision.duties))


class Failing:
    """A connector whose calls end in one way."""

    def __init__(self, error: Exception) -> None:
        """Raise `error` at each call."""
        self.error = error

    async def call(self, call: Call) -> Reply:
        """Fail."""
        raise self.error

    async def probe(self) -> Health:
        """Be healthy."""
        return Health(healthy=True, detail="")


@pytest.mark.parametrize(
    ("error", "status", "code", "sent"),
    [
        (CallFailed(Failure.UNREACHABLE, "x", sent=False), 502, "service-unreachable", False),
        (CallFailed(Failure.REFUSED, "x", sent=True), 502, "service-unreachable", True),
        (CallFailed(Failure.TIMED_OUT, "x", sent=True), 504, "service-timeout", True),
        (CallFailed(Failure.MALFORMED, "x", sent=True), 502, "service-malformed", True),
        (CallFailed(Failure.OVERLOADED, "x", sent=False), 503, "service-overloaded", False),
        (KeyError("a fault of ours"), 500, "internal-error", True),
        (Cut(ProblemCode.STOP_LIST_STALE), 503, "stop-list-stale", True),
    ],
)
def test_every_failure_ends_the_exchange_in_order(
    tmp_path: Path, error: Exception, status: int, code: str, sent: bool
) -> None:
    """Whatever goes wrong after the intent, there is an ending to record."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            ending = await deliver((await ask(world)).exchange, Failing(error), DutyProcesses())

            assert (ending.status, ending.problem, ending.sent) == (status, code, sent)
            assert ending.body == b""
            # Where the page of the problem speaks of a Retry-After, there is one.
            assert ("Retry-After" in PROBLEMS[code].mend) is (ending.headers == RETRY_LATER)

    asyncio.run(play())


def test_what_goes_upstream_is_allow_listed(tmp_path: Path) -> None:
    """Credentials stay here; encodings and ranges too, where a duty has to read the answer."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            fields = ((b"accept-encoding", b"gzip"), (b"range", b"bytes=0-9"))
            request = replace(exchange.request, headers=exchange.request.headers + fields)
            exchange = replace(exchange, request=request)

            ours = {b"content-type", b"traceparent", b"via", b"x-request-id"}
            with_duties = upstream_call(exchange).headers
            assert {name for name, _ in with_duties} == ours | {b"accept-encoding"}
            assert dict(with_duties)[b"accept-encoding"] == b"identity"
            free = upstream_call(without_duties(exchange)).headers
            assert {name for name, _ in free} == ours | {b"accept-encoding", b"range"}
            assert dict(free)[b"accept-encoding"] == b"gzip"

    asyncio.run(play())


def test_a_gateway_adds_itself_to_those_that_a_call_has_passed(tmp_path: Path) -> None:
    """So that one which a circle of addresses leads to again knows the call (N-12)."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            before = (b"via", b"1.1 concordat-other.example")
            request = replace(exchange.request, headers=(*exchange.request.headers, before))
            call = upstream_call(replace(exchange, request=request))

            said = [value for name, value in call.headers if name == b"via"]
            assert said == [b"1.1 concordat-other.example", b"1.1 concordat-gateway.example"]

    asyncio.run(play())


@pytest.mark.parametrize("status", [301, 401, 403, 408, 421, 500, 504])
def test_a_status_that_is_not_the_caller_s_business_is_a_bad_gateway(
    tmp_path: Path, status: int
) -> None:
    """Redirects are not followed, nor our own 401 passed on (U-08, U-14)."""

    async def play() -> None:
        script = json_answer(
            {}, status=f"{status} Any", more="location: http://169.254.169.254/\r\n"
        )
        async with open_world(tmp_path, [script]) as world:
            connector = world.ports.connectors["dwp-eligibility"]
            ending = await deliver((await ask(world)).exchange, connector, DutyProcesses())

            assert ending.status == 502
            assert ending.headers == ()

    asyncio.run(play())


def test_fields_of_the_answer_are_allow_listed(tmp_path: Path) -> None:
    """A service's words about itself stay; an entity tag leaves with an untouched body only."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            headers = (
                (b"content-type", b"application/json"),
                (b"etag", b'"1"'),
                (b"server", b"internal-7"),
                (b"set-cookie", b"a=b"),
            )
            body = b'{"records": [{"uprn": "999000000301", "lad_code": "E06999001"}]}'

            changed = released(exchange, 200, head_for(exchange, headers), body)
            free = without_duties(exchange)
            untouched = released(free, 200, head_for(free, headers), body)
            assert dict(changed.headers) == {b"content-type": b"application/json"}
            assert {name for name, _ in untouched.headers} == {b"content-type", b"etag"}
            assert untouched.body == body

    asyncio.run(play())


def test_the_people_of_a_long_json_answer_are_named_off_the_loop(tmp_path: Path) -> None:
    """Its record names them all the same, and the loop never has a million identifiers to sort."""
    people = frozenset(f"99920{n:05}" for n in range(30_000))
    answer = json_answer({"records": [{"uprn": person, "lad_code": "E0"} for person in people]})

    async def play() -> None:
        async with open_world(tmp_path, [answer]) as world:
            exchange = (await ask(world)).exchange
            duties = Duties(allowed=frozenset({"lad_code", "uprn"}), subject_field="uprn")
            exchange = replace(exchange, decision=replace(exchange.decision, duties=duties))
            connector = world.ports.connectors["dwp-eligibility"]
            ending = await deliver(exchange, connector, world.ports.duty_processes)

            assert len(ending.body) > IN_THREAD_BYTES_MAX
            assert ending.subjects == frozenset()
            everybody = people | request_subjects(exchange)
            assert ending.subjects_counted == len(everybody)
            assert ending.named == name_people(everybody)
            record = outcome(exchange, ending, Position(7, bytes(32)), instance="test")
            root = urlsafe_b64encode(name_people(everybody).root).rstrip(b"=").decode()
            assert record.sections["subject"]["root"] == root
            assert record.sections["core"]["subjects"] == len(everybody)

    asyncio.run(play())


def test_a_table_that_is_whole_is_read_off_the_loop(tmp_path: Path) -> None:
    """Also where it could have been released in pieces, had it been longer."""
    table = b"lad_code,uprn\r\n" + b"E0,1\r\n" * (ON_LOOP_BYTES_MAX // 4)

    async def play() -> None:
        async with open_world(tmp_path, [text_answer(table, "text/csv")]) as world:
            exchange = (await ask(world)).exchange
            duties = Duties(allowed=frozenset({"lad_code"}))
            exchange = replace(exchange, decision=replace(exchange.decision, duties=duties))
            processes = world.ports.duty_processes
            connector = world.ports.connectors["dwp-eligibility"]
            ending = await deliver(exchange, connector, processes)

            assert ending.body == b"lad_code\r\n" + b"E0\r\n" * (ON_LOOP_BYTES_MAX // 4)
            assert len(processes._thread._threads) == 1

    asyncio.run(play())


def test_an_answer_that_waits_for_its_duties_keeps_nobody_from_the_service(tmp_path: Path) -> None:
    """Its body is here whole, so that its connection serves the next call meanwhile."""
    table = b"lad_code,uprn\r\n" + b"E0,1\r\n" * (ON_LOOP_BYTES_MAX // 4)
    free = threading.Event()

    async def play() -> None:
        async with open_world(tmp_path, [text_answer(table, "text/csv")]) as world:
            exchange = (await ask(world)).exchange
            duties = Duties(allowed=frozenset({"lad_code"}))
            exchange = replace(exchange, decision=replace(exchange.decision, duties=duties))
            connector = world.ports.connectors["dwp-eligibility"]
            assert isinstance(connector, GuardedConnector)
            processes = DutyProcesses()
            processes._thread.submit(free.wait)
            try:
                waiting = asyncio.ensure_future(deliver(exchange, connector, processes))
                await world.service.asked.wait()
                for _ in range(1000):  # ten seconds
                    await asyncio.sleep(0.01 if connector.calls_open else 0)
                assert connector.calls_open == 0
                assert not waiting.done()
            finally:
                free.set()
            assert (await waiting).status == 200
            assert connector.calls_open == 0

    asyncio.run(play())


def test_an_answer_that_has_to_give_way_is_no_fault_of_its_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told to come again, and that the service has answered a busy gateway."""
    monkeypatch.setattr(duty_processes, "THREAD_WAITING_EACH_MAX", 0)
    table = b"lad_code,uprn\r\n" + b"E0,1\r\n" * (ON_LOOP_BYTES_MAX // 4)
    free = threading.Event()

    async def play() -> None:
        scripts = [text_answer(table, "text/csv")] * 2
        async with open_world(tmp_path, scripts) as world:
            exchange = (await ask(world)).exchange
            duties = Duties(allowed=frozenset({"lad_code"}))
            exchange = replace(exchange, decision=replace(exchange.decision, duties=duties))
            connector = world.ports.connectors["dwp-eligibility"]
            processes = DutyProcesses()
            processes._thread.submit(free.wait)
            try:
                first = asyncio.ensure_future(deliver(exchange, connector, processes))
                second = asyncio.ensure_future(deliver(exchange, connector, processes))
                ended, _ = await asyncio.wait(
                    (first, second), return_when=asyncio.FIRST_COMPLETED, timeout=20
                )
                crowded = ended.pop().result()
            finally:
                free.set()
            assert {(await first).status, (await second).status} == {200, 503}

            assert (crowded.problem, crowded.headers) == ("service-overloaded", RETRY_LATER)
            assert (crowded.origin, crowded.sent, crowded.service_status) == ("gateway", True, 200)
            assert (crowded.body, crowded.failure) == (b"", None)

    asyncio.run(play())


def test_turns_are_a_client_s_and_an_urgent_call_has_the_first(tmp_path: Path) -> None:
    """Two clients of one organisation, or strangers at two addresses, wait not for each other."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            stranger = replace(exchange, authenticated=None)
            urgent = BreakGlassUse(
                notify=(), review_due=exchange.at, expires_at=exchange.at, max_subjects=1
            )
            broken = replace(exchange, decision=replace(exchange.decision, break_glass=urgent))

            client = f"{NORTHVALE} northvale-warm-homes"
            assert claim_of(exchange) == Claim(client)
            assert claim_of(stranger) == Claim(exchange.request.source, public=True)
            assert claim_of(broken) == Claim(client, urgent=True)

    asyncio.run(play())


@pytest.mark.parametrize("with_duties", [True, False])
@pytest.mark.parametrize(
    "script",
    [
        [RESET + b"content-length: 2\r\n\r\n{}"],
        [RESET + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"],
        [RESET + b"content-length: 9000000000\r\n\r\n{", Act.STALL],
        [RESET + b"\r\n{}", Act.STALL],
        [RESET + b"content-length: 0\r\n\r\n"],
    ],
)
def test_an_answer_that_resets_a_form_has_no_content(
    tmp_path: Path, script: Script, *, with_duties: bool
) -> None:
    """Whatever a service sends with a 205; what it holds is for nobody, and ends nobody's wait."""

    async def play() -> None:
        async with open_world(tmp_path, [script, json_answer({})]) as world:
            connector = world.ports.connectors["dwp-eligibility"]
            exchange = (await ask(world)).exchange
            asked = exchange if with_duties else without_duties(exchange)
            ending = await deliver(asked, connector, world.ports.duty_processes)

            assert (ending.status, ending.problem, ending.body) == (205, None, b"")
            assert (ending.service_status, ending.records, ending.fields_sent) == (205, 0, ())
            # Nothing of it is taken for an answer to the next call.
            after = await deliver(exchange, connector, world.ports.duty_processes)
            assert after.service_status == 200

    asyncio.run(play())


def test_a_part_of_the_data_cannot_be_checked(tmp_path: Path) -> None:
    """A 206 under duties is withheld."""

    async def play() -> None:
        async with open_world(tmp_path, [json_answer({}, status="206 Partial")]) as world:
            connector = world.ports.connectors["dwp-eligibility"]
            ending = await deliver((await ask(world)).exchange, connector, DutyProcesses())

            assert ending.reason is ReasonCode.DUTY_NOT_APPLICABLE

    asyncio.run(play())


def test_the_gateway_s_own_fields_are_added(tmp_path: Path) -> None:
    """The exchange id is always there, and what the agreement says of sharing onward."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            fields = dict(exchange_headers((await ask(world)).exchange))

            assert fields[b"onward-sharing"] == b"not-permitted"
            assert len(fields[b"exchange-id"]) == 36

    asyncio.run(play())


def test_a_caller_who_has_left_is_called_for_no_more(tmp_path: Path) -> None:
    """N-05: gone before the call, nothing is sent; gone during it, the call is given up."""

    class Leaving:
        """A caller who leaves at the given moment."""

        def __init__(self, world: World, *, before: bool) -> None:
            """Leave before the call, or while it lasts."""
            self.world = world
            self.gone = before

        def left(self) -> bool:
            """Tell whether it left."""
            return self.gone

        def when_left(self, callback: Callable[[], object] | None) -> None:
            """Leave as soon as the service has been asked."""
            if callback is not None:
                self.leaving = asyncio.ensure_future(self.leave(callback))

        async def leave(self, callback: Callable[[], object]) -> None:
            """Leave once the service was asked."""
            await self.world.service.asked.wait()
            self.gone = True
            callback()

    async def play() -> None:
        async with open_world(tmp_path, [(Act.STALL,)]) as world:
            connector = world.ports.connectors["dwp-eligibility"]
            exchange = (await ask(world)).exchange
            for before in (True, False):
                request = replace(exchange.request, presence=Leaving(world, before=before))
                called = replace(exchange, request=request)
                ending = await deliver(called, connector, world.ports.duty_processes)

                assert (ending.problem, ending.sent) == ("client-gone", not before)
            assert len(world.service.requests) == 1

    asyncio.run(play())
