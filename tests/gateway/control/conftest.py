"""Fixtures of the control listener's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit.keys.log_keys import LogKeys
from gateway.telemetry import render_metrics
from tests.configured import open_registry
from tests.control_listener import Control


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    """Give a control listener with an empty registry and an empty log."""
    registry = open_registry(tmp_path)
    (tmp_path / "audit").mkdir()
    yield Control(
        directory=tmp_path,
        registry=registry,
        keys=LogKeys(tmp_path / "keys"),
        secret=registry.make_bootstrap_secret(),
        metrics=lambda: render_metrics(tmp_path),
    )
    registry._engine.dispose()
