"""Who asked, advised, decided, signed and activated: separate people, in the right order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from policies.agreement import GovernanceStep
from policies.authoring.codes import Code
from policies.authoring.draft import (
    ACTIVATED_STATUSES,
    BINDING_STATUSES,
    SIGNED_STATUSES,
    AuthoringFault,
    Draft,
    Side,
    fault,
)
from policies.authoring.safeguards import HIGH_RISK
from policies.reading import Pointer

OWNER: Final = "information_asset_owner"
ADVICE: Final = ("legal_advice", "dpo_advice", "caldicott_review")
STEP_ROLES: Final = {
    "submit": ("requester",),
    "legal_advice": ("legal",),
    "dpo_advice": ("dpo",),
    "caldicott_review": ("caldicott_guardian",),
    "risk_acceptance": ("siro",),
    "owner_decision": (OWNER,),
    "signature": (OWNER,),
    "activation": (OWNER,),
    "suspension": (OWNER, "dpo", "siro", "operator"),
    "review": (OWNER,),
}
"""Who may take each step."""
_ADVICE_OUTCOMES: Final = (
    "favourable",
    "favourable_with_conditions",
    "unfavourable",
    "not_required",
)
STEP_OUTCOMES: Final = {
    "submit": ("submitted",),
    **dict.fromkeys(ADVICE, _ADVICE_OUTCOMES),
    "risk_acceptance": ("accepted", "rejected", "not_required"),
    "owner_decision": ("approved", "rejected"),
    "signature": ("signed",),
    "activation": ("activated",),
    "suspension": ("suspended",),
    "review": ("continued", "rejected"),
}
"""How each step can end."""

_TO_ANSWER: Final = frozenset({"favourable_with_conditions", "unfavourable"})
_SWITCHES: Final = frozenset({"activation", "suspension"})
_STEPS: Final[Pointer] = ("governance", "decisions")


def check_governance(draft: Draft) -> Iterator[AuthoringFault]:
    """Yield what is wrong with the steps, and which of those that the status needs are missing."""
    for position, step in enumerate(draft.agreement.governance):
        yield from _check_step(draft, (*_STEPS, position), step)
    yield from _check_separation(draft)
    status = draft.agreement.status
    if status in BINDING_STATUSES:
        yield from _check_decisions(draft)
        yield from _check_advice(draft)
    if status in SIGNED_STATUSES:
        yield from _check_signatures(draft)
    if status in ACTIVATED_STATUSES:
        yield from _check_risk(draft)
        yield from _check_activation(draft)
    yield from _check_order(draft)


def _taken(draft: Draft, step: str, outcome: str | None = None) -> list[GovernanceStep]:
    """Return the steps of one kind, in the order of their instants."""
    found = [
        one
        for one in draft.agreement.governance
        if one.step == step and outcome in (None, one.outcome)
    ]
    return sorted(found, key=lambda one: one.at)


def _check_step(draft: Draft, pointer: Pointer, step: GovernanceStep) -> Iterator[AuthoringFault]:
    if step.role not in STEP_ROLES[step.step]:
        message = f"{step.step} is not for a {step.role}"
        yield fault(Code.STEP_NOT_FOR_ROLE, (*pointer, "role"), message)
    if step.outcome not in STEP_OUTCOMES[step.step]:
        message = f"{step.step} cannot end as {step.outcome}"
        yield fault(Code.STEP_OUTCOME_IMPOSSIBLE, (*pointer, "outcome"), message)
    parties = [party.ref for _, party in draft.bodies()]
    if step.org not in parties and step.role != "operator":
        message = f"{step.org} is no party of the agreement"
        yield fault(Code.STEP_BY_STRANGER, (*pointer, "org"), message)


def _check_separation(draft: Draft) -> Iterator[AuthoringFault]:
    """The same person, named by organisation and reference, does not ask or advise and decide."""
    deciders = {
        (step.org, step.person_ref): step
        for step in _taken(draft, "owner_decision")
        if step.person_ref is not None
    }
    for position, step in enumerate(draft.agreement.governance):
        other = step.step in ("submit", "risk_acceptance", *ADVICE)
        if other and (step.org, step.person_ref) in deciders:
            message = f"who decided for {step.org} also took the step {step.step}"
            yield fault(Code.DUTIES_NOT_SEPARATED, (*_STEPS, position, "person_ref"), message)


def _check_decisions(draft: Draft) -> Iterator[AuthoringFault]:
    last = {step.org: step.outcome for step in _taken(draft, "owner_decision")}
    for _, party in draft.members(Side.PROVIDER):
        if last.get(party.ref) != "approved":
            message = f"the asset owner of {party.ref} has not approved"
            yield fault(Code.OWNER_DECISION_MISSING, _STEPS, message)


def _check_advice(draft: Draft) -> Iterator[AuthoringFault]:
    decisions = _taken(draft, "owner_decision", "approved")
    if not decisions:
        return
    wanted = ["dpo_advice"] if draft.personal else []
    if draft.confidential_patient_data:
        wanted.append("caldicott_review")
    for advice in wanted:
        given = [one for one in _taken(draft, advice) if one.outcome != "not_required"]
        if not any(one.at <= decisions[-1].at for one in given):
            message = f"there is no {advice} before the owner's decision"
            yield fault(Code.ADVICE_MISSING, _STEPS, message)
    for position, step in enumerate(draft.agreement.governance):
        if step.step not in ADVICE or step.outcome not in _TO_ANSWER:
            continue
        if step.at > decisions[-1].at:
            continue  # advice for a later review, which its own step answers
        own = [one for one in decisions if one.org == step.org] or decisions
        if not any(one.at >= step.at and (one.note or "").strip() for one in own):
            message = f"the {step.outcome} {step.step} of {step.org} is not answered in a note"
            yield fault(Code.ADVICE_NOT_ANSWERED, (*_STEPS, position), message)


def _check_signatures(draft: Draft) -> Iterator[AuthoringFault]:
    signed = {step.org for step in _taken(draft, "signature", "signed")}
    for position, party in draft.bodies():
        if party.ref not in signed:
            message = f"{party.ref} has not signed"
            yield fault(Code.SIGNATURE_MISSING, ("parties", position, "ref"), message)


def _check_risk(draft: Draft) -> Iterator[AuthoringFault]:
    agreement = draft.agreement
    dpia = agreement.legal.dpia
    overridden = any(
        step.step in ADVICE and step.outcome == "unfavourable" for step in agreement.governance
    )
    reasons = {
        "the risk that the DPIA leaves is high": dpia is not None and dpia.outcome == HIGH_RISK,
        "break-glass is enabled": agreement.break_glass is not None,
        "unfavourable advice was overridden": overridden,
        "the consumer's assurance is not stated": (
            draft.personal and not agreement.security.consumer_assurance
        ),
    }
    if _taken(draft, "risk_acceptance", "accepted"):
        return
    for reason, holds in reasons.items():
        if holds:
            message = f"{reason}, and no SIRO has accepted it"
            yield fault(Code.RISK_NOT_ACCEPTED, _STEPS, message)


def _check_activation(draft: Draft) -> Iterator[AuthoringFault]:
    providers = {party.ref for _, party in draft.members(Side.PROVIDER)}
    activations = _taken(draft, "activation", "activated")
    if not any(step.org in providers for step in activations):
        message = "no provider has activated it"
        yield fault(Code.ACTIVATION_MISSING, _STEPS, message)
        return
    switches = [step for step in draft.agreement.governance if step.step in _SWITCHES]
    last = max(switches, key=lambda step: step.at)
    status = draft.agreement.status
    if (last.step == "suspension") != (status == "suspended"):
        message = f"the last {last.step} makes it no {status} agreement"
        yield fault(Code.STATUS_CONTRADICTS_STEPS, ("status",), message)


def _check_order(draft: Draft) -> Iterator[AuthoringFault]:
    """Nothing is advised or decided before it was asked, signed before it was approved, and so on.

    What must come first is complete when every organisation that took the step has taken it once.
    """
    submitted = _complete(draft, "submit", "submitted")
    earlier = dict.fromkeys((*ADVICE, "risk_acceptance", "owner_decision"), ("submit", submitted))
    approved = ("owner_decision", _complete(draft, "owner_decision", "approved"))
    activated = ("activation", _complete(draft, "activation", "activated"))
    earlier |= {
        "signature": approved,
        "activation": ("signature", _complete(draft, "signature", "signed")),
        "suspension": activated,
        "review": activated,
    }
    for position, step in enumerate(draft.agreement.governance):
        name, complete = earlier.get(step.step, ("", None))
        if complete is not None and step.at < complete:
            message = f"{step.step} of {step.org} comes before the {name}"
            yield fault(Code.STEPS_OUT_OF_ORDER, (*_STEPS, position, "at"), message)


def _complete(draft: Draft, step: str, outcome: str) -> datetime | None:
    """Return when the last organisation took a step for the first time; None if none did."""
    firsts: dict[str, datetime] = {}
    for one in _taken(draft, step, outcome):
        firsts.setdefault(one.org, one.at)
    return max(firsts.values(), default=None)
