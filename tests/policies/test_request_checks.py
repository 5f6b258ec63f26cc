"""Steps 8 and 9: what the request says, when it comes, and how much it asks for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from policies.decide import decide
from policies.decision import Decision, ReasonCode

AREA = ("lad_code", "E06999001")


def with_rule(pack: Any, call_id: str, changes: dict[str, Any], **query: Any) -> Decision:
    """Decide a call under its agreement, with the rule that matches it changed."""
    agreement = pack.agreements[pack.call(call_id)["agreement"]]
    rule_id = pack.decide(call_id).rule
    rules = tuple(
        replace(rule, **changes) if rule.id == rule_id else rule for rule in agreement.rules
    )
    policy = pack.compile(replace(agreement, rules=rules))
    return decide(policy, pack.query(call_id, **query), pack.law)


@pytest.mark.parametrize(
    ("name", "said", "reason"),
    [
        ("case_reference", "", "JUSTIFICATION_REQUIRED"),
        ("case_reference", "  ", "JUSTIFICATION_REQUIRED"),
        ("no_consent_reason", "NOBODY_ASKED", "JUSTIFICATION_REQUIRED"),
        ("subject_group", "EVERYBODY", "JUSTIFICATION_REQUIRED"),
        ("subject_group", "ADULT_AT_RISK", "OK"),
    ],
)
def test_the_context_says_what_is_required(pack: Any, name: str, said: str, reason: str) -> None:
    """Something must be said, and in the words of para 18 where those are asked for."""
    context = {**pack.query("S2A2").context, name: said}
    decision = pack.decide("S2A2", context=context)
    assert decision.reason == reason
    if not decision.permitted:
        assert (decision.hint or "").startswith(f"State {name}")
        assert not decision.alert


def test_a_subject_category_is_one_of_those_agreed(pack: Any) -> None:
    """The agreement leaves one of the Act's categories out."""
    context = {**pack.query("S5A1").context, "subject_category": "convicted"}
    assert pack.decide("S5A1", context=context).reason is ReasonCode.JUSTIFICATION_REQUIRED


def test_an_urgent_grant_relaxes_no_more_than_agreed(pack: Any) -> None:
    """The case reference may wait; why nobody was asked may not."""
    assert pack.decide("S2B1").permitted
    decision = pack.decide("S2B1", context={"subject_group": "UNDER_18"})
    assert decision.reason is ReasonCode.JUSTIFICATION_REQUIRED


def test_a_decision_form_narrows_the_fields(pack: Any) -> None:
    """What the form did not release is not permitted, not even as a filter."""
    for changes in ({"fields": ("tenancy_end",)}, {"parameters": (("tenancy_end", ""),)}):
        assert pack.decide("S5A1", **changes).reason is ReasonCode.FIELD_NOT_PERMITTED
    narrowed = pack.decide("S5A1", fields=("given_name",))
    assert narrowed.duties.allowed == {"given_name"}
    assert narrowed.duties.single_use == "LER-2026-0001"


@pytest.mark.parametrize(
    "changes",
    [
        {"decision_form": None},
        {"decision_form_used": True},
        {"path": ("housing", "v1", "properties", "999000000502", "tenancy")},
    ],
)
def test_without_the_right_form_nothing_is_disclosed(pack: Any, changes: dict[str, Any]) -> None:
    """No form, a used form, another address."""
    decision = pack.decide("S5A1", **changes)
    assert decision.reason is ReasonCode.CASE_REFERENCE_NOT_APPROVED
    assert decision.alert


def test_a_form_is_asked_for_even_if_the_context_is_not(pack: Any) -> None:
    """An obligation that rests on a form cannot be met without one; others may be used again."""
    bare = {"request_context_required": ()}
    decision = with_rule(pack, "S5A1", bare, context={})
    assert decision.reason is ReasonCode.CASE_REFERENCE_NOT_APPROVED
    reusable = {"obligations": ("fields_limited_to_decision",)}
    decision = with_rule(pack, "S5A1", reusable, decision_form_used=True)
    assert decision.permitted
    assert decision.duties.single_use is None


def test_a_clock_that_cannot_be_read_denies(pack: Any) -> None:
    """At the edge of the calendar no zone tells the hour; what cannot be told counts as no."""
    decision = with_rule(pack, "S3A1", {}, at=datetime.max.replace(tzinfo=UTC))
    assert ReasonCode.TIME_WINDOW_CLOSED not in {
        check.reason for check in decision.checks if check.outcome == "failed"
    }
    assert not decision.permitted


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ((), "FILTER_REQUIRED"),
        ((("town", "Northvale"),), "FILTER_REQUIRED"),
        ((AREA, ("spl_status", "all")), "SUBJECT_OUT_OF_SCOPE"),
        ((AREA, ("clinical_reason_code", "SYN-RESP")), "FIELD_NOT_PERMITTED"),
        ((AREA, ("pds_restricted", "true")), "FIELD_NOT_PERMITTED"),
        ((AREA, AREA), "FIELD_NOT_PERMITTED"),
        ((AREA, ("_fields", "nhs_number")), "FIELD_NOT_PERMITTED"),
        ((AREA, ("town", "Northvale")), "OK"),
    ],
)
def test_parameters_are_filters_or_permitted_fields_once_each(
    pack: Any, parameters: tuple[tuple[str, str], ...], reason: str
) -> None:
    """Filters cannot probe what fields may not show."""
    assert pack.decide("S1A1", parameters=parameters).reason == reason


def test_a_filter_may_stand_in_path_or_body(pack: Any) -> None:
    """A required filter is sent if every row has it, or the path; its values count there too."""
    wanted = {"filters_required": ("uprn",), "filter_values": {"uprn": ("999000000301",)}}
    rows = pack.query("S3A1").rows
    assert with_rule(pack, "S3A1", wanted, rows=rows[:1]).permitted
    assert with_rule(pack, "S3A1", wanted).reason is ReasonCode.SUBJECT_OUT_OF_SCOPE
    bare = ({"family_name": "Dunmore"}, *rows[:1])
    assert with_rule(pack, "S3A1", wanted, rows=bare).reason is ReasonCode.FILTER_REQUIRED
    path = {"filters_required": ("nhs_number",), "filter_values": {"nhs_number": ("x",)}}
    assert with_rule(pack, "S2A2", path).reason is ReasonCode.SUBJECT_OUT_OF_SCOPE


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (("nhs_number", "town"), "OK"),
        (("nhs_number", "nhs_number"), "FIELD_NOT_PERMITTED"),
        (("lad_code",), "FIELD_NOT_PERMITTED"),
        (("",), "FIELD_NOT_PERMITTED"),
    ],
)
def test_fields_asked_for_are_permitted_ones(
    pack: Any, fields: tuple[str, ...], reason: str
) -> None:
    """A filter is not a field that may leave."""
    assert pack.decide("S1A1", fields=fields).reason == reason


@pytest.mark.parametrize(
    "row",
    [
        {"uprn": "999000000301", "nino": "QQ000001A"},
        {"family_name": {"nino": "QQ000001A"}},
        {"family_name": ["Dunmore"]},
    ],
)
def test_body_fields_are_permitted_ones_and_flat(pack: Any, row: dict[str, Any]) -> None:
    """What is not agreed is not passed on, however deep it hides."""
    decision = pack.decide("S3A1", rows=(row,))
    assert (decision.reason, decision.alert) == (ReasonCode.FIELD_NOT_PERMITTED, True)


def test_where_no_body_is_agreed_none_is_taken(pack: Any) -> None:
    """A rule without body fields refuses any; an empty body carries nothing."""
    assert pack.decide("S1A1", rows=({"a": 1},)).reason is ReasonCode.FIELD_NOT_PERMITTED
    assert pack.decide("S1A1", rows=()).permitted


def test_calling_on_one_s_own_behalf_is_no_onward_sharing(pack: Any) -> None:
    """Any other organisation is refused, even one that the agreement lets the consumer pass to."""
    own = pack.query("S1A1").caller.organisation
    assert pack.decide("S1A1", on_behalf_of=own).permitted
    decision = pack.decide("S1A1", on_behalf_of="urn:ukfdx:org:vcs:SYN-FOODBANK")
    assert decision.reason is ReasonCode.ONWARD_SHARING_NOT_PERMITTED


def test_a_batch_is_as_long_as_agreed(pack: Any) -> None:
    """The last row that fits is taken, the next is too many."""
    rows = tuple({"uprn": str(number)} for number in range(1, 1002))
    assert pack.decide("S3A1", rows=rows[:1000]).permitted
    decision = pack.decide("S3A1", rows=rows)
    assert (decision.reason, decision.status) == (ReasonCode.VOLUME_EXCEEDED, 429)
