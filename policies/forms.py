"""Reads recorded requests to share, and what was decided on them case by case.

The forms are those of the ICO's data sharing code (annex B): a request form says what is asked, by
whom and about whom; a decision form says what is shared. The two have one reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Final

from policies.decision import DecisionForm
from policies.reading import DocumentInvalid, Fault, Section

REQUEST: Final = "request"
DECISION: Final = "decision"
FORMS: Final = (REQUEST, DECISION)
"""The two kinds of form, in the order in which they are made."""
REFERENCE: Final = "request_ref"
"""The member of both that says which request it is."""

DO_NOT_SHARE: Final = "do_not_share"
"""The decision that releases nothing."""
DECISIONS: Final = frozenset({"share", "share_in_full", "share_in_part", DO_NOT_SHARE})
"""What can be decided on a request."""

_REQUEST_MEMBERS: Final = (REFERENCE, "requesting_organisation")
_DECISION_MEMBERS: Final = (REFERENCE, "decision", "decided_at", "fields_released")


def read_form(
    document: Mapping[str, object], identifiers: Iterable[str] = ()
) -> DecisionForm | None:
    """Return what ``{"request": {...}, "decision": {...}}`` decides.

    `identifiers` are the names under which a request can say whom or what it is about. A request
    without a decision is not decided, and a decision without a request is about nothing: neither
    gives a form. What decisions do not turn on is for people to read, and left alone.

    Raises:
        DocumentInvalid: with every fault of both.
    """
    faults: list[Fault] = []
    Section(document, (), faults, optional=FORMS)
    asked = _half(document, REQUEST, faults, _REQUEST_MEMBERS)
    decided = _half(document, DECISION, faults, _DECISION_MEMBERS)
    form = DecisionForm(
        reference=asked.text(REFERENCE),
        requester=asked.text("requesting_organisation"),
        approved=decided.word("decision", DECISIONS) != DO_NOT_SHARE,
        fields_released=frozenset(decided.texts("fields_released")),
        decided_at=decided.instant("decided_at").astimezone(UTC),
        operation_ref=asked.nullable_text("operation_ref"),
        subject_category=asked.nullable_text("subject_category"),
        subject={name: asked.text(name) for name in sorted(identifiers) if asked.has(name)},
    )
    if faults:
        raise DocumentInvalid(faults)
    return form if REQUEST in document and DECISION in document else None


def _half(
    document: Mapping[str, object], name: str, faults: list[Fault], required: tuple[str, ...]
) -> Section:
    """Return one of the two forms; nothing is noted of one that is not there."""
    if name not in document:
        return Section({}, (name,), [])
    value = document[name]
    others = map(str, value) if isinstance(value, Mapping) else ()
    return Section(value, (name,), faults, required=required, optional=others)
