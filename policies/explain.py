"""A decision in plain English, for the caller's problem document and for readers of the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from policies.decide import BREAK_GLASS_AVAILABLE
from policies.decision import Check, Decision, Outcome, ReasonCode, Verdict

_MARKS: Final[Mapping[Outcome, str]] = {
    Outcome.PASSED: "Passed.",
    Outcome.FAILED: "Failed.",
    Outcome.UNKNOWN: "Could not tell.",
}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One check in plain English: what it is about, how it came out, and which clause asks it."""

    about: str
    outcome: Outcome
    reason: ReasonCode
    clause: str
    sentence: str

    @property
    def line(self) -> str:
        """The statement as one line for people."""
        clause = f" ({self.clause})" if self.clause else ""
        return f"{_MARKS[self.outcome]} {self.about}: {self.sentence}{clause}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A decision in plain English: the outcome, every check, and what can be done about it."""

    decision: Decision
    summary: str
    statements: tuple[Statement, ...]
    advice: str | None

    @property
    def lines(self) -> tuple[str, ...]:
        """The explanation for people, the outcome first."""
        advice = (self.advice,) if self.advice else ()
        return (self.summary, *(one.line for one in self.statements), *advice)

    def as_data(self) -> dict[str, object]:
        """Return the explanation as plain JSON values."""
        decision = self.decision
        agreement = decision.agreement
        return {
            "permitted": decision.permitted,
            "verdict": decision.verdict.value,
            "reason": decision.reason.value,
            "status": decision.status,
            "agreement": agreement.id if agreement else None,
            "version": agreement.version if agreement else None,
            "digest": agreement.digest if agreement else None,
            "rule": decision.rule,
            "purpose": decision.purpose,
            "instrument": decision.instrument,
            "summary": self.summary,
            "advice": self.advice,
            "contact": decision.contact,
            "checks": [
                {
                    "about": one.about,
                    "outcome": one.outcome.value,
                    "reason": one.reason.value,
                    "clause": one.clause,
                    "sentence": one.sentence,
                }
                for one in self.statements
            ],
        }


def explain(decision: Decision, checks: tuple[Check, ...] | None = None) -> Explanation:
    """Explain a decision to those who may read the record.

    `checks` are all that were made, from `policies.examine`; without them those that the decision
    keeps are explained, which for a permit are none.
    """
    made = decision.checks if checks is None else checks
    return Explanation(
        decision=decision,
        summary=_summary(decision),
        statements=tuple(_statement(check) for check in made),
        advice=_advice(decision),
    )


def _summary(decision: Decision) -> str:
    agreement = decision.agreement
    under = f" under {agreement.id} version {agreement.version}" if agreement else ""
    rule = f", rule {decision.rule}" if decision.rule else ""
    law = f", relying on {decision.instrument}" if decision.instrument else ""
    if decision.verdict is Verdict.DENY:
        return f"Refused{under}{rule}: {_SENTENCES[decision.reason]}"
    urgent = decision.break_glass
    glass = f", as an urgent grant until {urgent.expires_at.isoformat()}" if urgent else ""
    return f"Permitted{under}{rule}{law}{glass}."


def _statement(check: Check) -> Statement:
    said = check.detail or _SENTENCES[check.reason]
    if check.outcome is Outcome.UNKNOWN:
        said = f"{said} This could not be told, which counts as no."
    return Statement(
        about=check.name,
        outcome=check.outcome,
        reason=check.reason,
        clause=check.clause,
        sentence=said,
    )


def _advice(decision: Decision) -> str | None:
    """Return what can be done about a refusal: what would pass, and whom to ask."""
    if decision.hint == BREAK_GLASS_AVAILABLE:
        return "If somebody is in danger now, urgent access is open. Ask for it and say why."
    hint = f"What to do: {decision.hint}." if decision.hint else ""
    contact = f"To ask about it, write to {decision.contact}." if decision.contact else ""
    return " ".join(filter(None, (hint, contact))) or None
