"""The sections of an agreement must fit together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from policies.coherence import incoherences
from policies.document import DocumentInvalid, read_agreement

RULE = ("access", "rules", 0)
CONSUMER = {"ref": "gss:E10999001", "roles": ["consumer"], "dp_role": "controller"}


def test_the_pack_is_coherent(pack: Any) -> None:
    """No agreement of the pack contradicts itself."""
    for agreement in pack.agreements.values():
        assert not incoherences(agreement)


@pytest.mark.parametrize(
    ("pointer", "value", "code"),
    [
        (("parties",), [CONSUMER], "contradiction"),
        (("parties", 1, "ref"), "ods:R9Z", "duplicate"),
        (("purpose", "prohibited"), ["CHILD_SAFEGUARDING_S47"], "contradiction"),
        (("term", "end"), "2026-06-15T00:00:00+01:00", "contradiction"),
        (("data", 0, "fields", 1, "name"), "known", "duplicate"),
        (("data", 1, "dataset"), "police-markers", "duplicate"),
        (("access", "rules", 1, "id"), "R0", "duplicate"),
        (("access", "break_glass", "rules"), ["R9"], "unknown-reference"),
        (("feedback",), {"rule": "R9"}, "unknown-reference"),
        ((*RULE, "party"), "gss:E06999001", "unknown-reference"),
        ((*RULE, "purposes"), [], "too-short"),
        ((*RULE, "dataset"), "child-health-contact", "unknown-reference"),
        ((*RULE, "fields_allowed"), ["knwon"], "unknown-reference"),
        ((*RULE, "fields_allowed"), ["clinical_note"], "contradiction"),
        ((*RULE, "actor"), {"mode": "public"}, "contradiction"),
    ],
)
def test_what_does_not_fit_is_told(
    changed: Callable[..., dict[str, Any]], pointer: tuple[str | int, ...], value: Any, code: str
) -> None:
    """Contradictions and references to nothing are refused before anybody signs."""
    with pytest.raises(DocumentInvalid) as raised:
        read_agreement(changed("DSA-2026-0002", {pointer: value}))
    assert code in {fault.code for fault in raised.value.faults}


FILES = (*RULE, "body_media_types_allowed")


@pytest.mark.parametrize(
    ("changes", "where", "code"),
    [
        ({FILES: ["Text/CSV"]}, (*FILES, 0), "malformed"),
        ({FILES: ["text/csv; charset=utf-8"]}, (*FILES, 0), "malformed"),
        ({FILES: ["*/*"]}, (*FILES, 0), "malformed"),
        ({FILES: ["text/csv", "application/json"]}, (*FILES, 1), "contradiction"),
        ({FILES: ["application/fhir+json"]}, (*FILES, 0), "contradiction"),
        (
            {FILES: ["text/csv"], (*RULE, "filter_values"): {"known": ["true"]}},
            (*RULE, "filter_values"),
            "contradiction",
        ),
        (
            {FILES: ["text/csv"], (*RULE, "limits"): {"records_per_response": 5}},
            (*RULE, "limits", "records_per_response"),
            "contradiction",
        ),
        (
            {FILES: ["text/csv"], (*RULE, "limits"): {"subjects_per_day": 5}},
            (*RULE, "limits", "subjects_per_day"),
            "contradiction",
        ),
        (
            {FILES: ["text/csv"], (*RULE, "obligations"): ["single_use_decision"]},
            (*RULE, "obligations", 0),
            "contradiction",
        ),
        (
            {
                FILES: ["text/csv"],
                (*RULE, "obligations"): ["hide_from_subject_view", "fields_limited_to_decision"],
            },
            (*RULE, "obligations", 1),
            "contradiction",
        ),
    ],
)
def test_a_file_that_is_not_read_is_held_against_no_clause(
    changed: Callable[..., dict[str, Any]], changes: dict[Any, Any], where: Any, code: str
) -> None:
    """What nobody reads cannot be checked, and what can be read is never let through unread."""
    with pytest.raises(DocumentInvalid) as raised:
        read_agreement(changed("DSA-2026-0002", {(*RULE, "limits"): {}, **changes}))
    assert (where, code) in {(fault.pointer, fault.code) for fault in raised.value.faults}


def test_media_types_of_files_are_plain_names(changed: Callable[..., dict[str, Any]]) -> None:
    """Any type but JSON may be agreed, where no clause asks what the request holds."""
    types = ["text/csv", "application/vnd.apache.parquet", "application/zip"]
    document = changed("DSA-2026-0002", {(*RULE, "limits"): {}, FILES: types})
    assert read_agreement(document).rules[0].body_media_types_allowed == tuple(types)
