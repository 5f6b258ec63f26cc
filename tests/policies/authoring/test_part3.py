"""Law enforcement: grounds, sensitive processing and the categories of people."""

from __future__ import annotations

from policies.authoring import Code
from tests.policies.authoring.examples import CONSUMER, COUNCIL, faults_of

SENSITIVE = {
    ("legal", "part3", "sensitive_processing"): True,
    ("legal", "appropriate_policy_document"): "APD-1",
}


def test_strict_necessity_needs_a_condition_of_schedule_8() -> None:
    """Consent is a ground by itself; s.35(5) is not."""
    ground = (*CONSUMER, "sensitive_ground")
    assert faults_of(5, {**SENSITIVE, ground: ["DPA2018-s35-4"]}) == ()
    strict = {**SENSITIVE, ground: ["DPA2018-s35-5"]}
    (found,) = faults_of(5, strict)
    assert (found.code, found.pointer[-1]) == (Code.PART3_SENSITIVE_CONDITION_MISSING, "schedule8")
    assert faults_of(5, {**strict, (*CONSUMER, "schedule8"): ["DPA2018-Sch8-4"]}) == ()


def test_sensitive_processing_needs_its_policy_document() -> None:
    """Both grounds of s.35(3) ask for one."""
    change = {
        ("legal", "part3", "sensitive_processing"): True,
        (*CONSUMER, "sensitive_ground"): ["DPA2018-s35-4"],
    }
    assert [one.code for one in faults_of(5, change)] == [Code.POLICY_DOCUMENT_MISSING]


def test_categories_of_people_are_those_of_the_act() -> None:
    """s.38(3): a category that the Act does not know is told, and so is none at all."""
    where = ("legal", "part3", "subject_categories")
    (found,) = faults_of(5, {where: ["suspects"]})
    assert found.code is Code.CODE_NOT_IN_VOCABULARY
    assert "did you mean 'suspect'?" in found.message
    for odd in (7, None, ["suspect"], {"suspect": True}):
        (found,) = faults_of(5, {where: [odd]})
        assert (found.code, found.pointer) == (Code.CODE_NOT_IN_VOCABULARY, (*where, 0))
    assert [one.code for one in faults_of(5, {where: []})] == [Code.SUBJECT_CATEGORY_MISSING]


def test_under_part_3_alone_both_sides_are_competent() -> None:
    """A council cannot be a party where all processing is law enforcement."""
    found = faults_of(5, {("legal", "regime"): "part3"})
    refs = [one.message for one in found if one.code is Code.PART3_PARTY_NOT_COMPETENT_AUTHORITY]
    assert len(refs) == 1
    assert COUNCIL in refs[0]


def test_restrictions_of_rights_are_exemptions_or_those_of_part_3() -> None:
    """rights.restriction_basis is a code of one of the two lists."""
    where = ("rights", "restriction_basis")
    assert faults_of(5, {where: "DPA2018-s45-4"}) == ()
    assert [one.code for one in faults_of(5, {where: "secret"})] == [Code.CODE_NOT_IN_VOCABULARY]
