"""The facts of services are read strictly."""

from __future__ import annotations

from typing import Any

import pytest

from policies.reading import DocumentInvalid
from policies.service import ServiceFacts, read_services


def test_the_services_of_the_pack_are_read(pack: Any) -> None:
    """Identifiers, scope columns and protected people are known."""
    facts = pack.services["nhse-spl"]
    assert facts.identifiers["lad_code"] == "gss"
    assert facts.scope_columns == ("lad_code",)
    assert facts.restricted_when == {"pds_restricted": "true"}


def test_what_is_left_out_has_its_standing_value() -> None:
    """A service needs a connector and an owner, and no more."""
    (facts,) = read_services({"services": [{"connector": "c", "owner": "ods:R9Z"}]})
    assert facts == ServiceFacts(connector="c", owner="ods:R9Z")


def test_faults_are_told_at_once() -> None:
    """Unknown kinds, formats, pointers and repeated connectors."""
    one = {"connector": "c", "owner": "o", "identifiers": {"n": "nhs_numbr"}, "records_at": "x"}
    two = {"connector": "c", "owner": "o", "error_format": "soap"}
    with pytest.raises(DocumentInvalid) as raised:
        read_services({"services": [one, two]})
    codes = sorted(fault.code for fault in raised.value.faults)
    assert codes == ["duplicate", "duplicate", "malformed", "not-one-of", "not-one-of"]
