"""A decision in plain English, for the caller's problem document and for readers of the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from policies.decision import Check, Decision, Outcome, ReasonCode, Verdict

_ASK_AGAIN: Final = "Send the request again in a while."
_SENTENCES: Final[Mapping[ReasonCode, str]] = {
    ReasonCode.OK: "The agreement permits this call.",
    ReasonCode.TOKEN_MISSING: "This operation needs an access token.",
    ReasonCode.TOKEN_INVALID: "The access token is not valid.",
    ReasonCode.TOKEN_EXPIRED: "The access token has expired; ask the issuer for a new one.",
    ReasonCode.ISSUER_UNTRUSTED: "The issuer of the access token is not registered here.",
    ReasonCode.AUDIENCE_WRONG: "The access token was issued for another service.",
    ReasonCode.PROOF_REQUIRED: "This call needs a token that is bound to a key, with its proof.",
    ReasonCode.PROOF_INVALID: "The proof of possession does not fit the token or the request.",
    ReasonCode.ORG_MISMATCH: "The token's issuer may not speak for the organisation it names.",
    ReasonCode.IDENTIFIER_INVALID: "An identifier in the request is not well formed.",
    ReasonCode.PURPOSE_MISSING: "The access token states no purpose.",
    ReasonCode.AGREEMENT_NOT_FOUND: "No agreement was found that this call could be made under.",
    ReasonCode.AGREEMENT_AMBIGUOUS: (
        "Several agreements could cover this call; name one in the token's authorization details."
    ),
    ReasonCode.AGREEMENT_NOT_ACTIVE: "The agreement is not active.",
    ReasonCode.AGREEMENT_NOT_STARTED: "The agreement has not started.",
    ReasonCode.AGREEMENT_EXPIRED: "The agreement has ended.",
    ReasonCode.REVIEW_OVERDUE: "The agreement's review is overdue.",
    ReasonCode.REGISTER_ENTRY_MISSING: "The agreement is not on the register it must be on.",
    ReasonCode.LEGAL_INSTRUMENT_NOT_IN_FORCE: "The legal basis of the sharing is not in force.",
    ReasonCode.PARTY_NOT_ON_AGREEMENT: (
        "The caller is not a party to an agreement that permits this call."
    ),
    ReasonCode.PURPOSE_NOT_PERMITTED: "The purpose is not permitted.",
    ReasonCode.ENDPOINT_NOT_PERMITTED: "The agreement does not permit this method and path.",
    ReasonCode.ROLE_NOT_PERMITTED: "The user's role does not permit this call.",
    ReasonCode.ASSURANCE_TOO_LOW: "The user must sign in with more assurance.",
    ReasonCode.JUSTIFICATION_REQUIRED: "The request does not say all that it must to be justified.",
    ReasonCode.TIME_WINDOW_CLOSED: "The operation is closed at this time.",
    ReasonCode.FILTER_REQUIRED: "A filter is missing.",
    ReasonCode.SUBJECT_OUT_OF_SCOPE: "The request asks for people outside the agreement.",
    ReasonCode.FIELD_NOT_PERMITTED: "A field is not permitted.",
    ReasonCode.ONWARD_SHARING_NOT_PERMITTED: "Calls on behalf of others are not permitted.",
    ReasonCode.CASE_REFERENCE_NOT_APPROVED: "No recorded decision releases data for this request.",
    ReasonCode.BREAK_GLASS_NOT_AVAILABLE: "Break-glass is not available for this call.",
    ReasonCode.BREAK_GLASS_EXPIRED: "The urgent grant has run out.",
    ReasonCode.RATE_LIMITED: f"The agreement's rate is used up. {_ASK_AGAIN}",
    ReasonCode.VOLUME_EXCEEDED: "The call asks for more than the agreement allows.",
    ReasonCode.AUDIT_UNAVAILABLE: f"The call could not be recorded, so none was made. {_ASK_AGAIN}",
    ReasonCode.CONNECTOR_UNAVAILABLE: f"The service cannot be used at present. {_ASK_AGAIN}",
    ReasonCode.DUTY_NOT_APPLICABLE: (
        "The answer was withheld: what the agreement asks could not be done to it."
    ),
    ReasonCode.SMALL_NUMBERS_WITHHELD: (
        "The answer was withheld: it may hold counts small enough to point at people."
    ),
}
"""What can be said of a reason to anybody, without naming an agreement."""


def detail_of(decision: Decision) -> str:
    """Return the `detail` of a problem document: one or two sentences for the caller.

    A caller who is not a party has no clause, and is told the general sentence only.
    """
    general = _SENTENCES[decision.reason]
    if decision.clause is None:
        return general
    shown = next((one for one in decision.checks if one.reason is decision.reason), None)
    return shown.detail if shown and shown.detail else general


def explain(decision: Decision) -> tuple[str, ...]:
    """Return the decision as sentences for those who may read the record, the outcome first."""
    return (_outcome(decision), *(_sentence(check) for check in decision.checks))


def _outcome(decision: Decision) -> str:
    agreement = decision.agreement
    under = f" under {agreement.id} version {agreement.version}" if agreement else ""
    rule = f", rule {decision.rule}" if decision.rule else ""
    law = f", relying on {decision.instrument}" if decision.instrument else ""
    if decision.verdict is Verdict.DENY:
        return f"Refused{under}{rule}: {_SENTENCES[decision.reason]}"
    urgent = decision.break_glass
    glass = f", as an urgent grant until {urgent.expires_at.isoformat()}" if urgent else ""
    return f"Permitted{under}{rule}{law}{glass}."


def _sentence(check: Check) -> str:
    clause = f" ({check.clause})" if check.clause else ""
    unknown = (
        " It could not be told, which counts as no." if check.outcome is Outcome.UNKNOWN else ""
    )
    said = check.detail or _SENTENCES[check.reason]
    return f"{check.reason.value}{clause}: {said}{unknown}"
