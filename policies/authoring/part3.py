"""Law enforcement processing: the parties, grounds and marks that DPA 2018 Part 3 asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.authoring.bases import check_code
from policies.authoring.codes import Code
from policies.authoring.draft import AuthoringFault, Draft, Side, fault
from policies.reading import Pointer, nearest

SUBJECT_CATEGORY: Final = "subject_category"
CASE_WORDS: Final = ("decision_ref", "operation_ref")
"""What a request that is decided case by case must state."""

_STRICTLY_NECESSARY: Final = "DPA2018-s35-5"


def check_part3(draft: Draft) -> Iterator[AuthoringFault]:
    """Yield what Part 3 asks for and the agreement does not have."""
    yield from _check_parties(draft)
    for side in Side:
        if draft.part3(side):
            yield from _check_side(draft, side)
    yield from _check_requests(draft)
    yield from _check_reuse(draft)


def _check_parties(draft: Draft) -> Iterator[AuthoringFault]:
    for position, party in draft.bodies():
        under_part3 = any(draft.part3(side) and side.role in party.roles for side in Side)
        said = party.dp_role == "competent_authority"
        if not (under_part3 or said) or draft.facts(party).competent_authority:
            continue
        message = f"{party.ref} is not a competent authority"
        pointer = ("parties", position, "dp_role" if said else "ref")
        yield fault(Code.PART3_PARTY_NOT_COMPETENT_AUTHORITY, pointer, message)


def _check_side(draft: Draft, side: Side) -> Iterator[AuthoringFault]:
    pointer: Pointer = ("legal", side.value)
    if not draft.basis(side, "part3_ground"):
        message = f"the {side.role} has no ground under s.35(2)"
        yield fault(Code.PART3_GROUND_MISSING, (*pointer, "part3_ground"), message)
    if not draft.basis(side, "purposes"):
        message = f"the {side.role} has no law enforcement purpose"
        yield fault(Code.PART3_PURPOSE_MISSING, (*pointer, "purposes"), message)
    legal = draft.agreement.legal
    sensitive = legal.part3.get("sensitive_processing") is True
    if not sensitive and "special_category" not in legal.data_types:
        return
    grounds = draft.basis(side, "sensitive_ground")
    if not grounds:
        message = f"the {side.role} has no ground for sensitive processing"
        where = (*pointer, "sensitive_ground")
        yield fault(Code.PART3_SENSITIVE_CONDITION_MISSING, where, message)
    elif _STRICTLY_NECESSARY in grounds and not draft.basis(side, "schedule8"):
        message = f"{_STRICTLY_NECESSARY} needs a condition of Schedule 8"
        where = (*pointer, "schedule8")
        yield fault(Code.PART3_SENSITIVE_CONDITION_MISSING, where, message)
    if not legal.appropriate_policy_document:
        message = f"sensitive processing of the {side.role} needs an appropriate policy document"
        where = ("legal", "appropriate_policy_document")
        yield fault(Code.POLICY_DOCUMENT_MISSING, where, message)


def _check_requests(draft: Draft) -> Iterator[AuthoringFault]:
    if draft.part3(Side.CONSUMER):
        yield from _check_categories(draft)
    for pointer, rule, _ in draft.rules():
        where = (*pointer, "request_context_required")
        if draft.part3(Side.CONSUMER) and SUBJECT_CATEGORY not in rule.request_context_required:
            message = f"{rule.id} does not ask for {SUBJECT_CATEGORY}"
            yield fault(Code.SUBJECT_CATEGORY_MISSING, where, message)
        if draft.agreement.kind == "le_disclosure_protocol":
            for word in CASE_WORDS:
                if word not in rule.request_context_required:
                    message = f"{rule.id} discloses without asking for {word}"
                    yield fault(Code.CASE_DECISION_MISSING, where, message)


def _check_categories(draft: Draft) -> Iterator[AuthoringFault]:
    listed = draft.agreement.legal.part3.get("subject_categories")
    known = draft.law.vocabulary.part3_words[SUBJECT_CATEGORY]
    pointer = ("legal", "part3", "subject_categories")
    if not isinstance(listed, list | tuple) or not listed:
        message = "no category of people is named"
        yield fault(Code.SUBJECT_CATEGORY_MISSING, pointer, message)
        return
    for position, one in enumerate(listed):
        # The model leaves Part 3 open: what stands here may be no text at all.
        if not isinstance(one, str) or one not in known:
            message = f"{one!r} is no category of s.38(3){nearest(str(one), known)}"
            yield fault(Code.CODE_NOT_IN_VOCABULARY, (*pointer, position), message)


def _check_reuse(draft: Draft) -> Iterator[AuthoringFault]:
    """s.36(4): what a competent authority collected leaves Part 3 only by authority of law."""
    legal = draft.agreement.legal
    from_authority = any(
        party.dp_role == "competent_authority" for _, party in draft.members(Side.PROVIDER)
    )
    if legal.regime == "ukgdpr" and from_authority and not legal.part3.get("note"):
        message = "a competent authority provides for another purpose, and no law is named"
        yield fault(Code.LAW_ENFORCEMENT_REUSE_NOT_AUTHORISED, ("legal", "part3"), message)


def check_exemptions(draft: Draft) -> Iterator[AuthoringFault]:
    """Yield exemptions and restrictions of rights that are none."""
    agreement = draft.agreement
    for position, code in enumerate(agreement.legal.exemptions):
        yield from check_code(draft, "exemption", code, ("legal", "exemptions", position))
    restriction = agreement.rights.restriction_basis
    vocabulary = draft.law.vocabulary
    if restriction is not None and restriction not in vocabulary.part3_words["rights_restriction"]:
        pointer = ("rights", "restriction_basis")
        yield from check_code(draft, "exemption", restriction, pointer)
