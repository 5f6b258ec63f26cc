"""What protects the people the data is about: confidence, assessment, review, urgent access."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Final

from policies.agreement import BreakGlass
from policies.authoring.bases import check_code
from policies.authoring.codes import Code
from policies.authoring.draft import (
    BINDING_STATUSES,
    NOT_CONFIDENTIAL,
    AuthoringFault,
    Draft,
    Side,
    about_people,
    fault,
)
from policies.decision import PUBLIC
from policies.reading import Pointer
from policies.times import LONDON, Duration

NEVER_RELAXED: Final = frozenset({"purpose", "party", "legal_instrument", "fields", "audit"})
"""What urgent access leaves as strict as it was, whatever its clause says."""
HIGH_RISK: Final = "high_prior_consultation"
"""The outcome of a DPIA whose risk stayed high, so that the ICO was asked first (Art 36)."""

_HEALTH: Final = frozenset({"UKGDPR-9-2-h", "UKGDPR-9-2-i"})
_HEALTH_BODY: Final = "ods:"
_CONTACTS: Final = {
    "dpo": "dpo",
    "information_asset_owner": "iao",
    "caldicott_guardian": "caldicott_guardian",
}
"""Whom urgent access is told to, and the contact of a party that it is sent to."""


def check_safeguards(draft: Draft) -> Iterator[AuthoringFault]:
    """Yield the safeguards that are missing or that contradict what they protect."""
    yield from _check_confidence(draft)
    yield from _check_review(draft)
    yield from _check_guardian(draft)
    yield from _check_assessment(draft)
    yield from _check_publication(draft)
    yield from _check_visibility(draft)
    if draft.agreement.break_glass is not None:
        yield from _check_break_glass(draft, draft.agreement.break_glass)


def _check_confidence(draft: Draft) -> Iterator[AuthoringFault]:
    legal, vocabulary = draft.agreement.legal, draft.law.vocabulary
    basis, pointer = legal.confidentiality_basis, ("legal", "confidentiality_basis")
    yield from check_code(draft, "confidentiality_basis", basis, pointer)
    health = any(_HEALTH & set(draft.basis(side, "article9")) for side in Side)
    identifiable = any(about_people(one) for one in draft.agreement.datasets)
    if basis == NOT_CONFIDENTIAL and health and identifiable:
        message = "health data about people is shared, and said not to be confidential"
        yield fault(Code.CONFIDENTIALITY_BASIS_CONTRADICTS_DATA, pointer, message)
    wanted = vocabulary.opt_out_applies.get(basis)
    said = legal.national_data_opt_out
    if wanted is not None and wanted != (said is not None and said.applies):
        applies = "applies" if wanted else "does not apply"
        message = f"under {basis} the national data opt-out {applies}"
        where = ("legal", "national_data_opt_out")
        yield fault(Code.OPT_OUT_CONTRADICTS_BASIS, where, message)


def _check_review(draft: Draft) -> Iterator[AuthoringFault]:
    """Every limit on the time between reviews, counted from the last one or from the start."""
    agreement, law = draft.agreement, draft.law
    reviews = (step.at for step in agreement.governance if step.step == "review")
    since = max((agreement.term.start, *reviews))
    limits: dict[str, Duration] = {}
    basis = agreement.legal.confidentiality_basis
    if basis in law.vocabulary.review_at_most_every:
        limits[basis] = law.vocabulary.review_at_most_every[basis]
    for one in agreement.legal.instruments:
        instrument = law.law.instruments.get(one)
        if instrument is not None and instrument.review_at_most_every is not None:
            limits[one] = instrument.review_at_most_every
    for name, limit in limits.items():
        latest = _day_after(limit, since)
        if agreement.term.review_by > latest:
            message = f"{name} asks for a review by {latest.isoformat()}"
            yield fault(Code.REVIEW_TOO_LATE, ("term", "review_by"), message)


def _day_after(limit: Duration, since: datetime) -> date:
    return limit.after(since.astimezone(LONDON)).date()


def _check_guardian(draft: Draft) -> Iterator[AuthoringFault]:
    """Each health body has one, and where no party is a health body, somebody has."""
    if not draft.confidential_patient_data:
        return
    bodies = list(draft.bodies())
    for position, party in bodies:
        if party.ref.startswith(_HEALTH_BODY) and not party.caldicott_guardian:
            message = f"{party.ref} names no Caldicott Guardian"
            pointer = ("parties", position, "caldicott_guardian")
            yield fault(Code.CALDICOTT_GUARDIAN_MISSING, pointer, message)
    health = any(party.ref.startswith(_HEALTH_BODY) for _, party in bodies)
    if not health and not any(party.caldicott_guardian for _, party in bodies):
        message = "no party names a Caldicott Guardian"
        yield fault(Code.CALDICOTT_GUARDIAN_MISSING, ("parties",), message)


def _check_assessment(draft: Draft) -> Iterator[AuthoringFault]:
    agreement, dpia = draft.agreement, draft.agreement.legal.dpia
    if dpia is None:
        if draft.personal:
            message = "no data protection impact assessment is named"
            yield fault(Code.IMPACT_ASSESSMENT_MISSING, ("legal", "dpia"), message)
        return
    pointer = ("legal", "dpia", "completed")
    decided = agreement.status in BINDING_STATUSES
    if dpia.outcome == "not_required" or not (decided or dpia.outcome == HIGH_RISK):
        return
    if dpia.completed is None:
        message = f"{dpia.ref} is not completed"
        yield fault(Code.IMPACT_ASSESSMENT_NOT_COMPLETED, pointer, message)
        return
    approvals = [
        step.at.astimezone(LONDON).date()
        for step in agreement.governance
        if step.step == "owner_decision" and step.outcome == "approved"
    ]
    if approvals and dpia.completed > min(approvals):
        message = f"{dpia.ref} was completed after the owner decided"
        yield fault(Code.IMPACT_ASSESSMENT_NOT_COMPLETED, pointer, message)


def _check_publication(draft: Draft) -> Iterator[AuthoringFault]:
    transparency = draft.agreement.transparency
    if transparency.publish == "withheld" and not transparency.withheld_reason:
        message = "the agreement is withheld from the register without a reason"
        pointer: Pointer = ("transparency", "withheld_reason")
        yield fault(Code.WITHHELD_WITHOUT_REASON, pointer, message)
    for pointer, rule, dataset in draft.rules():
        if dataset is None:
            continue
        public = rule.party == PUBLIC
        if public and about_people(dataset):
            message = f"{rule.id} opens {dataset.dataset!r}, which is {dataset.identifiability}"
            yield fault(Code.PERSONAL_DATA_TO_PUBLIC, (*pointer, "dataset"), message)
        suppressed = dataset.identifiability == "aggregate_suppressed"
        counted = suppressed or (public and dataset.identifiability.startswith("aggregate"))
        if counted and "small_number_guard" not in rule.obligations:
            message = f"{rule.id} releases counts of {dataset.dataset!r} without the guard"
            yield fault(Code.SMALL_NUMBER_GUARD_MISSING, (*pointer, "obligations"), message)


def _check_visibility(draft: Draft) -> Iterator[AuthoringFault]:
    rights = draft.agreement.rights
    hiding = [
        rule.id for rule in draft.agreement.rules if "hide_from_subject_view" in rule.obligations
    ]
    if rights.restriction_basis is None and (rights.subject_visibility == "restricted" or hiding):
        what = f"{hiding[0]} hides exchanges" if hiding else "subject_visibility is restricted"
        pointer = ("rights", "restriction_basis")
        yield fault(Code.RESTRICTION_BASIS_MISSING, pointer, f"{what}, without a basis")


def _check_break_glass(draft: Draft, clause: BreakGlass) -> Iterator[AuthoringFault]:
    pointer: Pointer = ("access", "break_glass")
    for position, word in enumerate(clause.relaxes):
        if word in NEVER_RELAXED or word in clause.never_relaxes:
            message = f"urgent access would relax {word}"
            where = (*pointer, "relaxes", position)
            yield fault(Code.BREAK_GLASS_RELAXES_TOO_MUCH, where, message)
    for name in ("roles", "reasons"):
        if not getattr(clause, name):
            message = f"urgent access names no {name}"
            yield fault(Code.BREAK_GLASS_NEEDS_PERSON, (*pointer, name), message)
    for place, rule, _ in draft.rules():
        if rule.id in clause.rules and rule.actor.mode != "user":
            message = f"urgent access by {rule.id} is not by a person"
            yield fault(Code.BREAK_GLASS_NEEDS_PERSON, (*place, "actor", "mode"), message)
    told = ["dpo", "information_asset_owner"]
    if draft.confidential_patient_data:
        told.append("caldicott_guardian")
    for role in told:
        if role not in clause.notify:
            message = f"urgent access is not told to the {role}"
            yield fault(Code.BREAK_GLASS_TELLS_NOBODY, (*pointer, "notify"), message)
    for position, role in enumerate(clause.notify):
        contact = _CONTACTS.get(role)
        providers = draft.members(Side.PROVIDER)
        if contact and not any(getattr(party, contact) for _, party in providers):
            message = f"no provider has a {contact} to be told"
            where = (*pointer, "notify", position)
            yield fault(Code.BREAK_GLASS_TELLS_NOBODY, where, message)
