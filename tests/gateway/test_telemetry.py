"""Tests of counters, trace context and spans, and of what they never hold."""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from connectors.breaker import BreakerState
from connectors.targets import TargetState
from gateway.clock import monotonic_us
from gateway.targets import write_states
from gateway.telemetry import (
    AUDIT_RECORDS,
    FRONT_REFUSALS,
    SERVICE_FAILURES,
    Counters,
    Telemetry,
    TraceContext,
    clear_metrics,
    format_traceparent,
    live_workers,
    parse_traceparent,
    render_metrics,
    slot,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SPAN = "b7ad6b7169203331"


def metrics(directory: Path) -> dict[str, float]:
    """Return what is rendered, by name and label."""
    lines = render_metrics(directory).decode().splitlines()
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    }


def count_and_die(directory: Path) -> None:
    """Count one denial in another process, and end without closing."""
    Counters.open(directory, "dead").add(slot("exchanges", "deny"), 2)


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[Counters]:
    """Return the counters of this process in a metrics directory."""
    opened = Counters.open(tmp_path, "live")
    yield opened
    opened.close()


def test_counts_of_all_processes_are_added_up(tmp_path: Path, counters: Counters) -> None:
    """A process that has ended still counts, so that no sum ever falls; gauges ask the living."""
    process = multiprocessing.get_context("spawn").Process(target=count_and_die, args=(tmp_path,))
    process.start()
    process.join()
    counters.add(slot("exchanges", "deny"))
    counters.add(AUDIT_RECORDS, 5)
    counters.add(FRONT_REFUSALS["uri-too-long"])
    counters.add(SERVICE_FAILURES["timed-out"])
    counters.stop_list_read()

    found = metrics(tmp_path)

    assert found['concordat_exchanges_total{decision="deny"}'] == 3
    assert found["concordat_audit_records_total"] == 5
    assert found['concordat_front_refusals_total{problem="uri-too-long"}'] == 1
    assert found['concordat_service_failures_total{failure="timed-out"}'] == 1
    assert found["concordat_workers"] == 1
    assert 0 <= found["concordat_stop_list_age_seconds"] < 60


def test_each_worker_tells_how_old_its_stop_list_is_and_how_slow_a_stop_was(
    tmp_path: Path, counters: Counters
) -> None:
    """The slowest stop is told, however fast those after it were."""
    counters.revision_adopted(6)
    counters.revision_adopted(7)
    assert [one.beat_at_us for one in live_workers(tmp_path)] == [0]
    counters.beat()
    counters.stop_list_read(asked_us=1)
    counters.stop_took_effect(400_000)
    counters.stop_took_effect(20_000)

    (worker,) = live_workers(tmp_path)
    assert 0 < worker.beat_at_us <= monotonic_us()
    found = metrics(tmp_path)

    assert worker.revision == 7
    assert (worker.pid, worker.read_at_us, worker.slowest_us) == (os.getpid(), 1, 400_000)
    assert found[f'concordat_worker_stop_effect_seconds{{worker="{os.getpid()}"}}'] == 0.4
    assert found["concordat_stop_effect_seconds_count"] == 2
    assert found["concordat_stop_effect_seconds_sum"] == 0.42
    assert found["concordat_stop_list_age_seconds"] > 0


def test_a_new_service_starts_counting_at_zero(tmp_path: Path, counters: Counters) -> None:
    """The files of processes that have ended are removed, those of the living are not."""
    ended = Counters.open(tmp_path, "ended")
    ended.close()
    (tmp_path / "metrics-other.bin").write_bytes(b"of another version")
    clear_metrics(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["metrics-live.bin"]
    assert metrics(tmp_path)["concordat_workers"] == 1


def test_a_file_of_another_version_is_left_out(tmp_path: Path) -> None:
    """Counters with another layout are never misread."""
    (tmp_path / "metrics-other.bin").write_bytes(b"\xff" * 4096)

    assert metrics(tmp_path)['concordat_exchanges_total{decision="deny"}'] == 0


def test_a_target_that_is_spared_shows(tmp_path: Path, counters: Counters) -> None:
    """By service and place, the workers that spare it; what ended workers saw is gone."""
    target = TargetState(
        base_url="https://a.example", state=BreakerState.OPEN, failures=5, opened=1, retried=0
    )
    other = replace(target, base_url="https://b.example", state=BreakerState.CLOSED)
    for instance in ("live", "ended"):
        write_states(tmp_path, instance, {"nhse-spl": (target, other)})

    found = metrics(tmp_path)

    name = "concordat_target_spared"
    assert found[f'{name}{{service="nhse-spl",target="https://a.example"}}'] == 1
    assert found[f'{name}{{service="nhse-spl",target="https://b.example"}}'] == 0
    clear_metrics(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("targets-*")) == ["targets-live.json"]


def test_durations_fall_into_buckets(tmp_path: Path, counters: Counters) -> None:
    """A bucket holds what lasted at most as long as its bound; the last holds all."""
    for duration_us in (100, 101, 1_000, 60_000_000):
        counters.exchange_ended("permit", "OK", duration_us)

    found = metrics(tmp_path)

    name = "concordat_exchange_duration_seconds"
    assert found[f'{name}_bucket{{le="0.0001"}}'] == 1
    assert found[f'{name}_bucket{{le="0.001"}}'] == 3
    assert found[f'{name}_bucket{{le="30.0"}}'] == 3
    assert found[f'{name}_bucket{{le="+Inf"}}'] == 4
    assert found[f"{name}_sum"] == pytest.approx(60.001201)


def test_labels_are_a_closed_list() -> None:
    """Nothing that a caller sends can become a label."""
    with pytest.raises(KeyError):
        slot("front_refusals", "9990000018")


@given(st.binary(max_size=80) | st.from_regex(rb"\A[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-0[01]\Z"))
def test_traceparent_is_read_strictly(value: bytes) -> None:
    """Whatever is accepted is a valid field, and is written back the same in version 00."""
    trace = parse_traceparent(value)
    if trace is not None:
        assert re.match(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", value)
        again = format_traceparent(trace.trace_id, trace.parent_id, sampled=trace.sampled)
        assert parse_traceparent(again) == trace


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-00", False),
        (f"00-{TRACE}-{PARENT}-03", True),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-holds", True),
    ],
)
def test_valid_traceparents_are_accepted(text: str, sampled: bool) -> None:
    """Unknown flags and later versions are taken as W3C section 3.2.4 says."""
    expected = TraceContext(trace_id=TRACE, parent_id=PARENT, sampled=sampled)

    assert parse_traceparent(text.encode()) == expected


@pytest.mark.parametrize(
    "text",
    [
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01-{'x' * 600}",
        "",
    ],
)
def test_invalid_traceparents_start_a_new_trace(text: str) -> None:
    """Anything else is no trace at all."""
    assert parse_traceparent(text.encode()) is None


def report(telemetry: Telemetry, trace: TraceContext | None) -> None:
    """Report one refused exchange."""
    telemetry.exchange_ended(
        decision="deny",
        reason="PURPOSE_NOT_PERMITTED",
        status=403,
        started_us=1_000_000,
        duration_us=250,
        method="GET",
        route="/safeguarding/v1/children/{nhs_number}/known",
        agreement="DSA-2026-0002",
        service="r9z-safeguarding",
        span_id=SPAN,
        trace=trace,
    )


def spans_of(sampled: bool) -> tuple[ReadableSpan, ...]:
    """Return the spans of one exchange whose caller's trace is sampled or not."""
    exporter = InMemorySpanExporter()
    telemetry = Telemetry(Counters.private(), exporter)
    report(telemetry, TraceContext(trace_id=TRACE, parent_id=PARENT, sampled=sampled))
    report(telemetry, None)
    telemetry.close()
    return exporter.get_finished_spans()


def test_a_sampled_exchange_is_a_span_in_the_callers_trace() -> None:
    """The span continues the trace, under the id that went upstream, with explicit times."""
    (span,) = spans_of(sampled=True)

    assert span.name == "GET /safeguarding/v1/children/{nhs_number}/known"
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}-{span.context.span_id:016x}" == f"{TRACE}-{SPAN}"
    assert f"{span.parent.span_id:016x}" == PARENT
    assert (span.start_time, span.end_time) == (1_000_000_000, 1_000_250_000)


def test_a_span_holds_the_closed_list_of_facts_and_nothing_else() -> None:
    """No path, query, identifier or token has a place in a span."""
    (span,) = spans_of(sampled=True)

    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 403,
        "http.route": "/safeguarding/v1/children/{nhs_number}/known",
        "concordat.decision": "deny",
        "concordat.reason": "PURPOSE_NOT_PERMITTED",
        "concordat.agreement": "DSA-2026-0002",
        "concordat.service": "r9z-safeguarding",
    }
    assert set(span.resource.attributes) == {"service.name", "service.version"}


def test_what_is_not_sampled_is_counted_only() -> None:
    """Without a sampled trace, or without an exporter, no span is made."""
    assert spans_of(sampled=False) == ()
    telemetry = Telemetry(Counters.private())
    report(telemetry, TraceContext(trace_id=TRACE, parent_id=PARENT, sampled=True))
    values = telemetry.counters.values()

    assert values[slot("exchanges", "deny")] == 1
    assert values[slot("refusals", "PURPOSE_NOT_PERMITTED")] == 1
