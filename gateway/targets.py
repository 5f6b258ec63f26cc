"""What each worker sees of the services' targets, left in a file for whoever asks.

Breakers live in workers and cost no I/O there; once a second a worker writes what has changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from connectors.breaker import BreakerState
from connectors.targets import TargetState

States = Mapping[str, tuple[TargetState, ...]]
"""The targets of each service, by its connector, the preferred one first."""

PATTERN: Final = "targets-*.json"


def write_states(directory: Path, instance: str, states: States) -> None:
    """Write what one worker sees; readers see the old file or the new one, whole."""
    plain = {
        connector: [asdict(target) for target in targets] for connector, targets in states.items()
    }
    path = states_path(directory, instance)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(plain))
    new.replace(path)


def read_states(directory: Path, instances: Iterable[str]) -> dict[str, States]:
    """Return what the workers of these instances see; those that wrote nothing yet are left out."""
    found: dict[str, States] = {}
    for instance in instances:
        try:
            plain = json.loads(states_path(directory, instance).read_text())
            found[instance] = {
                connector: tuple(
                    TargetState(**{**target, "state": BreakerState(target["state"])})
                    for target in targets
                )
                for connector, targets in plain.items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue  # it ended meanwhile, or is of another version of the gateway
    return found


def clear_states(directory: Path, instances: Iterable[str]) -> None:
    """Remove what workers left that are none of `instances`."""
    kept = {states_path(directory, instance) for instance in instances}
    for path in directory.glob(PATTERN):
        if path not in kept:
            path.unlink()


def states_path(directory: Path, instance: str) -> Path:
    """Return the file that a worker's states are in."""
    return directory / PATTERN.replace("*", instance)


class TargetsCollector(Collector):
    """Tells of each target how many of the workers that watch it spare it now."""

    def __init__(self, states: Mapping[str, States]) -> None:
        """Tell of what `read_states` has read."""
        self._states = states

    def collect(self) -> Iterator[Metric]:
        """Yield the gauge for Prometheus' own writer."""
        text = "Workers whose circuit breaker spares a service's target."
        labels = ["service", "target"]
        metric = GaugeMetricFamily("concordat_target_spared", text, labels=labels)
        spared: dict[tuple[str, str], int] = {}
        for services in self._states.values():
            for service, targets in services.items():
                for target in targets:
                    key = service, target.base_url
                    is_spared = target.state is not BreakerState.CLOSED
                    spared[key] = spared.get(key, 0) + is_spared
        for key, workers in sorted(spared.items()):
            metric.add_metric(list(key), workers)
        yield metric
