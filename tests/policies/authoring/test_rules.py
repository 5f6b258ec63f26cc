"""Every authoring rule on agreements that keep it and on one that breaks it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from policies.authoring import CATALOGUE, check
from policies.document import read_agreement
from policies.law import Lawbook
from tests.policies.authoring.examples import (
    DOCUMENTS,
    EXAMPLES,
    FACTS,
    PACK_LAW,
    PRODUCT_LAW,
    Change,
    Example,
    brings_its_fault,
    faults_of,
    named,
)


@pytest.mark.parametrize("law", [PACK_LAW, PRODUCT_LAW], ids=["pack", "product"])
@pytest.mark.parametrize("of", sorted(DOCUMENTS))
@pytest.mark.parametrize("year", [2020, 2026, 2030])
def test_the_packs_agreements_keep_every_rule(of: int, law: Lawbook, year: int) -> None:
    """Under the pack's own law and under the product's, whenever it is asked."""
    at = datetime(year, 11, 22, tzinfo=UTC)
    assert check(read_agreement(DOCUMENTS[of]), law=law, parties=FACTS, at=at) == ()


@pytest.mark.parametrize("example", EXAMPLES, ids=named)
def test_a_broken_rule_is_told_with_place_source_and_mend(example: Example) -> None:
    """The change brings its own fault and no other, at a place, with its source and its mend."""
    assert brings_its_fault(example)
    for found in example.faults:
        assert found.pointer
        assert found.message
        assert (found.source, found.mend) == CATALOGUE[found.code][1:]


def test_nobody_is_asked_to_sign_what_the_law_forbids() -> None:
    """While the law says no, missing signatures are not told."""
    unsigned: Change = {("governance", "decisions"): []}
    illegal = {("legal", "dea", "objective"): "water_poverty"}
    assert {found.code for found in faults_of(3, unsigned)} > {"SIGNATURE_MISSING"}
    assert {found.code for found in faults_of(3, {**unsigned, **illegal})} == {
        "GATEWAY_OBJECTIVE_MISMATCH"
    }
