"""Parties, regime, kind and data that fit together."""

from __future__ import annotations

from policies.authoring import Code
from tests.policies.authoring.examples import COUNCIL, GONE, faults_of


def test_two_joint_controllers_are_enough() -> None:
    """A joint controller needs another."""
    roles = {("parties", position, "dp_role"): "joint_controller" for position in (0, 1)}
    assert faults_of(3, roles) == ()


def test_a_processor_is_at_home_in_a_processing_agreement() -> None:
    """A dspa needs a processor, and is where one may be."""
    dspa = {("kind",): "dspa"}
    assert [one.code for one in faults_of(3, dspa)] == [Code.KIND_FIELD_MISSING]
    assert faults_of(3, {**dspa, ("parties", 1, "dp_role"): "processor"}) == ()


def test_a_body_that_is_no_public_authority_needs_no_officer() -> None:
    """UK GDPR Art 37(1)(a) asks it of public authorities."""
    charity = {COUNCIL: {"public_authority": False}}
    assert faults_of(3, {("parties", 1, "dpo"): GONE}, facts=charity) == ()


def test_a_field_that_never_leaves_needs_no_declared_type() -> None:
    """Only what may be shared counts as shared."""
    field = ("data", 0, "fields", 5)
    assert faults_of(3, {(*field, "class"): "special_category"}) == ()
    assert [
        one.pointer
        for one in faults_of(3, {(*field, "class"): "special_category", (*field, "never"): False})
    ] == [(*field, "class")]


def test_each_kind_asks_for_its_own() -> None:
    """A kind whose members are missing is told which."""
    kinds = {"dea_isa": 1, "le_disclosure_protocol": 3, "open_publication": 3}
    for kind, of in kinds.items():
        found = faults_of(of, {("kind",): kind})
        assert Code.KIND_FIELD_MISSING in {one.code for one in found}, kind
