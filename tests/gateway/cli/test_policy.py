"""`policy test`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli.output import Stop
from gateway.demo.packs import BUILT_IN
from tests.gateway.cli.conftest import Run


def test_the_built_in_pack_passes(run: Run) -> None:
    """Exit 0, a table for people, and the same as JSON."""
    shown = run("policy", "test")
    told = json.loads(run("policy", "test", "--pack", BUILT_IN, "--json").stdout)
    assert shown.exit_code == 0
    assert "0 failed" in shown.stdout
    assert told["counts"]["failed"] == 0
    assert told["counts"]["not_yet"] == 0


def test_other_calls_replace_the_packs_own(run: Run) -> None:
    """Only the files that are named are judged."""
    sheet = BUILT_IN / "calls" / "s4.yaml"
    told = json.loads(run("policy", "test", "--calls", sheet, "--json").stdout)
    assert {call["id"][:2] for call in told["calls"]} == {"S4"}


def test_a_difference_is_exit_1(run: Run, tmp_path: Path) -> None:
    """A call that comes out otherwise than it says fails the test."""
    sheet = tmp_path / "calls.yaml"
    text = (BUILT_IN / "calls" / "s4.yaml").read_text()
    sheet.write_text(text.replace("reason: ENDPOINT_NOT_PERMITTED", "reason: RATE_LIMITED"))
    result = run("policy", "test", "--calls", sheet)
    assert result.exit_code == 1
    assert "reason: expected RATE_LIMITED, got ENDPOINT_NOT_PERMITTED" in result.stdout


def test_what_is_live_only_is_no_difference(run: Run, tmp_path: Path) -> None:
    """Calls of which nothing can be told offline are told so, and fail nothing."""
    sheet = tmp_path / "calls.yaml"
    call = {
        "id": "stranger", "org": "ods:QZ9", "client": "app", "issuer": "https://idp.rogue.example",
        "at": "2026-11-20T12:00:00Z", "method": "GET", "path": "/fhir/R4/MeasureReport",
        "expect": {"decision": "deny", "status": 401, "reason": "ISSUER_UNTRUSTED"},
    }  # fmt: skip
    sheet.write_text(json.dumps({"calls": [call]}))
    result = run("policy", "test", "--calls", sheet)
    assert "0 failed · 1 live only" in result.stdout
    assert result.exit_code == 0


def test_a_pack_that_cannot_be_read_is_exit_2(run: Run, tmp_path: Path) -> None:
    """What cannot be told is not a failed check."""
    with pytest.raises(Stop) as stopped:
        run("policy", "test", "--pack", tmp_path)
    assert stopped.value.code == 2
