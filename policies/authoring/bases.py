"""The lawful bases of UK GDPR: Articles 6, 9 and 10, and the conditions of DPA 2018 Schedule 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from policies.authoring.codes import Code
from policies.authoring.draft import AuthoringFault, Draft, Side, fault
from policies.reading import Pointer, nearest
from policies.vocabulary import Condition

BASIS_LISTS: Final[Mapping[str, str]] = {
    "article6": "ukgdpr_article6",
    "recognised_legitimate_interest": "recognised_legitimate_interest",
    "article9": "ukgdpr_article9",
    "schedule1": "dpa2018_schedule1",
    "part3_ground": "processing_ground",
    "purposes": "law_enforcement_purpose",
    "sensitive_ground": "sensitive_ground",
    "schedule8": "schedule8",
}
"""What each list of a basis is called in the vocabulary."""

_PUBLIC_TASK: Final = "UKGDPR-6-1-e"
_RECOGNISED_INTEREST: Final = "recognised_legitimate_interest"
_TASK_DISCLOSURE: Final = "RLI-PUBLIC-TASK-DISCLOSURE"
_OFFENCES: Final = 3
"""The part of Schedule 1 that is for criminal offence data alone."""
_DISCLOSING: Final = frozenset({"disclosure", "combination"})


def check_bases(draft: Draft) -> Iterator[AuthoringFault]:
    """Yield what is wrong with the bases of each side."""
    for side in Side:
        yield from _check_codes(draft, side)
        if draft.ukgdpr(side) and draft.personal:
            yield from _check_article6(draft, side)
            yield from _check_article9(draft, side)
            yield from _check_criminal_offence(draft, side)
            yield from _check_schedule1(draft, side)
    yield from _check_policy_document(draft)
    yield from _check_request_context(draft)


def check_code(draft: Draft, name: str, code: str, pointer: Pointer) -> Iterator[AuthoringFault]:
    """Yield a fault if `code` is not in the list `name`, or not law on the agreement's day."""
    codes = draft.law.vocabulary.codes(name)
    if code not in codes:
        message = f"{code!r} is not in the list {name}{nearest(code, codes)}"
        yield fault(Code.CODE_NOT_IN_VOCABULARY, pointer, message)
    elif draft.law.vocabulary.find(name, code, draft.day) is None:
        message = f"{code!r} is not law on {draft.day.date().isoformat()}"
        yield fault(Code.CODE_NOT_IN_FORCE, pointer, message)


def _check_codes(draft: Draft, side: Side) -> Iterator[AuthoringFault]:
    legal = draft.agreement.legal
    bases = legal.provider_basis if side is Side.PROVIDER else legal.consumer_basis
    for member, codes in bases.items():
        name = BASIS_LISTS.get(member)
        if name is None:
            message = f"{member!r} is no list of bases{nearest(member, BASIS_LISTS)}"
            pointer: Pointer = ("legal", side.value, member)
            yield fault(Code.CODE_NOT_IN_VOCABULARY, pointer, message)
            continue
        for position, code in enumerate(codes):
            yield from check_code(draft, name, code, ("legal", side.value, member, position))


def _check_article6(draft: Draft, side: Side) -> Iterator[AuthoringFault]:
    vocabulary = draft.law.vocabulary
    pointer: Pointer = ("legal", side.value, "article6")
    bases = draft.basis(side, "article6")
    if not bases:
        message = f"the {side.role} has no basis under Article 6"
        yield fault(Code.ARTICLE6_MISSING, pointer, message)
    open_bases = [one for one in bases if not vocabulary.bars_public_authorities(one)]
    sharing = [party for _, party in draft.members(side)]
    barred = [party.ref for party in sharing if draft.facts(party).public_authority]
    # A basis that is barred to one party may be another's: a charity beside a council.
    told_apart = bool(open_bases) and len(barred) < len(sharing)
    for position, basis in enumerate(bases):
        if basis not in open_bases and barred and not told_apart:
            message = f"{barred[0]} is a public authority and cannot rely on {basis}"
            where = (*pointer, position)
            yield fault(Code.ARTICLE6_NOT_AVAILABLE_TO_PUBLIC_AUTHORITY, where, message)
            continue
        for name in vocabulary.lists_needed(basis):
            if not draft.basis(side, name):
                message = f"{basis} needs a condition of the list {name}"
                yield fault(Code.RECOGNISED_INTEREST_MISSING, (*pointer, position), message)
    if _TASK_DISCLOSURE in draft.basis(side, _RECOGNISED_INTEREST) and (
        _PUBLIC_TASK not in draft.basis(Side.CONSUMER, "article6")
    ):
        message = f"{_TASK_DISCLOSURE}, and the consumer does not rely on {_PUBLIC_TASK}"
        where = ("legal", side.value, _RECOGNISED_INTEREST)
        yield fault(Code.RECOGNISED_INTEREST_NEEDS_PUBLIC_TASK, where, message)


def _check_article9(draft: Draft, side: Side) -> Iterator[AuthoringFault]:
    bases, conditions = draft.basis(side, "article9"), draft.basis(side, "schedule1")
    pointer: Pointer = ("legal", side.value, "article9")
    if not bases and "special_category" in draft.agreement.legal.data_types:
        message = f"the {side.role} has no condition under Article 9 for special category data"
        yield fault(Code.ARTICLE9_MISSING, pointer, message)
    for position, basis in enumerate(bases):
        needed = draft.law.vocabulary.article9_needs.get(basis, frozenset())
        if needed and not needed & set(conditions):
            wanted = sorted(needed)[0] if len(needed) == 1 else "a condition of Part 2"
            message = f"{basis} needs {wanted} of Schedule 1"
            yield fault(Code.SCHEDULE1_CONDITION_MISSING, (*pointer, position), message)


def _check_criminal_offence(draft: Draft, side: Side) -> Iterator[AuthoringFault]:
    if "criminal_offence" not in draft.agreement.legal.data_types:
        return
    official = all(draft.facts(party).competent_authority for _, party in draft.members(side))
    if not official and not draft.basis(side, "schedule1"):
        message = f"the {side.role} handles criminal offence data without a condition"
        pointer = ("legal", side.value, "schedule1")
        yield fault(Code.CRIMINAL_OFFENCE_CONDITION_MISSING, pointer, message)


def _check_schedule1(draft: Draft, side: Side) -> Iterator[AuthoringFault]:
    bases = draft.basis(side, "article9")
    offences = "criminal_offence" in draft.agreement.legal.data_types
    needs = draft.law.vocabulary.article9_needs
    supported = frozenset().union(*(needs.get(basis, frozenset()) for basis in bases))
    for position, code in enumerate(draft.basis(side, "schedule1")):
        condition = draft.law.vocabulary.conditions.get(code)
        if condition is None or code in supported:
            continue
        # s.10(5): a condition of Part 1, 2 or 3 serves criminal offence data by itself.
        if not offences:
            belongs = "criminal offence data" if condition.part == _OFFENCES else "Article 9 data"
            message = f"{code} is for {belongs}, of which the {side.role} has none"
            pointer = ("legal", side.value, "schedule1", position)
            yield fault(Code.SCHEDULE1_CONDITION_NOT_APPLICABLE, pointer, message)


def _check_policy_document(draft: Draft) -> Iterator[AuthoringFault]:
    if draft.agreement.legal.appropriate_policy_document:
        return
    for side in Side:
        for condition in _conditions(draft, side):
            if condition.policy_document and not _spared(draft, side, condition):
                message = (
                    f"{condition.code} of the {side.role} needs an appropriate policy document"
                )
                pointer = ("legal", "appropriate_policy_document")
                yield fault(Code.POLICY_DOCUMENT_MISSING, pointer, message)
                return


def _spared(draft: Draft, side: Side, condition: Condition) -> bool:
    """Whether all who receive are competent authorities, to whom para 10(2) lets one disclose."""
    consumers = [draft.facts(party) for _, party in draft.members(Side.CONSUMER)]
    return (
        condition.spares_disclosure_to_competent_authority
        and side is Side.PROVIDER
        and all(facts.competent_authority for facts in consumers)
    )


def _check_request_context(draft: Draft) -> Iterator[AuthoringFault]:
    wanted: dict[str, str] = {}
    for side in Side:
        for condition in _conditions(draft, side):
            wanted |= dict.fromkeys(condition.request_must_state, condition.code)
    for pointer, rule, dataset in draft.rules():
        if rule.action not in _DISCLOSING or dataset is None:
            continue
        for word, code in wanted.items():
            if word not in rule.request_context_required:
                message = f"{rule.id} discloses under {code}, and does not ask for {word}"
                where = (*pointer, "request_context_required")
                yield fault(Code.REQUEST_CONTEXT_MISSING, where, message)


def _conditions(draft: Draft, side: Side) -> Iterator[Condition]:
    for code in draft.basis(side, "schedule1"):
        condition = draft.law.vocabulary.conditions.get(code)
        if condition is not None:
            yield condition
