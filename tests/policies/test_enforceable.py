"""An agreement that this gateway cannot carry out is refused before anybody relies on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from policies.enforceable import unenforceable


def test_the_agreements_of_the_pack_can_be_enforced(pack: Any) -> None:
    """Nothing is found where every service and duty is known."""
    for agreement in pack.agreements.values():
        assert unenforceable(agreement, pack.services) == []


def test_a_service_that_is_not_there_is_named_with_its_nearest(pack: Any) -> None:
    """The fault points to the rule, and tells what was probably meant."""
    agreement = pack.agreements["DSA-2026-0003"]
    rule = replace(agreement.rules[0], connector="eligibilty")
    faults = unenforceable(replace(agreement, rules=(rule,)), pack.services)
    assert [(fault.pointer, fault.code) for fault in faults] == [
        (("access", "rules", 0, "connector"), "unknown-reference")
    ]
    assert "eligibility" in faults[0].message


def test_a_kind_of_identifier_that_nobody_knows_is_refused(pack: Any) -> None:
    """Its syntax could not be checked."""
    agreement = pack.agreements["DSA-2026-0003"]
    name = agreement.rules[0].connector
    strange = replace(pack.services[name], identifiers={"uprn": "shoe_size"})
    faults = unenforceable(agreement, {**pack.services, name: strange})
    assert {fault.code for fault in faults} == {"not-enforceable"}
