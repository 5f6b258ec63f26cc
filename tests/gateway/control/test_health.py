"""Tests of what monitoring asks."""

from __future__ import annotations

from tests.control_listener import Control


def test_health_needs_no_secret(control: Control) -> None:
    """A probe learns that the process lives and is ready."""
    live, ready, metrics = control.get("/livez", "/readyz", "/metrics", secret=None)

    assert (live.status_code, live.text) == (200, "ok\n")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "reasons": []})
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "concordat_exchanges_total" in metrics.text


def test_not_ready_says_why(control: Control) -> None:
    """Each reason is a sentence for the operator, with status 503."""
    control.reasons.append("No configuration has been applied.")
    (ready,) = control.get("/readyz", secret=None)

    assert ready.status_code == 503
    assert ready.json()["reasons"] == ["No configuration has been applied."]
