"""Tests of how failures look from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.database import open_engine
from gateway.registry.store import Registry
from tests.control_listener import Control

MARKER = "marker-9990000018"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/{MARKER}", 404, "not-found"),
        (f"/api/v1/agreements/{MARKER}", 404, "not-found"),
        (f"/api/v1/exchanges/{MARKER}", 400, "malformed-request"),
        (f"/api/v1/exchanges?limit={MARKER}", 400, "malformed-request"),
        (f"/api/v1/exchanges?use={MARKER}", 400, "malformed-request"),
        ("/api/v1/exchanges/019aa000-0000-7000-8000-000000000000", 404, "not-found"),
    ],
)
def test_a_failure_is_a_problem_document(
    control: Control, path: str, status: int, code: str
) -> None:
    """It has the members of RFC 9457 and repeats nothing that was sent."""
    (answer,) = control.get(path)
    problem = answer.json()

    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"/problems/{code}"
    assert problem["instance"].startswith("urn:uuid:")
    assert MARKER not in answer.text


def test_an_unreachable_registry_is_told_as_such(control: Control, tmp_path: Path) -> None:
    """The caller learns that it may come again, and nothing of the database."""
    control.registry = Registry(open_engine(f"sqlite+pysqlite:///{tmp_path / 'empty.db'}"))
    (answer,) = control.get("/api/v1/agreements")

    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/not-ready"
    assert answer.headers["retry-after"] == "5"
    assert "secret" not in answer.text


def test_a_fault_of_the_gateway_says_nothing_of_itself(control: Control) -> None:
    """An unforeseen error is an internal error, without its text."""

    def broken() -> bytes:
        raise RuntimeError(MARKER)

    control.metrics = broken
    (answer,) = control.get("/metrics")

    assert answer.status_code == 500
    assert answer.json()["type"] == "/problems/internal-error"
    assert MARKER not in answer.text
