"""Whether parties, regime, kind and data fit together before any basis is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.agreement import Party
from policies.authoring.codes import Code
from policies.authoring.draft import AuthoringFault, Draft, about_people, fault
from policies.decision import PUBLIC

_DECLARED_AS: Final = {
    "personal": ("personal", "special_category", "criminal_offence", "pseudonymised"),
    "special_category": ("special_category",),
    "criminal_offence": ("criminal_offence",),
}
"""For the class of a field, the data types of which one must be declared."""


def check_standing(draft: Draft) -> Iterator[AuthoringFault]:
    """Yield what is wrong with the parties, the regime, the kind and the classes of data."""
    yield from _check_regime(draft)
    yield from _check_data_types(draft)
    yield from _check_kind(draft)
    for position, party in draft.bodies():
        yield from _check_party(draft, position, party)


def _check_regime(draft: Draft) -> Iterator[AuthoringFault]:
    regime = draft.agreement.legal.regime
    pointer = ("legal", "regime")
    if regime != "not_personal":
        if not draft.personal:
            message = f"the regime is {regime}, yet legal.data_types names no personal data"
            yield fault(Code.REGIME_CONTRADICTS_DATA, pointer, message)
        return
    if draft.personal:
        message = "the regime is not_personal, yet legal.data_types names personal data"
        yield fault(Code.REGIME_CONTRADICTS_DATA, pointer, message)
    for position, dataset in enumerate(draft.agreement.datasets):
        if about_people(dataset):
            message = f"{dataset.dataset!r} is {dataset.identifiability}, so it is personal data"
            pointer_of = ("data", position, "identifiability")
            yield fault(Code.REGIME_CONTRADICTS_DATA, pointer_of, message)


def _check_data_types(draft: Draft) -> Iterator[AuthoringFault]:
    declared = draft.agreement.legal.data_types
    for number, dataset in enumerate(draft.agreement.datasets):
        for position, field in enumerate(dataset.fields):
            wanted = _DECLARED_AS.get(field.class_, ())
            if wanted and not field.never and not set(wanted) & set(declared):
                message = f"{field.name!r} is {field.class_} data, which is not declared"
                pointer = ("data", number, "fields", position, "class")
                yield fault(Code.DATA_TYPE_NOT_DECLARED, pointer, message)


def _check_kind(draft: Draft) -> Iterator[AuthoringFault]:
    agreement = draft.agreement
    kind, legal, purpose = agreement.kind, agreement.legal, agreement.purpose
    roles = {party.dp_role for party in agreement.parties}
    public = any(party.ref == PUBLIC for party in agreement.parties)
    law_enforcement = legal.regime in ("ukgdpr_to_part3", "part3")
    wanted = {
        "dea_isa": ((legal.dea is not None, ("legal", "dea")),),
        "dspa": (("processor" in roles, ("parties",)),),
        "safeguarding_protocol": (
            (bool(purpose.less_intrusive_options), ("purpose", "less_intrusive_options")),
            (bool(purpose.harm_of_not_sharing), ("purpose", "harm_of_not_sharing")),
        ),
        "open_publication": (
            (legal.regime == "not_personal", ("legal", "regime")),
            (public, ("parties",)),
        ),
        "le_disclosure_protocol": (
            (law_enforcement, ("legal", "regime")),
            (bool(legal.exemptions) or legal.regime == "part3", ("legal", "exemptions")),
        ),
    }
    missing = {
        "dspa": "a party with the dp_role processor",
        "open_publication": "the regime not_personal and the party 'public'",
        "le_disclosure_protocol": "a regime that leads to Part 3, and the exemption relied on",
    }
    for there, pointer in wanted.get(kind, ()):
        if not there:
            what = missing.get(kind, f"{'.'.join(pointer)}")
            yield fault(Code.KIND_FIELD_MISSING, pointer, f"a {kind} needs {what}")


def _check_party(draft: Draft, position: int, party: Party) -> Iterator[AuthoringFault]:
    pointer = ("parties", position)
    if party.ref not in draft.parties:
        yield fault(Code.PARTY_UNKNOWN, (*pointer, "ref"), f"nobody knows the body {party.ref!r}")
        return
    role = (*pointer, "dp_role")
    roles = [one.dp_role for one in draft.agreement.parties]
    if draft.personal and party.dp_role == "none":
        message = f"{party.ref} handles personal data, and is said to be nothing"
        yield fault(Code.DATA_PROTECTION_ROLE_MISSING, role, message)
    if party.dp_role == "joint_controller" and roles.count("joint_controller") == 1:
        message = f"{party.ref} is the only joint controller"
        yield fault(Code.JOINT_CONTROLLER_ALONE, role, message)
    if party.dp_role == "processor" and draft.agreement.kind != "dspa":
        message = f"{party.ref} is a processor, and a {draft.agreement.kind} has no terms for one"
        yield fault(Code.PROCESSOR_NEEDS_PROCESSING_AGREEMENT, role, message)
    if draft.personal and draft.facts(party).public_authority:
        for name in ("dpo", "iao"):
            if not getattr(party, name):
                message = f"{party.ref} names no {name}"
                yield fault(Code.PARTY_CONTACT_MISSING, (*pointer, name), message)
    for name in ("iao", "siro"):
        if party.dpo and party.dpo == getattr(party, name):
            message = f"{party.ref}: the DPO is also the {name}"
            yield fault(Code.DATA_PROTECTION_OFFICER_CONFLICT, (*pointer, "dpo"), message)
