"""What bodies agreed to share: the whole of the signed document as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from policies.times import Duration

ANSWERING_STATUSES: Final = frozenset({"active", "review_due"})
"""The states in which an agreement may answer calls; in every other it stays shut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A body on the agreement; `clients` None means that any client of the body may call."""

    ref: str
    roles: tuple[str, ...]
    dp_role: str
    single_point_of_contact: str | None = None
    dpo: str | None = None
    iao: str | None = None
    siro: str | None = None
    caldicott_guardian: str | None = None
    clients: tuple[str, ...] | None = None

    @property
    def contact(self) -> str | None:
        """Whom to ask: the single point of contact, else the asset owner, else the DPO."""
        return self.single_point_of_contact or self.iao or self.dpo


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What the data may be used for, what it may never be used for, and why it is worth it."""

    codes: tuple[str, ...]
    statement: str
    benefits: str
    necessity: str
    prohibited: tuple[str, ...] = ()
    less_intrusive_options: str | None = None
    harm_of_not_sharing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """Whether the national data opt-out removes people from the answer, and why."""

    applies: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dpia:
    """The data protection impact assessment (UK GDPR Art 35)."""

    ref: str
    outcome: str
    completed: date | None = None
    next_review: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dea:
    """The Digital Economy Act 2017 Part 5 power, and the agreement's entry in its register."""

    section: str | None = None
    objective: str | None = None
    register_id: str | None = None
    register_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Legal:
    """On what law the sharing stands; `instruments` are ids of versioned legal instruments.

    The bases map a list name (``article6``, ``article9``, ``schedule1`` …) to its codes.
    """

    regime: str
    data_types: tuple[str, ...]
    instruments: tuple[str, ...]
    confidentiality_basis: str
    provider_basis: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    consumer_basis: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    national_data_opt_out: OptOut | None = None
    dpia: Dpia | None = None
    appropriate_policy_document: str | None = None
    ropa_refs: tuple[str, ...] = ()
    dea: Dea | None = None
    part3: Mapping[str, object] = field(default_factory=dict)
    exemptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a dataset; `never` means that no rule may let it out."""

    name: str
    class_: str
    why: str | None = None
    never: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset as agreed: whom it is about, how identifiable, and every field by name."""

    dataset: str
    subjects: str
    identifiability: str
    fields: tuple[Field, ...]
    title: str | None = None
    catalogue_identifier: str | None = None
    period: str | None = None
    subject_identifier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who may act: anybody, a program, or a person in a role at a level of assurance."""

    mode: str
    roles: tuple[str, ...] = ()
    min_acr: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a rule allows; None sets no bound."""

    per_minute: int | None = None
    records_per_response: int | None = None
    subjects_per_day: int | None = None
    requests_per_day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """When a rule is open, in the words of the agreement; `closes` is exclusive."""

    zone: str = "Europe/London"
    opens: str = "00:00"
    closes: str = "24:00"
    days: str = "mon-sun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One permission: who may call which operation, for what, and within which bounds."""

    id: str
    party: str
    connector: str
    methods: tuple[str, ...]
    path: str
    purposes: tuple[str, ...]
    action: str
    actor: Actor
    dataset: str | None = None
    filters_required: tuple[str, ...] = ()
    filter_values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fields_allowed: tuple[str, ...] | None = None
    mask: Mapping[str, object] = field(default_factory=dict)
    body_fields_allowed: tuple[str, ...] = ()
    body_media_types_allowed: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    hours: Hours | None = None
    request_context_required: tuple[str, ...] = ()
    obligations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass:
    """Urgent, time-boxed access: what it relaxes, what it never does, and what follows."""

    rules: tuple[str, ...]
    relaxes: tuple[str, ...]
    never_relaxes: tuple[str, ...]
    roles: tuple[str, ...]
    reasons: tuple[str, ...]
    justification_min_chars: int
    ttl: Duration
    max_subjects: int
    review_within: Duration
    notify: tuple[str, ...] = ()
    min_acr: str | None = None
    unreviewed_effect: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnwardSharing:
    """Whether the consumer may pass data on by its own means; never through the gateway."""

    permitted: bool
    recipients: tuple[str, ...] = ()
    conditions: str | None = None
    statutory_bar: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """How the data is protected on the way and at the consumer."""

    classification: str
    transport: str
    sender_constrained_tokens: bool = False
    storage_location: str | None = None
    consumer_assurance: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long the consumer keeps data and the log keeps records."""

    consumer_keeps_for: str
    disposal: str
    audit_kept_for: Duration
    disposal_certificate_due: str | None = None
    legal_hold: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Where people exercise their rights, and whether they may see these exchanges."""

    sar_contact: str
    rectification: str | None = None
    complaints: str | None = None
    subject_visibility: str = "visible"
    restriction_basis: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """The rule by which outcomes return to the data owner, and how soon the owner answers."""

    rule: str | None = None
    outcomes: tuple[str, ...] = ()
    owner_must_acknowledge_within: Duration | None = None
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Who pays, and whether a usage statement is drawn up."""

    charging: str = "none"
    borne_by: str | None = None
    usage_statement: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """When the agreement runs; `end` is its last instant, `review_by` its last reviewed day."""

    start: datetime
    end: datetime | None
    review_by: date
    review_grace: Duration
    notice: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transparency:
    """How much of the agreement the public register shows."""

    publish: str
    privacy_notice: str | None = None
    withheld_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernanceStep:
    """One step of the approval: who, in which role, with what outcome, when."""

    step: str
    role: str
    org: str
    outcome: str
    at: datetime
    person_ref: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A data sharing agreement: the signed source of what is enforced (design.md section 5)."""

    agreement_id: str
    version: int
    title: str
    kind: str
    status: str
    parties: tuple[Party, ...]
    purpose: Purpose
    legal: Legal
    datasets: tuple[Dataset, ...]
    rules: tuple[Rule, ...]
    break_glass: BreakGlass | None
    onward_sharing: OnwardSharing
    security: Security
    retention: Retention
    rights: Rights
    term: Term
    transparency: Transparency
    governance: tuple[GovernanceStep, ...]
    ethics: Mapping[str, object] = field(default_factory=dict)
    feedback: Feedback | None = None
    costs: Costs | None = None
    supersedes: str | None = None
    synthetic: bool = False
