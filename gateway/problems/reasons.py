"""The problems that decisions give as their reason: one for each reason code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.problems.problem import Origin, Problem
from policies.decision import ReasonCode, status_of

_GET_ANOTHER: Final = "Get a new access token from your own organisation's issuer and call again."
_ASK_PROVIDER: Final = "Ask the contact named in the answer."

_TEXTS: Final[Mapping[ReasonCode, tuple[str, str, str]]] = {
    ReasonCode.TOKEN_MISSING: (
        "The call carries no access token",
        "This operation answers only callers who say who they are with an access token.",
        "Send an Authorization field with an access token for this service.",
    ),
    ReasonCode.TOKEN_INVALID: (
        "The access token is not valid",
        "The token is not well formed, its signature does not hold, or a claim it needs is wrong "
        "or missing.",
        _GET_ANOTHER,
    ),
    ReasonCode.TOKEN_EXPIRED: (
        "The access token has expired",
        "The time in the token's exp claim has passed.",
        _GET_ANOTHER,
    ),
    ReasonCode.ISSUER_UNTRUSTED: (
        "The token's issuer is not trusted here",
        "The gateway trusts only the issuers of the bodies registered with it.",
        "Use your organisation's registered issuer, or ask the gateway's operator to register it.",
    ),
    ReasonCode.AUDIENCE_WRONG: (
        "The token was issued for another service",
        "The token's aud claim does not name the service that was called (RFC 9068, section 4).",
        "Ask your issuer for a token whose resource is this service's URI.",
    ),
    ReasonCode.PROOF_REQUIRED: (
        "The caller must prove possession of its key",
        "The token is bound to a key, or the agreement asks for one that is, and no proof came "
        "with the call (RFC 9449, RFC 8705).",
        "Send a DPoP proof made for this request, or connect with the bound client certificate.",
    ),
    ReasonCode.PROOF_INVALID: (
        "The proof of possession does not hold",
        "The proof was made with another key, for another request or token, too long ago, or was "
        "used before (RFC 9449, section 4.3).",
        "Make a fresh proof for every request with the key that the token is bound to.",
    ),
    ReasonCode.ORG_MISMATCH: (
        "The issuer does not speak for that organisation",
        "The token names an organisation that its issuer may not speak for.",
        "Use the issuer registered for the organisation, or have the registration corrected.",
    ),
    ReasonCode.IDENTIFIER_INVALID: (
        "An identifier is not well formed",
        "An identifier in the request fails its own rules: its length, alphabet or check digit.",
        "Check the identifier at its source. The answer does not repeat it.",
    ),
    ReasonCode.PURPOSE_MISSING: (
        "The call states no purpose",
        "Every exchange needs one purpose code, and it must be in the token's "
        "authorization_details, where the issuer vouches for it.",
        "Ask your issuer for a token that states the purpose.",
    ),
    ReasonCode.AGREEMENT_NOT_FOUND: (
        "No agreement covers this call",
        "The gateway knows no agreement for this organisation, client and service.",
        "Look the service up in the catalogue and ask its owner for access.",
    ),
    ReasonCode.AGREEMENT_AMBIGUOUS: (
        "Several agreements could cover this call",
        "More than one agreement has a rule for this operation, and the token names none.",
        "Name the agreement in the token's authorization_details.",
    ),
    ReasonCode.AGREEMENT_NOT_ACTIVE: (
        "The agreement is not active",
        "The agreement is a draft, suspended, terminated, or replaced by a later version.",
        _ASK_PROVIDER,
    ),
    ReasonCode.AGREEMENT_NOT_STARTED: (
        "The agreement has not started yet",
        "The date on which the agreement begins is still to come.",
        "Call again once the agreement has begun.",
    ),
    ReasonCode.AGREEMENT_EXPIRED: (
        "The agreement has ended",
        "The date on which the agreement ends has passed.",
        "Agree a new version, or stop making this call.",
    ),
    ReasonCode.REVIEW_OVERDUE: (
        "The agreement's review is overdue",
        "The parties agreed to review it by a date that has passed, with any period of grace.",
        "Ask the owners named in the agreement to hold the review and record it.",
    ),
    ReasonCode.REGISTER_ENTRY_MISSING: (
        "The public register entry is missing",
        "The legal power behind the agreement requires an entry in the public register.",
        "Have the entry made, and recorded in the agreement.",
    ),
    ReasonCode.LEGAL_INSTRUMENT_NOT_IN_FORCE: (
        "The legal basis is not in force",
        "The notice or provision that the agreement relies on has ended, or has not begun.",
        "Ask the data owner whether it was extended, or for an agreement on another basis.",
    ),
    ReasonCode.PARTY_NOT_ON_AGREEMENT: (
        "Your organisation is not on this agreement",
        "The token names an agreement to which this organisation or client is no party.",
        "Name an agreement of your own, or ask the service's owner for one.",
    ),
    ReasonCode.PURPOSE_NOT_PERMITTED: (
        "The agreement does not permit this purpose",
        "The purpose in the token is not one that the agreement allows for this operation.",
        "Use the data for an agreed purpose only, or ask for the agreement to be varied.",
    ),
    ReasonCode.ENDPOINT_NOT_PERMITTED: (
        "The agreement does not permit this operation",
        "No rule of the agreement covers this method and path for your organisation.",
        "Compare the call with the agreement's rules; check the method and the path.",
    ),
    ReasonCode.ROLE_NOT_PERMITTED: (
        "The user's role does not permit this",
        "The rule names roles, or asks for a person rather than a system, and the token fits none.",
        "Have someone with an agreed role make the call.",
    ),
    ReasonCode.ASSURANCE_TOO_LOW: (
        "The sign-in was not strong enough",
        "The rule asks for a stronger authentication than the token's acr claim reports.",
        "Sign in again with the stronger method and call with the new token.",
    ),
    ReasonCode.JUSTIFICATION_REQUIRED: (
        "The call must say why it is made",
        "The rule asks for details, such as a case reference, that the token does not state.",
        "Supply the named details to your issuer so that the token states them.",
    ),
    ReasonCode.TIME_WINDOW_CLOSED: (
        "The agreement does not permit calls at this hour",
        "The rule allows this operation on certain days and hours only.",
        "Call again within the agreed hours.",
    ),
    ReasonCode.FILTER_REQUIRED: (
        "The call must be narrowed",
        "The rule asks for a filter, so that no more is read than is needed.",
        "Add the filter that the answer names.",
    ),
    ReasonCode.SUBJECT_OUT_OF_SCOPE: (
        "The records asked for are outside the agreement",
        "A filter or identifier asks for people or places that the agreement does not cover.",
        "Ask only for those that the agreement covers.",
    ),
    ReasonCode.FIELD_NOT_PERMITTED: (
        "A field or parameter is not permitted",
        "The call names a field or query parameter that the rule does not allow, or names one "
        "twice. Filters count too: they could otherwise reveal what fields may not show.",
        "Ask for permitted fields only, each once.",
    ),
    ReasonCode.ONWARD_SHARING_NOT_PERMITTED: (
        "The agreement does not permit sharing onward",
        "The call is made on behalf of another body, which the agreement does not allow.",
        "That body needs an agreement of its own.",
    ),
    ReasonCode.CASE_REFERENCE_NOT_APPROVED: (
        "No approved decision stands behind this reference",
        "The call needs a recorded, approved decision that fits it and was not used before.",
        "Have the request decided first, then quote its reference.",
    ),
    ReasonCode.BREAK_GLASS_NOT_AVAILABLE: (
        "Urgent access is not available for this call",
        "The agreement offers no urgent access here, or its conditions are not met.",
        "Use the ordinary rule, or ask the provider by telephone.",
    ),
    ReasonCode.BREAK_GLASS_EXPIRED: (
        "The urgent access has been used up",
        "Its time has passed, or it was used for as many people as the agreement allows.",
        "Use the ordinary rule; a new urgent need starts with its own justification.",
    ),
    ReasonCode.RATE_LIMITED: (
        "Too many calls",
        "The agreement's rate for this operation is reached.",
        "Wait for the time in the Retry-After field, then call more slowly.",
    ),
    ReasonCode.VOLUME_EXCEEDED: (
        "The agreed volume is reached",
        "The agreement limits how many records or people may be read at once or in a day.",
        "Narrow the call, or wait until the limit is renewed.",
    ),
    ReasonCode.AUDIT_UNAVAILABLE: (
        "The audit log cannot record the exchange",
        "No data moves without a durable record of it, and the log cannot be written now. "
        "The service was not called, or its answer was not released: the detail says which.",
        "Call again after the time in the Retry-After field; if the answer to a change was not "
        "released, ask first what became of it. The operator has been alerted.",
    ),
    ReasonCode.CONNECTOR_UNAVAILABLE: (
        "The service behind the gateway did not answer",
        "The call was permitted, but the service could not be reached or gave no usable answer.",
        "Call again later. If it lasts, tell the service's owner the exchange id.",
    ),
    ReasonCode.DUTY_NOT_APPLICABLE: (
        "The answer could not be checked, so it was withheld",
        "The agreement asks for fields to be left out or counted, and the service's answer has a "
        "form in which that cannot be done with certainty.",
        "Tell the service's owner the exchange id: the answer's form must change.",
    ),
    ReasonCode.SMALL_NUMBERS_WITHHELD: (
        "The answer holds small numbers, so it was withheld",
        "Counts of 1 to 7, or not rounded to 5, could identify people and must not leave.",
        "Tell the service's owner the exchange id: the figures must be suppressed at the source.",
    ),
}

_ORIGINS: Final[Mapping[ReasonCode, Origin]] = {
    ReasonCode.AUDIT_UNAVAILABLE: Origin.GATEWAY,
    ReasonCode.CONNECTOR_UNAVAILABLE: Origin.SERVICE,
    ReasonCode.DUTY_NOT_APPLICABLE: Origin.SERVICE,
    ReasonCode.SMALL_NUMBERS_WITHHELD: Origin.SERVICE,
}
"""Where a refusal is not the caller's to mend."""


def code_of(reason: ReasonCode) -> str:
    """Return the problem code of a reason: ``PURPOSE_MISSING`` is ``purpose-missing``."""
    return reason.value.lower().replace("_", "-")


REASONS: Final[tuple[Problem, ...]] = tuple(
    Problem(
        code=code_of(reason),
        status=status_of(reason),
        title=title,
        explanation=explanation,
        mend=mend,
        origin=_ORIGINS.get(reason, Origin.CLIENT),
    )
    for reason, (title, explanation, mend) in _TEXTS.items()
)
"""One problem for every reason but OK, in the order of the vocabulary."""
