"""What each worker enforces: its revision, how old its stop-list is, and how fast stops are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

EFFECT_BOUNDS_US: Final = (
    50_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000, 5_000_000,
)  # fmt: skip
"""Upper bounds of the effect histogram's buckets, in microseconds; the promise is one second."""

FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "stop_effect": tuple(str(bound) for bound in (*EFFECT_BOUNDS_US, "more")),
    "stop_effect_sum_us": ("",),
    "stop_effect_slowest_us": ("",),
    "stop_list_read_at_us": ("",),
    "process_id": ("",),
    "revision": ("",),
    "beat_at_us": ("",),
}
"""The counters that these figures are kept in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFigures:
    """What one live worker enforces.

    `revision` is that of the configuration whose Snapshot is in force. `read_at_us` is the
    monotonic time at which the list that it decides by was asked for, 0 before the first;
    `beat_at_us` is the monotonic time at which its event loop last turned, 0 before the first;
    `slowest_us` is the longest that a stop took from its writing to this worker's refusing, 0
    where none has come since the worker started. All three are microseconds.
    """

    pid: int
    revision: int
    read_at_us: int
    slowest_us: int
    beat_at_us: int = 0


def bucket(effect_us: int) -> int:
    """Return which bucket of the histogram an effect falls into, counted from its first."""
    return bisect_left(EFFECT_BOUNDS_US, effect_us)


def stop_metrics(
    buckets: Sequence[int], sum_us: int, workers: Sequence[WorkerFigures], now_us: int
) -> Iterator[Metric]:
    """Yield the figures as Prometheus' metrics; workers are named by their process ids.

    `buckets` and `sum_us` are of all workers that there have been since the service started, the
    gauges of those that live.
    """
    cumulated, seen = [], 0
    bounds = [*(str(bound / 1_000_000) for bound in EFFECT_BOUNDS_US), "+Inf"]
    for bound, count in zip(bounds, buckets, strict=True):
        seen += count
        cumulated.append((bound, seen))
    yield HistogramMetricFamily(
        "concordat_stop_effect_seconds",
        "Time from the writing of a stop until a worker refuses by it, once for each worker.",
        buckets=cumulated,
        sum_value=sum_us / 1_000_000,
    )
    if not workers:
        return
    oldest_us = min(worker.read_at_us for worker in workers)
    yield GaugeMetricFamily(
        "concordat_stop_list_age_seconds",
        "Age of the oldest stop-list in use.",
        (now_us - oldest_us) / 1_000_000,
    )
    age = GaugeMetricFamily(
        "concordat_worker_stop_list_age_seconds",
        "Age of the stop-list of each worker.",
        labels=["worker"],
    )
    slowest = GaugeMetricFamily(
        "concordat_worker_stop_effect_seconds",
        "Longest time that a stop took to take effect on each worker since it started.",
        labels=["worker"],
    )
    revision = GaugeMetricFamily(
        "concordat_worker_revision",
        "Revision of the configuration that each worker enforces.",
        labels=["worker"],
    )
    for worker in workers:
        revision.add_metric([str(worker.pid)], worker.revision)
        age.add_metric([str(worker.pid)], (now_us - worker.read_at_us) / 1_000_000)
        slowest.add_metric([str(worker.pid)], worker.slowest_us / 1_000_000)
    yield revision
    yield age
    yield slowest
