"""Request and decision forms, as recorded."""

from __future__ import annotations

from typing import Any

import pytest

from policies.forms import read_form
from policies.reading import DocumentInvalid

REQUEST: dict[str, Any] = {
    "request_ref": "R-1",
    "requesting_organisation": "urn:ukfdx:org:police:SYN-EXF",
    "operation_ref": "SYN/26/1",
    "subject_category": "suspect",
    "uprn": "999000000501",
    "nhs_number": None,
    "requesting_person": {"name": "SYNTHETIC"},
}
DECISION: dict[str, Any] = {
    "request_ref": "R-1",
    "decision": "share_in_part",
    "decided_at": "2026-11-16T14:05:00+00:00",
    "fields_released": ["given_name"],
}
NAMES = ("uprn", "nhs_number")


def test_a_decided_request_gives_a_form() -> None:
    """It says to whom, about whom and what is released."""
    form = read_form({"request": REQUEST, "decision": DECISION}, NAMES)

    assert form is not None
    assert (form.reference, form.approved) == ("R-1", True)
    assert form.subject == {"uprn": "999000000501"}
    assert form.fields_released == {"given_name"}


def test_a_request_that_is_turned_down_releases_nothing() -> None:
    """`do_not_share` is a decision, and not an approval."""
    form = read_form({"request": REQUEST, "decision": {**DECISION, "decision": "do_not_share"}})

    assert form is not None
    assert not form.approved


@pytest.mark.parametrize("half", [{"request": REQUEST}, {"decision": DECISION}, {}])
def test_only_a_decided_request_gives_a_form(half: dict[str, Any]) -> None:
    """A request that waits for its decision is no ground to share, nor a decision about nothing."""
    assert read_form(half, NAMES) is None


@pytest.mark.parametrize(
    ("document", "member", "code"),
    [
        ({"request": {}}, "request", "missing-key"),
        ({"request": []}, "request", "wrong-type"),
        ({"request": {**REQUEST, "uprn": 7}}, "uprn", "wrong-type"),
        ({"decision": {**DECISION, "decision": "shared"}}, "decision", "not-one-of"),
        ({"decision": {**DECISION, "decided_at": "2026-11-16"}}, "decided_at", "malformed"),
        ({"decision": {**DECISION, "fields_released": "all"}}, "fields_released", "wrong-type"),
        ({"refusal": {}}, "refusal", "unknown-key"),
    ],
)
def test_a_form_that_cannot_be_relied_on_is_refused(
    document: dict[str, Any], member: str, code: str
) -> None:
    """A decision word that nobody knows must not come to mean yes."""
    with pytest.raises(DocumentInvalid) as refused:
        read_form(document, NAMES)

    assert (member, code) in {(f.pointer[-1], f.code) for f in refused.value.faults}
