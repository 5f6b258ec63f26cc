"""Records about the log itself hold closed words and figures, and nothing personal."""

from __future__ import annotations

from pathlib import Path

from gateway.audit.entry import Kind
from gateway.audit.incident import Incident, incident_record, opening_record
from tests.gateway.audit.records import ORIGIN, keys_in


def test_an_incident_says_what_and_how_much() -> None:
    """Its facts stand in the clear section, beside the incident's name."""
    made = incident_record(Incident.CLOCK_STEP, step_us=-7)
    assert (made.kind, made.exchange) == (Kind.INCIDENT, None)
    assert made.sections == {"core": {"incident": "clock_step", "step_us": -7}}


def test_a_beginning_names_origin_and_key(tmp_path: Path) -> None:
    """Whoever has the first record knows which key signs the log."""
    verifier = keys_in(tmp_path).signer(ORIGIN).verifier
    receipts = keys_in(tmp_path).receipt_signer(ORIGIN)
    made = opening_record(verifier, receipts, reason="year end")
    assert made.kind is Kind.OPEN
    assert made.sections["core"] == {
        "origin": ORIGIN,
        "vkey": verifier.vkey(),
        "reason": "year end",
        **receipts.announced(),
    }
