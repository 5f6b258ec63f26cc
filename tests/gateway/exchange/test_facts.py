"""The facts of an exchange: its trace, continued or its own."""

from __future__ import annotations

from gateway.clock import new_uuid7
from gateway.exchange.facts import Exchange
from gateway.refresh import compile_snapshot
from gateway.registry.documents import Configuration
from gateway.telemetry import parse_traceparent
from policies.decision import Caller, Query, ReasonCode
from policies.select import refuse
from tests.world import BASE_URL, NIGHT, make_request

SNAPSHOT = compile_snapshot(
    Configuration(), organisation="ods:X9Z", public_base_url=BASE_URL, revision=0
)
CALLERS_TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def make_exchange(traceparent: bytes | None) -> Exchange:
    """Make an exchange whose caller sent this trace context."""
    return Exchange(
        id=new_uuid7(),
        at=NIGHT,
        started_us=0,
        began_us=0,
        trace=parse_traceparent(traceparent) if traceparent else None,
        request=make_request("GET", "/"),
        query=Query(at=NIGHT, caller=Caller(organisation="public"), method="GET", path=("",)),
        decision=refuse(ReasonCode.AGREEMENT_NOT_FOUND),
        snapshot=SNAPSHOT,
    )


def test_the_caller_s_trace_is_continued_with_a_span_of_our_own() -> None:
    """The trace id and the sampling flag go on; the parent is this exchange."""
    exchange = make_exchange(CALLERS_TRACE)

    version, trace, span, flags = exchange.traceparent.decode().split("-")
    assert (version, flags) == ("00", "01")
    assert trace == exchange.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert span == exchange.span_id != "00f067aa0ba902b7"


def test_without_one_the_exchange_is_its_own_trace() -> None:
    """The trace id is the exchange id, so that logs of both can be joined."""
    exchange = make_exchange(None)

    assert exchange.trace_id == exchange.id.hex()
    assert parse_traceparent(exchange.traceparent) is not None
