"""What must be so before an agreement is signed: the law's rules, and who must have decided."""

from policies.authoring.bases import BASIS_LISTS
from policies.authoring.catalogue import CATALOGUE
from policies.authoring.codes import Code, Guidance
from policies.authoring.draft import BINDING_STATUSES, AuthoringFault, PartyFacts
from policies.authoring.rules import check
from policies.authoring.succession import check_succession

__all__ = [
    "BASIS_LISTS",
    "BINDING_STATUSES",
    "CATALOGUE",
    "AuthoringFault",
    "Code",
    "Guidance",
    "PartyFacts",
    "check",
    "check_succession",
]
