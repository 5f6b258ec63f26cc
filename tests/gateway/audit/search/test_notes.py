"""Notes: strict forms, codes in clear, words sealed."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.audit.entry import Kind
from gateway.audit.search.access import Reader, Via
from gateway.audit.search.notes import (
    EXCHANGES_MAX,
    TEXT_CHARS_MAX,
    Acknowledgement,
    AcknowledgementOutcome,
    Disposal,
    Incident,
    IncidentStep,
    Note,
    NoteInvalid,
    Review,
    ReviewOutcome,
    note_record,
)
from gateway.clock import new_uuid7, system_time_us, uuid_text

WHO = Reader(principal="a.guardian", via=Via.CONSOLE)
EXCHANGE = new_uuid7()
WORDS = "SYNTHETIC Person was at risk"


def incident(**said: Any) -> Incident:
    """Return a step of an incident."""
    known: dict[str, Any] = {
        "reference": "INC-1", "step": IncidentStep.AWARE, "at_us": 1, "exchanges": (EXCHANGE,),
        "text": WORDS,
    }  # fmt: skip
    return Incident(**{**known, **said})


@pytest.mark.parametrize(
    ("note", "said"),
    [
        (
            Review(exchange=EXCHANGE, outcome=ReviewOutcome.JUSTIFIED, text=WORDS),
            {"note": "review", "about": uuid_text(EXCHANGE), "outcome": "justified"},
        ),
        (
            Acknowledgement(exchange=EXCHANGE, outcome=AcknowledgementOutcome.REJECTED, text=WORDS),
            {"note": "acknowledgement", "about": uuid_text(EXCHANGE), "outcome": "rejected"},
        ),
        (
            incident(),
            {
                "note": "incident", "about": "INC-1", "step": "aware", "at": 1,
                "exchanges": [uuid_text(EXCHANGE)],
            },
        ),
        (
            Disposal(agreement="DSA-1", certificate="C/2026-1", at_us=5, text=WORDS),
            {"note": "disposal", "agreement": "DSA-1", "certificate": "C/2026-1", "at": 5},
        ),
    ],
)  # fmt: skip
def test_a_note_is_an_administrative_change(note: Note, said: dict[str, object]) -> None:
    """Who made it and the words are sealed; `core` holds codes and references."""
    record = note_record(WHO, note)
    assert (record.kind, record.exchange) == (Kind.CHANGE, None)
    assert record.sections == {
        "core": {"verb": "note", **said},
        "actor": {"principal": "a.guardian", "via": "console"},
        "payload": {"text": WORDS},
    }


@pytest.mark.parametrize(
    "note",
    [
        incident(reference="the matter of Mrs SYNTHETIC"),
        incident(reference=""),
        incident(at_us=system_time_us() + 3_600_000_000),
        incident(exchanges=(EXCHANGE,) * (EXCHANGES_MAX + 1)),
        incident(text="x" * (TEXT_CHARS_MAX + 1)),
        Disposal(agreement="DSA-1", certificate="two words", at_us=1, text=""),
    ],
)
def test_what_a_note_may_not_say(note: Note) -> None:
    """References hold no sentences, and nothing happened in the future."""
    with pytest.raises(NoteInvalid):
        note_record(WHO, note)


def test_without_words_nothing_is_sealed_but_who() -> None:
    """An empty text is no section."""
    assert set(note_record(WHO, incident(text="")).sections) == {"core", "actor"}
