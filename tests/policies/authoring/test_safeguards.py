"""Confidence, assessment, review, publication and urgent access at their edges."""

from __future__ import annotations

from typing import Any

import pytest

from policies.authoring import Code
from tests.policies.authoring.examples import BREAK_GLASS, GONE, PRODUCT_LAW, faults_of


@pytest.mark.parametrize("basis", sorted(PRODUCT_LAW.vocabulary.opt_out_applies))
def test_the_opt_out_follows_from_the_basis(basis: str) -> None:
    """For every basis, one answer is a fault and the other is not."""
    applies = PRODUCT_LAW.vocabulary.opt_out_applies[basis]
    where = ("legal", "national_data_opt_out", "applies")
    for said in (True, False):
        found = faults_of(1, {("legal", "confidentiality_basis"): basis, where: said})
        contradicts = Code.OPT_OUT_CONTRADICTS_BASIS in {one.code for one in found}
        assert contradicts == (said != applies)


@pytest.mark.parametrize(("review_by", "late"), [("2023-02-14", False), ("2023-02-15", True)])
def test_the_limit_runs_from_the_last_review(review_by: str, late: bool) -> None:
    """Reviewed on 14 February 2022: twelve months later is the last day."""
    found = faults_of(1, {("term", "review_by"): review_by})
    assert {one.code for one in found} == ({Code.REVIEW_TOO_LATE} if late else set())


def test_the_basis_limits_the_review_as_its_regulations_do() -> None:
    """SI 2002/1438 reg 7 holds where the instrument itself says nothing."""
    change = {("legal", "confidentiality_basis"): "COPI-REG3", ("term", "review_by"): "2028-01-01"}
    found = faults_of(2, change)
    assert [one.code for one in found] == [Code.REVIEW_TOO_LATE]
    assert found[0].message.startswith("COPI-REG3")


def test_a_high_risk_is_consulted_on_even_in_a_draft() -> None:
    """UK GDPR Art 36: prior consultation comes before anything else."""
    dpia: dict[Any, object] = {
        ("legal", "dpia"): {"ref": "D", "outcome": "high_prior_consultation"}
    }
    found = faults_of(3, {**dpia, ("status",): "draft"})
    assert [one.code for one in found] == [Code.IMPACT_ASSESSMENT_NOT_COMPLETED]


def test_where_no_health_body_is_party_somebody_has_a_guardian() -> None:
    """The council is enough, until it has none either."""
    steps = (1, 2, 3, 5, 6, 7, 8)
    moved: dict[Any, object] = {
        ("governance", "decisions", n, "org"): "gss:E06999002" for n in steps
    }
    moved["parties", 0, "ref"] = "gss:E06999002"
    assert faults_of(1, {**moved, ("parties", 0, "caldicott_guardian"): GONE}) == ()
    neither = {("parties", n, "caldicott_guardian"): GONE for n in (0, 1)}
    assert [one.pointer for one in faults_of(1, {**moved, **neither})] == [("parties",)]


def test_urgent_access_is_sent_to_a_mailbox_that_is_there() -> None:
    """Telling the Guardian is worth nothing where no provider has one to tell."""
    neither = {("parties", position, "caldicott_guardian"): GONE for position in (0, 3)}
    told = [one for one in faults_of(2, neither) if one.code is Code.BREAK_GLASS_TELLS_NOBODY]
    assert [one.pointer for one in told] == [(*BREAK_GLASS, "notify", 1)]


def test_urgent_access_is_a_persons() -> None:
    """A rule for programs cannot break the glass."""
    found = faults_of(2, {("access", "rules", 1, "actor"): {"mode": "application"}})
    assert [one.code for one in found] == [Code.BREAK_GLASS_NEEDS_PERSON]
