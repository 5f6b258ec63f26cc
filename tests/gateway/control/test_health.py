"""Tests of what monitoring asks."""

from __future__ import annotations

from gateway.control.health import Readiness, Troubles
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


def test_what_will_go_wrong_is_a_warning(control: Control) -> None:
    """The gateway stays ready; whoever asks is told what needs somebody to act."""
    control.warnings.append("Only 900 MiB are free.")
    (ready,) = control.get("/readyz", secret=None)

    assert ready.status_code == 200
    assert ready.json() == {"ready": True, "reasons": [], "warnings": ["Only 900 MiB are free."]}


def test_troubles_and_warnings_are_taken_back() -> None:
    """Each part says one sentence of each kind, until it is well again."""
    troubles = Troubles()
    troubles.report("log", "It failed.")
    troubles.warn("disk", "It is filling.")
    assert (troubles.readiness().reasons, troubles.knows("log")) == (("It failed.",), True)
    assert troubles.readiness().warnings == ("It is filling.",)
    troubles.report("log", None)
    troubles.warn("disk", None)
    assert troubles.readiness() == Readiness()
