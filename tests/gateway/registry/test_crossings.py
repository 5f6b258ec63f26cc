"""Tests of what documents say of each other."""

from __future__ import annotations

from dataclasses import replace

from gateway.registry.crossings import (
    Known,
    check_agreement,
    check_instruments,
    check_reasons,
    check_services,
)
from policies.document import read_agreement
from policies.law import Instrument
from policies.service import ServiceFacts
from tests.configured import pack_configuration

AGREEMENT = read_agreement(pack_configuration().agreements["DSA-2020-0001"])
KNOWN = Known(
    parties={party.ref for party in AGREEMENT.parties},
    instruments=set(AGREEMENT.legal.instruments),
    purposes={*AGREEMENT.purpose.codes, *AGREEMENT.purpose.prohibited},
)


def test_what_is_configured_may_be_named() -> None:
    """An agreement whose names are all known has no fault."""
    assert list(check_agreement(AGREEMENT, KNOWN)) == []


def test_each_unknown_name_is_a_fault_at_its_place() -> None:
    """Parties, purposes and instruments that nobody configured are found."""
    nothing = replace(KNOWN, parties=(), instruments=(), purposes=("SHIELDING_SUPPORTS",))
    faults = list(check_agreement(AGREEMENT, nothing))

    assert {fault.code for fault in faults} == {"unknown-reference"}
    assert [fault.pointer for fault in faults][:3] == [
        ("parties", 0, "ref"),
        ("parties", 1, "ref"),
        ("purpose", "codes", 0),
    ]
    assert faults[-1].pointer == ("legal", "instruments", 0)
    assert "did you mean 'SHIELDING_SUPPORTS'?" in faults[2].message


def test_a_services_owner_is_a_party() -> None:
    """A service of nobody is a fault."""
    facts = ServiceFacts(connector="a", owner="ods:X9Z")

    assert list(check_services([facts], {"ods:X9Z"})) == []
    assert [fault.pointer for fault in check_services([facts], ())] == [("services", 0, "owner")]


def test_an_instruments_purposes_are_in_the_vocabulary() -> None:
    """An instrument cannot cover a purpose that has no meaning."""
    one = Instrument(id="I", title="", gateway="", purposes=frozenset({"A", "B"}), versions=())

    assert len(list(check_instruments([one], {"A"}))) == 1


def test_a_vocabulary_lists_only_reasons_that_are_given() -> None:
    """A reason code that this gateway does not know is a fault with the nearest one."""
    (fault,) = check_reasons({"TOKEN_MISSING": 401, "TOKEN_MISING": 401})

    assert fault.pointer == ("reason_code", "TOKEN_MISING")
    assert "TOKEN_MISSING" in fault.message
