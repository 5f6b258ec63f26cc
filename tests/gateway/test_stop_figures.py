"""Tests of the figures that tell what each worker enforces, and since when."""

from __future__ import annotations

import pytest
from prometheus_client.core import Metric

from gateway.stop_figures import EFFECT_BOUNDS_US, WorkerFigures, bucket, stop_metrics

NOW_US = 10_000_000


def samples(metrics: list[Metric]) -> dict[str, float]:
    """Return the values by name and label."""
    return {
        sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
        for metric in metrics
        for sample in metric.samples
    }


@pytest.mark.parametrize(
    ("effect_us", "position"),
    [(0, 0), (50_000, 0), (50_001, 1), (1_000_000, 5), (1_000_001, 6), (9_000_000, 8)],
)
def test_an_effect_falls_into_the_bucket_that_holds_it(effect_us: int, position: int) -> None:
    """A bound belongs to its own bucket; what is beyond all of them has one too."""
    assert bucket(effect_us) == position


def test_every_worker_is_told_by_its_process_id() -> None:
    """Age and slowest effect are each worker's own; the oldest list is told by itself as well."""
    counts = [1] + [0] * (len(EFFECT_BOUNDS_US) - 1) + [2]
    workers = [
        WorkerFigures(pid=7, revision=3, read_at_us=NOW_US - 250_000, slowest_us=40_000),
        WorkerFigures(pid=8, revision=4, read_at_us=NOW_US - 500_000, slowest_us=0),
    ]
    found = samples(list(stop_metrics(counts, 12_000_000, workers, NOW_US)))

    assert found["concordat_stop_list_age_seconds"] == 0.5
    assert found["concordat_worker_revision[8]"] == 4
    assert found["concordat_worker_stop_list_age_seconds[7]"] == 0.25
    assert found["concordat_worker_stop_effect_seconds[7]"] == 0.04
    assert found["concordat_stop_effect_seconds_bucket[0.05]"] == 1
    assert found["concordat_stop_effect_seconds_bucket[5.0]"] == 1
    assert found["concordat_stop_effect_seconds_bucket[+Inf]"] == 3
    assert found["concordat_stop_effect_seconds_sum"] == 12


def test_without_workers_no_age_is_made_up() -> None:
    """What ended workers saw still counts."""
    found = samples(list(stop_metrics([0] * (len(EFFECT_BOUNDS_US) + 1), 0, [], NOW_US)))

    assert found["concordat_stop_effect_seconds_count"] == 0
    assert not [name for name in found if "age" in name]
