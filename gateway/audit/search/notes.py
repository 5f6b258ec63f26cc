"""Notes: what people did about exchanges and agreements, each an `admin.change` record.

They are what the log cannot know by itself: that an urgent access was reviewed, that feedback was
acknowledged, when a breach came to notice, that data were disposed of. Codes stand in `core`; who
said it, and the words, are sealed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from gateway.audit.entry import Kind, Record
from gateway.audit.search.access import Reader
from gateway.clock import new_uuid7, system_time_us, uuid_text

TEXT_CHARS_MAX: Final = 4_000
EXCHANGES_MAX: Final = 500
"""Exchanges that one note names."""
REPORT_WITHIN_US: Final = 72 * 3_600_000_000
"""A breach is reported 72 hours after it was noticed, or with the reasons for delay (Art 33(1))."""

_REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")


class NoteKind(StrEnum):
    """What a note is about."""

    REVIEW = "review"
    ACKNOWLEDGEMENT = "acknowledgement"
    INCIDENT = "incident"
    DISPOSAL = "disposal"


class ReviewOutcome(StrEnum):
    """What a review of urgent access found."""

    JUSTIFIED = "justified"
    NOT_JUSTIFIED = "not_justified"
    FOLLOW_UP = "follow_up"


class AcknowledgementOutcome(StrEnum):
    """What the data owner does with feedback."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


class IncidentStep(StrEnum):
    """How far the handling of a breach has come."""

    AWARE = "aware"
    CONTAINED = "contained"
    REPORTED = "reported"
    NOT_REPORTABLE = "not_reportable"
    PEOPLE_TOLD = "people_told"
    CLOSED = "closed"


class NoteInvalid(ValueError):
    """A note says something that it cannot; the sentence names the member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Somebody looked at a use of urgent access, as the agreement's `review_within` asks."""

    kind: ClassVar[NoteKind] = NoteKind.REVIEW
    exchange: bytes
    outcome: ReviewOutcome
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """The data owner answered feedback, as `owner_must_acknowledge_within` asks."""

    kind: ClassVar[NoteKind] = NoteKind.ACKNOWLEDGEMENT
    exchange: bytes
    outcome: AcknowledgementOutcome
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A step in the handling of a breach; `at_us` is when it happened, which may be earlier."""

    kind: ClassVar[NoteKind] = NoteKind.INCIDENT
    reference: str
    step: IncidentStep
    at_us: int
    exchanges: tuple[bytes, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposal:
    """The consumer certified that it disposed of what it had under an agreement."""

    kind: ClassVar[NoteKind] = NoteKind.DISPOSAL
    agreement: str
    certificate: str
    at_us: int
    text: str


Note = Review | Acknowledgement | Incident | Disposal


def note_record(who: Reader, note: Note) -> Record:
    """Return the record of a note; raises NoteInvalid for one that cannot be made."""
    now_us = system_time_us()
    if len(note.text) > TEXT_CHARS_MAX:
        raise NoteInvalid(f"text is longer than {TEXT_CHARS_MAX} characters")
    core: dict[str, object] = {"verb": "note", "note": note.kind.value, **_said(note, now_us)}
    sections: dict[str, dict[str, object]] = {
        "core": core,
        "actor": {"principal": who.principal, "via": who.via.value},
    }
    if note.text:
        sections["payload"] = {"text": note.text}
    return Record(
        record_id=new_uuid7(),
        kind=Kind.CHANGE,
        exchange=None,
        at_us=now_us,
        sections=sections,
    )


def _said(note: Note, now_us: int) -> dict[str, object]:
    if isinstance(note, Review | Acknowledgement):
        return {"about": uuid_text(note.exchange), "outcome": note.outcome.value}
    if note.at_us > now_us:
        raise NoteInvalid("at is in the future")
    if isinstance(note, Disposal):
        return {
            "agreement": note.agreement,
            "certificate": _reference("certificate", note.certificate),
            "at": note.at_us,
        }
    if len(note.exchanges) > EXCHANGES_MAX:
        raise NoteInvalid(f"exchanges are more than {EXCHANGES_MAX}; make another note")
    return {
        "about": _reference("reference", note.reference),
        "step": note.step.value,
        "at": note.at_us,
        "exchanges": [uuid_text(one) for one in note.exchanges],
    }


def _reference(name: str, text: str) -> str:
    # It stands in clear: a form that is no sentence keeps words about people out of it.
    if _REFERENCE.fullmatch(text) is None:
        raise NoteInvalid(f"{name} is letters, digits and . _ / - alone, 64 at most")
    return text
