"""The words of a decision: what is asked, what is answered, and the duties that come with a yes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NoReturn

from policies.hot import hot_value

PUBLIC: Final = "public"
"""The organisation of a caller without a token; only rules with ``actor.mode: public`` admit it."""


class ReasonCode(StrEnum):
    """Why a call was answered as it was: closed, stable (`vocabulary.yaml`, reason_code)."""

    OK = "OK"
    TOKEN_MISSING = "TOKEN_MISSING"  # noqa: S105 - a reason code, not a secret
    TOKEN_INVALID = "TOKEN_INVALID"  # noqa: S105 - a reason code, not a secret
    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105 - a reason code, not a secret
    ISSUER_UNTRUSTED = "ISSUER_UNTRUSTED"
    AUDIENCE_WRONG = "AUDIENCE_WRONG"
    PROOF_REQUIRED = "PROOF_REQUIRED"
    PROOF_INVALID = "PROOF_INVALID"
    ORG_MISMATCH = "ORG_MISMATCH"
    IDENTIFIER_INVALID = "IDENTIFIER_INVALID"
    PURPOSE_MISSING = "PURPOSE_MISSING"
    AGREEMENT_NOT_FOUND = "AGREEMENT_NOT_FOUND"
    AGREEMENT_AMBIGUOUS = "AGREEMENT_AMBIGUOUS"
    AGREEMENT_NOT_ACTIVE = "AGREEMENT_NOT_ACTIVE"
    AGREEMENT_NOT_STARTED = "AGREEMENT_NOT_STARTED"
    AGREEMENT_EXPIRED = "AGREEMENT_EXPIRED"
    REVIEW_OVERDUE = "REVIEW_OVERDUE"
    REGISTER_ENTRY_MISSING = "REGISTER_ENTRY_MISSING"
    LEGAL_INSTRUMENT_NOT_IN_FORCE = "LEGAL_INSTRUMENT_NOT_IN_FORCE"
    PARTY_NOT_ON_AGREEMENT = "PARTY_NOT_ON_AGREEMENT"
    PURPOSE_NOT_PERMITTED = "PURPOSE_NOT_PERMITTED"
    ENDPOINT_NOT_PERMITTED = "ENDPOINT_NOT_PERMITTED"
    ROLE_NOT_PERMITTED = "ROLE_NOT_PERMITTED"
    ASSURANCE_TOO_LOW = "ASSURANCE_TOO_LOW"
    JUSTIFICATION_REQUIRED = "JUSTIFICATION_REQUIRED"
    TIME_WINDOW_CLOSED = "TIME_WINDOW_CLOSED"
    FILTER_REQUIRED = "FILTER_REQUIRED"
    SUBJECT_OUT_OF_SCOPE = "SUBJECT_OUT_OF_SCOPE"
    FIELD_NOT_PERMITTED = "FIELD_NOT_PERMITTED"
    ONWARD_SHARING_NOT_PERMITTED = "ONWARD_SHARING_NOT_PERMITTED"
    CASE_REFERENCE_NOT_APPROVED = "CASE_REFERENCE_NOT_APPROVED"
    BREAK_GLASS_NOT_AVAILABLE = "BREAK_GLASS_NOT_AVAILABLE"
    BREAK_GLASS_EXPIRED = "BREAK_GLASS_EXPIRED"
    RATE_LIMITED = "RATE_LIMITED"
    VOLUME_EXCEEDED = "VOLUME_EXCEEDED"
    AUDIT_UNAVAILABLE = "AUDIT_UNAVAILABLE"
    CONNECTOR_UNAVAILABLE = "CONNECTOR_UNAVAILABLE"
    DUTY_NOT_APPLICABLE = "DUTY_NOT_APPLICABLE"
    SMALL_NUMBERS_WITHHELD = "SMALL_NUMBERS_WITHHELD"


STATUS_OF_REASON: Final[Mapping[ReasonCode, int]] = {
    ReasonCode.OK: 200,
    ReasonCode.TOKEN_MISSING: 401,
    ReasonCode.TOKEN_INVALID: 401,
    ReasonCode.TOKEN_EXPIRED: 401,
    ReasonCode.ISSUER_UNTRUSTED: 401,
    ReasonCode.AUDIENCE_WRONG: 401,
    ReasonCode.PROOF_REQUIRED: 401,
    ReasonCode.PROOF_INVALID: 401,
    ReasonCode.IDENTIFIER_INVALID: 422,
    ReasonCode.PURPOSE_MISSING: 400,
    ReasonCode.AGREEMENT_AMBIGUOUS: 400,
    ReasonCode.RATE_LIMITED: 429,
    ReasonCode.VOLUME_EXCEEDED: 429,
    ReasonCode.AUDIT_UNAVAILABLE: 503,
    ReasonCode.CONNECTOR_UNAVAILABLE: 502,
    ReasonCode.DUTY_NOT_APPLICABLE: 502,
    ReasonCode.SMALL_NUMBERS_WITHHELD: 502,
}
"""HTTP status of each reason; a reason that is not listed is a refusal, 403."""


def status_of(reason: ReasonCode) -> int:
    """HTTP status that goes with `reason` (`vocabulary.yaml`, reason_code)."""
    return STATUS_OF_REASON.get(reason, 403)


ALERTING_REASONS: Final[frozenset[ReasonCode]] = frozenset(
    {
        ReasonCode.ORG_MISMATCH,
        ReasonCode.AGREEMENT_NOT_ACTIVE,
        ReasonCode.AGREEMENT_NOT_STARTED,
        ReasonCode.AGREEMENT_EXPIRED,
        ReasonCode.REVIEW_OVERDUE,
        ReasonCode.REGISTER_ENTRY_MISSING,
        ReasonCode.LEGAL_INSTRUMENT_NOT_IN_FORCE,
        ReasonCode.PARTY_NOT_ON_AGREEMENT,
        ReasonCode.PURPOSE_NOT_PERMITTED,
        ReasonCode.ENDPOINT_NOT_PERMITTED,
        ReasonCode.ROLE_NOT_PERMITTED,
        ReasonCode.ASSURANCE_TOO_LOW,
        ReasonCode.SUBJECT_OUT_OF_SCOPE,
        ReasonCode.FIELD_NOT_PERMITTED,
        ReasonCode.ONWARD_SHARING_NOT_PERMITTED,
        ReasonCode.CASE_REFERENCE_NOT_APPROVED,
        ReasonCode.BREAK_GLASS_NOT_AVAILABLE,
        ReasonCode.BREAK_GLASS_EXPIRED,
        ReasonCode.SMALL_NUMBERS_WITHHELD,
    }
)
"""Refusals that somebody must look at: the caller tried what it was not given, or the sharing has
lost its footing. A call that is early, incomplete, mistyped or too large is an everyday mistake."""


class Verdict(StrEnum):
    """What was decided, in the words of the audit record."""

    PERMIT = "permit"
    PERMIT_BREAK_GLASS = "permit_break_glass"
    DENY = "deny"


_DENY: Final = Verdict.DENY
"""At hand: a member of an enumeration takes longer to find than all of `permitted` beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlassRequest:
    """The urgent grant a caller invokes (``authorization_details.break_glass``).

    `started_at` and `subjects_so_far` are what the gateway itself holds for the user, or what the
    token says where that is tighter; None and 0 mean that this call starts the grant.
    """

    reason: str
    justification: str
    started_at: datetime | None = None
    subjects_so_far: int = 0
    suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionForm:
    """A recorded case-by-case decision to share (ICO decision form); a call may rely on it once."""

    reference: str
    requester: str
    approved: bool
    fields_released: frozenset[str]
    decided_at: datetime
    operation_ref: str | None = None
    subject_category: str | None = None
    subject: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A verified caller: whom the token names, and what was proved about it."""

    organisation: str
    client: str | None = None
    subject: str | None = None
    roles: frozenset[str] = frozenset()
    acr: str | None = None
    issuer_speaks_for: frozenset[str] = frozenset()
    sender_constrained: bool = False


@hot_value(frozen=True, slots=True, kw_only=True)
class Query:
    """The only facts that a decision may look at. All are inputs, so any decision can be replayed.

    `at` is the decision time (aware, UTC). `path` holds the decoded segments of the canonical
    path. `parameters` are the query parameters in order, duplicates kept, without ``_fields``,
    whose names are in `fields` (None: not sent). `rows` are the rows of a JSON request body (a
    ``{"batch": [...]}`` gives its rows, any other object is one row; None: no body).
    """

    at: datetime
    caller: Caller
    method: str
    path: tuple[str, ...]
    purpose: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    fields: tuple[str, ...] | None = None
    rows: tuple[Mapping[str, object], ...] | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    on_behalf_of: str | None = None
    break_glass: BreakGlassRequest | None = None
    decision_form: DecisionForm | None = None
    decision_form_used: bool = False


class Outcome(StrEnum):
    """How one check came out; what cannot be told is treated as failed (deny by default)."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: its outcome, the reason it would give, and the clause that asks it."""

    name: str
    outcome: Outcome
    reason: ReasonCode
    clause: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementRef:
    """The exact version of an agreement that was applied; `digest` is ``sha256:<hex>``."""

    id: str
    version: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restricted:
    """Records of people whose address is protected: how to know one, and what to do with it."""

    when: Mapping[str, str]
    redact: frozenset[str]
    withhold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """What must be done to an answer before release; a duty that cannot be applied withholds it.

    `allowed` None means that the whole document passes. `never` are declared fields that no rule
    may let out. `scope` maps a column to the values whose rows may leave. `subject_field` names
    the column that tells people apart; None with `counts_subjects` means that each record counts
    as one person. `body_media_types` are those of request bodies that may go to the service unread.
    """

    allowed: frozenset[str] | None = None
    declared: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    aggregate: bool = False
    scope: Mapping[str, frozenset[str]] = field(default_factory=dict)
    restricted: Restricted | None = None
    small_number_guard: bool = False
    records_max: int | None = None
    subjects_per_day: int | None = None
    per_minute: int | None = None
    requests_per_day: int | None = None
    subject_field: str | None = None
    counts_subjects: bool = False
    single_use: str | None = None
    hide_from_subject: bool = False
    onward_not_permitted: bool = False
    receipt: bool = False
    body_media_types: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlassUse:
    """What follows from an urgent grant: whom to tell, when it is reviewed, how far it goes."""

    notify: tuple[str, ...]
    review_due: datetime
    expires_at: datetime
    max_subjects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to a Query. Ask `.permitted`: a decision has no truth value of its own.

    `reason` is the one that the caller sees; `checks` keeps every check made, failed ones too, for
    the audit record. `clause`, `hint` and `contact` are empty for a caller who is not a party.
    `instrument` is ``ID@version``, the one relied on, or the last that ended. `purpose` is the one
    that was judged: the query's, or for the public the first purpose of the rule.
    """

    verdict: Verdict
    reason: ReasonCode
    checks: tuple[Check, ...] = ()
    agreement: AgreementRef | None = None
    rule: str | None = None
    action: str | None = None
    route: str | None = None
    instrument: str | None = None
    clause: str | None = None
    hint: str | None = None
    contact: str | None = None
    alert: bool = False
    duties: Duties = field(default_factory=Duties)
    break_glass: BreakGlassUse | None = None
    purpose: str | None = None

    @property
    def permitted(self) -> bool:
        """Whether the call may go on to the service."""
        return self.verdict is not _DENY

    @property
    def status(self) -> int:
        """HTTP status of the refusal, or 200."""
        return status_of(self.reason)

    def denied(self, reason: ReasonCode) -> Decision:
        """Return this decision turned into a refusal for something found out after it was made."""
        alert = self.alert or reason in ALERTING_REASONS
        return replace(self, verdict=Verdict.DENY, reason=reason, alert=alert)

    def __bool__(self) -> NoReturn:
        """Refuse: a denied decision would be true in an ``if``."""
        raise TypeError("a Decision has no truth value; ask .permitted")
