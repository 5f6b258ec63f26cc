"""What may be applied, and in place of what."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.registry.authoring import Examiner, succession_faults
from policies.document import read_agreement
from tests.configured import pack_configuration

CONFIGURATION = pack_configuration()
KEY = "DSA-2026-0003"
DOCUMENT = CONFIGURATION.agreements[KEY]
AT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "refused"),
    [("draft", False), ("in_review", False), ("rejected", False), ("approved", True)],
)
def test_what_is_still_being_written_may_be_applied(status: str, refused: bool) -> None:
    """The rules hold from the owner's decision on."""
    agreement = read_agreement(
        {**DOCUMENT, "status": status, "onward_sharing": {"permitted": True}}
    )
    faults = list(Examiner.of(CONFIGURATION).refusals(agreement, AT))
    assert bool(faults) == refused
    if refused:
        assert faults[0].code == "ONWARD_SHARING_BARRED"
        assert "Digital Economy Act 2017 s.41" in faults[0].message


def test_the_packs_agreements_may_be_applied() -> None:
    """As they stand, all five keep every rule."""
    examiner = Examiner.of(CONFIGURATION)
    for document in CONFIGURATION.agreements.values():
        assert list(examiner.refusals(read_agreement(document), AT)) == []


def test_a_signed_agreement_is_not_replaced_by_another_of_its_version() -> None:
    """The sentence names the agreement and the code; a new agreement takes nobody's place."""
    (told,) = succession_faults(
        {KEY: DOCUMENT}, {KEY: {**DOCUMENT, "title": "Other"}, "new": DOCUMENT}
    )
    assert told.startswith(f"agreement {KEY}: version 1 was signed")
    assert told.endswith("[SIGNED_VERSION_CHANGED]")
    assert succession_faults({KEY: DOCUMENT}, {KEY: DOCUMENT}) == ()
