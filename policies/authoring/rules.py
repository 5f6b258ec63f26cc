"""The authoring rules as a whole: what must be so before an agreement is signed or put in force."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from policies.agreement import Agreement
from policies.authoring.bases import check_bases
from policies.authoring.draft import AuthoringFault, Draft, PartyFacts
from policies.authoring.gateways import check_gateways
from policies.authoring.governance import check_governance
from policies.authoring.part3 import check_exemptions, check_part3
from policies.authoring.safeguards import check_safeguards
from policies.authoring.standing import check_standing
from policies.authoring.succession import check_supersedes
from policies.law import Lawbook

_SUBSTANCE = (
    check_standing,
    check_bases,
    check_part3,
    check_exemptions,
    check_gateways,
    check_safeguards,
    check_supersedes,
)


def check(
    agreement: Agreement,
    *,
    law: Lawbook,
    parties: Mapping[str, PartyFacts],
    at: datetime,
) -> tuple[AuthoringFault, ...]:
    """Return why `agreement` cannot be signed, or be in force, as it stands; () if it can.

    `parties` are the facts about bodies by reference; `at` is when the check is made: a draft is
    judged by the law of then or of its start, one that was signed by the law of that day.
    Who decided and signed is asked only of an agreement that the law allows: nobody is to be sent
    for a signature under something that cannot be signed.
    """
    draft = Draft(agreement=agreement, law=law, parties=parties, at=at)
    faults = tuple(found for rule in _SUBSTANCE for found in rule(draft))
    return faults or tuple(check_governance(draft))
