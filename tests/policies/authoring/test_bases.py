"""Lawful bases: who may rely on which, from when, and with what beside them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from policies.authoring import Code
from tests.policies.authoring.examples import (
    CONSUMER,
    COUNCIL,
    DOCUMENTS,
    POLICE,
    PROVIDER,
    faults_of,
)

IN_FORCE = datetime(2026, 2, 5, tzinfo=UTC)
CHARITY = "urn:ukfdx:org:vcs:SYN-FOODBANK"
PRIVATE = {COUNCIL: {"public_authority": False}}
INTEREST = {
    ("status",): "draft",
    ("term", "start"): "2025-09-01T00:00:00Z",
    CONSUMER: {
        "article6": ["UKGDPR-6-1-ea"],
        "recognised_legitimate_interest": ["RLI-SAFEGUARDING"],
    },
}


@pytest.mark.parametrize(("seconds", "lawful"), [(-1, False), (0, True)])
def test_a_recognised_interest_is_law_from_its_day(seconds: int, lawful: bool) -> None:
    """Art 6(1)(ea) can be relied on from 5 February 2026, and not a second before."""
    found = faults_of(3, INTEREST, facts=PRIVATE, at=IN_FORCE + timedelta(seconds=seconds))
    assert {one.code for one in found} == (set() if lawful else {Code.CODE_NOT_IN_FORCE})


def test_a_draft_may_rely_on_what_is_law_when_it_starts() -> None:
    """Written in January, it begins in March: the law of March governs."""
    later = {**INTEREST, ("term", "start"): "2026-03-01T00:00:00Z"}
    assert faults_of(3, later, facts=PRIVATE, at=IN_FORCE - timedelta(days=30)) == ()


@pytest.mark.parametrize("basis", ["UKGDPR-6-1-ea", "UKGDPR-6-1-f"])
@pytest.mark.parametrize("side", [PROVIDER, CONSUMER])
def test_a_public_authority_has_its_task(side: tuple[str, str], basis: str) -> None:
    """Neither interest is open to it, on either side, and only that is told."""
    (found,) = faults_of(3, {(*side, "article6"): [basis]})
    assert found.code is Code.ARTICLE6_NOT_AVAILABLE_TO_PUBLIC_AUTHORITY
    assert found.pointer == (*side, "article6", 0)


def test_a_charity_beside_a_council_may_have_its_own_basis() -> None:
    """Where the side has another basis for the authority, the interest is the other body's."""
    parties = [
        *cast("list[object]", DOCUMENTS[3]["parties"]),
        {"ref": CHARITY, "roles": ["consumer"], "dp_role": "controller"},
    ]
    bases = {(*CONSUMER, "article6"): ["UKGDPR-6-1-e", "UKGDPR-6-1-f"]}
    paragraph = {CHARITY: {"dea_paragraph": 28}}
    barred = Code.ARTICLE6_NOT_AVAILABLE_TO_PUBLIC_AUTHORITY
    assert {one.code for one in faults_of(3, bases)} == {barred}
    beside = faults_of(3, {**bases, ("parties",): parties}, facts=paragraph)
    assert barred not in {one.code for one in beside}


def test_official_authority_needs_no_condition_for_offences() -> None:
    """UK GDPR Art 10: a competent authority handles offence data by its office."""
    offences = {("legal", "data_types"): ["personal", "criminal_offence"]}
    both = {COUNCIL: {"competent_authority": True}}
    (found,) = faults_of(3, offences, facts=both)
    assert found.pointer[1] == "provider_basis"


def test_prevention_of_crime_needs_no_document_towards_the_police() -> None:
    """Sch 1 para 10(2) spares whoever discloses to a competent authority."""
    change = {
        ("legal", "data_types"): ["personal", "criminal_offence"],
        PROVIDER: {"article6": ["UKGDPR-6-1-e"], "schedule1": ["DPA2018-Sch1-10"]},
    }
    assert faults_of(5, change) == ()
    civilian = {POLICE: {"competent_authority": False}}
    assert Code.POLICY_DOCUMENT_MISSING in {
        one.code for one in faults_of(5, change, facts=civilian)
    }


def test_a_list_that_nobody_knows_is_told_with_the_nearest() -> None:
    """A slip in the name of a list must not take its codes out of sight."""
    found = faults_of(1, {(*PROVIDER, "artikle9"): ["UKGDPR-9-2-h"]})
    assert [one.code for one in found] == [Code.CODE_NOT_IN_VOCABULARY]
    assert "did you mean 'article9'?" in found[0].message


def test_consultation_asks_for_less_than_disclosure() -> None:
    """Para 18's own words are asked for where records are disclosed, not where a yes or no is."""
    known = ("access", "rules", 0)
    assert faults_of(2, {}) == ()
    found = faults_of(2, {(*known, "action"): "disclosure"})
    assert {one.code for one in found} == {Code.REQUEST_CONTEXT_MISSING}
