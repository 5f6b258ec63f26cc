"""Statutory gateways: who is specified for what, and what must stand in the register."""

from __future__ import annotations

import pytest

from policies.authoring import Code
from tests.policies.authoring.examples import COUNCIL, faults_of

REGISTER = ("legal", "dea", "register_id")


@pytest.mark.parametrize(
    ("paragraph", "specified"), [(12, True), (21, True), (22, False), (24, False), (None, False)]
)
def test_both_parties_are_specified_for_the_same_objective(
    paragraph: int | None, specified: bool
) -> None:
    """A district council is in fuel poverty; police, academies and the health service are not."""
    found = faults_of(3, {}, facts={COUNCIL: {"dea_paragraph": paragraph}})
    expected = set() if specified else {Code.GATEWAY_PARTY_NOT_SPECIFIED}
    assert {one.code for one in found} == expected


def test_every_party_that_is_not_specified_is_told() -> None:
    """The fault stands at the party, one for each."""
    others = {reference: {"dea_paragraph": None} for reference in (COUNCIL,)}
    found = faults_of(3, {}, facts=others)
    assert [one.pointer for one in found] == [("parties", 1, "ref")]


@pytest.mark.parametrize("status", ["draft", "submitted", "in_review", "returned", "approved"])
def test_the_register_is_asked_for_from_the_signature_on(status: str) -> None:
    """Nobody is in the register before anything was agreed."""
    found = faults_of(3, {REGISTER: None, ("status",): status})
    assert Code.REGISTER_ENTRY_MISSING not in {one.code for one in found}


def test_the_objective_was_no_law_before_its_regulations() -> None:
    """SI 2018/912 made the fuel poverty objective: before July 2018 there was nobody to share."""
    early = {
        ("term", "start"): "2018-06-01T00:00:00+01:00",
        ("term", "review_by"): "2019-03-01",
        ("status",): "draft",
    }
    from datetime import UTC, datetime

    found = faults_of(3, early, at=datetime(2018, 6, 1, tzinfo=UTC))
    assert {one.code for one in found} == {
        Code.CODE_NOT_IN_VOCABULARY,
        Code.INSTRUMENT_NOT_IN_FORCE,
    }


def test_an_agreement_stands_on_one_gateway_that_is_more_than_a_power() -> None:
    """Beside a real gateway the power does no harm."""
    two = {("legal", "instruments"): ["OGL3", "CA1989-s47"]}
    found = faults_of(4, two, gateways={"CA1989-s47": "LA2011-s1"})
    assert found == ()
