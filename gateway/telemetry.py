"""What the gateway tells about itself: counters, trace context and spans, never whom it is about.

Every worker counts in a small file of its own that it maps into memory, so that counting costs
one addition and the control process can add the files up whenever it is asked. The names and the
label values are closed lists, or configured: no identifier, token, path or query becomes one.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from connectors.base import Failure
from gateway import __version__, stop_figures
from gateway.clock import monotonic_us
from gateway.errors import ProblemCode
from gateway.files import is_locked
from gateway.stop_figures import WorkerFigures, stop_metrics
from gateway.targets import TargetsCollector, clear_states, read_states
from policies.decision import ReasonCode, Verdict

METRICS_MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Media type of `render_metrics` (Prometheus text format)."""

DURATION_BOUNDS_US: Final = (
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000,
    100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
)  # fmt: skip
"""Upper bounds of the duration histogram's buckets, in microseconds."""

_FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "exchanges": tuple(Verdict),
    "refusals": tuple(reason for reason in ReasonCode if reason is not ReasonCode.OK),
    "front_refusals": tuple(ProblemCode),
    "service_failures": tuple(Failure),
    "audit_records": ("",),
    "audit_batches": ("",),
    "duration": tuple(str(bound) for bound in (*DURATION_BOUNDS_US, "more")),
    "duration_sum_us": ("",),
    **stop_figures.FAMILIES,
}
_SLOTS: Final[Mapping[tuple[str, str], int]] = {
    key: position
    for position, key in enumerate(
        (family, label) for family, labels in _FAMILIES.items() for label in labels
    )
}
_SLOT_BYTES: Final = 8
_LAYOUT: Final = hashlib.sha256(repr(sorted(_SLOTS.items())).encode()).digest()
_FILE_BYTES: Final = len(_LAYOUT) + len(_SLOTS) * _SLOT_BYTES
_FILE_PATTERN: Final = "metrics-*.bin"


def slot(family: str, label: str = "") -> int:
    """Return where a counter lies; look it up once, outside the hot path.

    Raises:
        KeyError: the closed list of counters has no such family or label.
    """
    return _SLOTS[family, label]


AUDIT_RECORDS: Final = slot("audit_records")
AUDIT_BATCHES: Final = slot("audit_batches")
FRONT_REFUSALS: Final[Mapping[str, int]] = {
    code: slot("front_refusals", code) for code in ProblemCode
}
SERVICE_FAILURES: Final[Mapping[str, int]] = {
    failure: slot("service_failures", failure) for failure in Failure
}
_EXCHANGES: Final[Mapping[str, int]] = {verdict: slot("exchanges", verdict) for verdict in Verdict}
_REFUSALS: Final[Mapping[str, int]] = {
    reason: slot("refusals", reason) for reason in ReasonCode if reason is not ReasonCode.OK
}
_OK: Final = ReasonCode.OK
_DURATION: Final = slot("duration", str(DURATION_BOUNDS_US[0]))
_DURATION_SUM: Final = slot("duration_sum_us")
_STOP_LIST_READ_AT: Final = slot("stop_list_read_at_us")
_STOP_EFFECT: Final = slot("stop_effect", stop_figures.FAMILIES["stop_effect"][0])
_STOP_EFFECT_SUM: Final = slot("stop_effect_sum_us")
_STOP_EFFECT_SLOWEST: Final = slot("stop_effect_slowest_us")
_PROCESS_ID: Final = slot("process_id")
_REVISION: Final = slot("revision")
_BEAT_AT: Final = slot("beat_at_us")


class Counters:
    """The counters of one process; one thread of it writes, other processes only read."""

    def __init__(self, memory: bytearray | mmap.mmap, descriptor: int | None = None) -> None:
        """Count in `memory`, which is laid out like a metrics file; see `open` and `private`."""
        self._view = memoryview(memory)
        self._slots = self._view[len(_LAYOUT) :].cast("Q")
        self._descriptor = descriptor

    @classmethod
    def private(cls) -> Counters:
        """Return counters that no other process sees."""
        return cls(bytearray(_FILE_BYTES))

    @classmethod
    def open(cls, directory: Path, instance: str) -> Counters:
        """Create the metrics file of a process and lock it for the life of the process."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"metrics-{instance}.bin"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, _LAYOUT + bytes(_FILE_BYTES - len(_LAYOUT)))
        opened = cls(mmap.mmap(descriptor, _FILE_BYTES), descriptor)
        opened.add(_PROCESS_ID, os.getpid())
        return opened

    def add(self, position: int, count: int = 1) -> None:
        """Add `count` to the counter at `position`, which `slot` told."""
        self._slots[position] += count

    def exchange_ended(self, decision: str, reason: str, duration_us: int) -> None:
        """Count an exchange, why it was refused if it was, and its duration in the histogram."""
        slots = self._slots
        slots[_EXCHANGES[decision]] += 1
        if reason != _OK:
            slots[_REFUSALS[reason]] += 1
        slots[_DURATION + bisect_left(DURATION_BOUNDS_US, duration_us)] += 1
        slots[_DURATION_SUM] += duration_us

    def revision_adopted(self, revision: int) -> None:
        """Note which revision of the configuration is in force."""
        self._slots[_REVISION] = revision

    def beat(self) -> None:
        """Note that the event loop of this process turns."""
        self._slots[_BEAT_AT] = monotonic_us()

    def stop_list_read(self, asked_us: int | None = None) -> None:
        """Note that the stop-list in use was asked for at `asked_us` (monotonic), or just now."""
        self._slots[_STOP_LIST_READ_AT] = monotonic_us() if asked_us is None else asked_us

    def stop_took_effect(self, effect_us: int) -> None:
        """Add one stop's time, from its writing until this process refuses by it."""
        self._slots[_STOP_EFFECT + stop_figures.bucket(effect_us)] += 1
        self._slots[_STOP_EFFECT_SUM] += effect_us
        self._slots[_STOP_EFFECT_SLOWEST] = max(self._slots[_STOP_EFFECT_SLOWEST], effect_us)

    def values(self) -> tuple[int, ...]:
        """Return all counters, in the order of their slots."""
        return tuple(self._slots)

    def close(self) -> None:
        """Unlock the file; what was counted stays until the next start."""
        self._slots.release()
        self._view.release()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def clear_metrics(directory: Path) -> None:
    """Remove the files of processes that have ended: a new service starts counting at zero."""
    for path in directory.glob(_FILE_PATTERN):
        if not is_locked(path):
            path.unlink()
    clear_states(directory, live_instances(directory))


def live_instances(directory: Path) -> tuple[str, ...]:
    """Return the names of the processes that count now, workers and others."""
    live = (path for path in sorted(directory.glob(_FILE_PATTERN)) if is_locked(path))
    return tuple(path.stem.removeprefix("metrics-") for path in live)


def render_metrics(directory: Path) -> bytes:
    """Return the sums over all processes of this service in Prometheus' text format.

    Processes that have ended still count, so that no sum ever falls; gauges ask the living only.
    """
    totals = [0] * len(_SLOTS)
    for path in sorted(directory.glob(_FILE_PATTERN)):
        values = _read_values(path)
        if values is not None:
            totals = [total + value for total, value in zip(totals, values, strict=True)]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Totals(totals, live_workers(directory)))
    registry.register(TargetsCollector(read_states(directory, live_instances(directory))))
    return generate_latest(registry)


def live_workers(directory: Path) -> tuple[WorkerFigures, ...]:
    """Return what each process that counts, and lives, enforces; by process id."""
    found = []
    for path in directory.glob(_FILE_PATTERN):
        values = _read_values(path)
        if values is not None and is_locked(path):
            figures = WorkerFigures(
                pid=values[_PROCESS_ID],
                revision=values[_REVISION],
                read_at_us=values[_STOP_LIST_READ_AT],
                slowest_us=values[_STOP_EFFECT_SLOWEST],
                beat_at_us=values[_BEAT_AT],
            )
            found.append(figures)
    return tuple(sorted(found, key=lambda worker: worker.pid))


def _read_values(path: Path) -> tuple[int, ...] | None:
    content = path.read_bytes()
    if len(content) != _FILE_BYTES or not content.startswith(_LAYOUT):
        return None  # written by another version of the gateway
    return tuple(memoryview(content)[len(_LAYOUT) :].cast("Q"))


class _Totals(Collector):
    """Hands the sums to Prometheus' own writer."""

    def __init__(self, totals: list[int], workers: tuple[WorkerFigures, ...]) -> None:
        self._totals = totals
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        yield self._family("exchanges", "Exchanges decided.", "decision")
        yield self._family("refusals", "Refusals of decisions.", "reason")
        yield self._family("front_refusals", "Requests refused before a decision.", "problem")
        yield self._family("service_failures", "Calls to services that failed.", "failure")
        for family, text in (
            ("audit_records", "Records appended to the audit log."),
            ("audit_batches", "Durable commits of the audit log."),
        ):
            yield CounterMetricFamily(f"concordat_{family}", text, self._totals[slot(family)])
        yield self._durations()
        workers = len(self._workers)
        yield GaugeMetricFamily("concordat_workers", "Processes that count.", workers)
        effects = self._totals[_STOP_EFFECT : _STOP_EFFECT + len(_FAMILIES["stop_effect"])]
        sum_us = self._totals[_STOP_EFFECT_SUM]
        yield from stop_metrics(effects, sum_us, self._workers, monotonic_us())

    def _family(self, family: str, text: str, label: str) -> Metric:
        metric = CounterMetricFamily(f"concordat_{family}", text, labels=[label])
        for value in _FAMILIES[family]:
            metric.add_metric([value], self._totals[slot(family, value)])
        return metric

    def _durations(self) -> Metric:
        buckets: list[tuple[str, float]] = []
        seen = 0
        for position, bound_us in enumerate(DURATION_BOUNDS_US):
            seen += self._totals[_DURATION + position]
            buckets.append((str(bound_us / 1_000_000), seen))
        buckets.append(("+Inf", seen + self._totals[_DURATION + len(DURATION_BOUNDS_US)]))
        return HistogramMetricFamily(
            "concordat_exchange_duration_seconds",
            "Time from the end of the request's head to the decision's answer.",
            buckets=buckets,
            sum_value=self._totals[_DURATION_SUM] / 1_000_000,
        )


_TRACEPARENT: Final = re.compile(
    rb"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    rb"(?P<more>-.*)?",
    re.DOTALL,
)
_SAMPLED: Final = 0x01
_TRACEPARENT_BYTES_MAX: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """The trace that a caller is in (W3C Trace Context, section 3.2); ids are lower-case hex."""

    trace_id: str
    parent_id: str
    sampled: bool


def parse_traceparent(value: bytes) -> TraceContext | None:
    """Return the caller's trace, or None for anything but a valid field (W3C, 3.2.2 and 3.2.4)."""
    if len(value) > _TRACEPARENT_BYTES_MAX:
        return None
    match = _TRACEPARENT.fullmatch(value)
    if match is None:
        return None
    version = match["version"]
    if version == b"ff" or (version == b"00" and match["more"] is not None):
        return None
    if not match["trace"].strip(b"0") or not match["parent"].strip(b"0"):
        return None
    return TraceContext(
        trace_id=match["trace"].decode(),
        parent_id=match["parent"].decode(),
        sampled=bool(int(match["flags"], 16) & _SAMPLED),
    )


def format_traceparent(trace_id: str, span_id: str, *, sampled: bool = False) -> bytes:
    """Return the field that continues a trace upstream (W3C Trace Context, section 3.2)."""
    return f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}".encode()


class Telemetry:
    """What one process reports: its counters always, a span where the caller's trace is sampled."""

    def __init__(self, counters: Counters, exporter: SpanExporter | None = None) -> None:
        """Count in `counters`; without an `exporter` no span is ever made."""
        self.counters: Final = counters
        self._spans = BatchSpanProcessor(exporter) if exporter else None
        self._resource = Resource({"service.name": "concordat", "service.version": __version__})

    def exchange_ended(
        self,
        *,
        decision: str,
        reason: str,
        status: int,
        started_us: int,
        duration_us: int,
        method: str,
        route: str | None = None,
        agreement: str | None = None,
        service: str | None = None,
        span_id: str = "",
        trace: TraceContext | None = None,
    ) -> None:
        """Count an exchange, and make its span if the caller's trace is sampled.

        These keywords are all that telemetry may know of an exchange: `route` is the path
        template, never the path. `started_us` is system time; `span_id` is 16 hex digits.
        """
        self.counters.exchange_ended(decision, reason, duration_us)
        if self._spans is None or trace is None or not trace.sampled:
            return
        facts: dict[str, str | int | None] = {
            "http.request.method": method,
            "http.response.status_code": status,
            "http.route": route,
            "concordat.decision": str(decision),
            "concordat.reason": str(reason),
            "concordat.agreement": agreement,
            "concordat.service": service,
        }
        started_ns = started_us * 1000
        self._spans.on_end(
            ReadableSpan(
                name=f"{method} {route}" if route else method,
                context=_span_context(trace.trace_id, span_id, remote=False),
                parent=_span_context(trace.trace_id, trace.parent_id, remote=True),
                resource=self._resource,
                attributes={name: value for name, value in facts.items() if value is not None},
                kind=SpanKind.SERVER,
                # A server's span is an error only where the server is at fault (OTel HTTP spans).
                status=Status(StatusCode.ERROR if status >= 500 else StatusCode.UNSET),
                start_time=started_ns,
                end_time=started_ns + duration_us * 1000,
            )
        )

    def unauthenticated(self, reason: ReasonCode) -> None:
        """Count a request whose credentials do not hold."""
        self.counters.add(_REFUSALS[reason])

    def service_failed(self, failure: Failure) -> None:
        """Count a call that brought no usable answer."""
        self.counters.add(SERVICE_FAILURES[failure])

    def close(self) -> None:
        """Send the spans that wait, and close the counters."""
        if self._spans is not None:
            self._spans.shutdown()  # type: ignore[no-untyped-call]  # the SDK does not annotate it
        self.counters.close()


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Return an exporter of spans by OTLP over HTTP; `endpoint` is the collector's traces URL."""
    return OTLPSpanExporter(endpoint=endpoint)


def _span_context(trace_id: str, span_id: str, *, remote: bool) -> SpanContext:
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=remote, trace_flags=TraceFlags(_SAMPLED)
    )
