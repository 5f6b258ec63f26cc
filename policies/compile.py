"""An agreement compiled into the flat, indexed, immutable form that decisions are made from."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from policies.agreement import (
    ANSWERING_STATUSES,
    Agreement,
    BreakGlass,
    Dataset,
    Legal,
    Party,
    Retention,
    Rule,
)
from policies.decision import AgreementRef, Decision, Duties, Restricted
from policies.enforceable import unenforceable
from policies.paths import Template
from policies.reading import DocumentInvalid
from policies.service import ServiceFacts
from policies.times import Duration, Window, end_of_day
from policies.words import (
    ASSURANCE_LEVELS,
    SAFEGUARDING_CONDITION,
    SAFEGUARDING_CONTEXT,
    SUBJECT_CATEGORIES,
)

DECISION_REFERENCE: Final = "decision_ref"
"""The request context that names a case-by-case decision form."""

_ASSURANCE_RANKS: Final[Mapping[str | None, int]] = {
    level: rank for rank, level in enumerate(ASSURANCE_LEVELS, start=1)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UrgentAccess:
    """A rule's break-glass clause: what an urgent grant relaxes, asks for and entails."""

    relaxes: frozenset[str]
    single_subject: bool
    roles: frozenset[str]
    assurance: int
    reasons: frozenset[str]
    justification_chars_min: int
    ttl: Duration
    max_subjects: int
    notify: tuple[str, ...]
    review_within: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledRule:
    """One rule, with everything it refers to at hand.

    `assurance` is the rank of the level asked for, 0 for none. `permitted_fields` are those that
    may leave, that a caller may name, and that may choose records; `parameters` adds the filters.
    `permits` keeps the permits that do not depend on the query, once built: two of one purpose
    and instrument are equal in all their members. `clauses` names those of its optional clauses
    that the rule has.
    """

    id: str
    party: str
    connector: str
    dataset: str | None
    methods: frozenset[str]
    template: Template
    action: str
    mode: str
    purposes: tuple[str, ...]
    roles: frozenset[str]
    assurance: int
    window: Window | None
    filters_required: tuple[str, ...]
    filter_values: Mapping[str, frozenset[str]]
    permitted_fields: frozenset[str]
    parameters: frozenset[str]
    body_fields: frozenset[str]
    context_required: tuple[str, ...]
    context_words: Mapping[str, frozenset[str]]
    single_use_decision: bool
    fields_limited_to_decision: bool
    identifiers: Mapping[str, str]
    urgent: UrgentAccess | None
    contact: str | None
    data_classes: frozenset[str]
    obligations: tuple[str, ...]
    duties: Duties
    permits: dict[Hashable, Decision] = field(default_factory=dict, repr=False, compare=False)
    clauses: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Note which clauses there are, so that no decision has to look for the others."""
        present = {
            "identifiers": bool(self.identifiers),
            "actor": self.mode == "user" or bool(self.roles) or self.assurance > 0,
            "context": bool(self.context_required),
            "decision form": self.decided_case_by_case,
            "hours": self.window is not None,
            "filters": bool(self.filters_required or self.filter_values),
        }
        named = frozenset(name for name, there in present.items() if there)
        object.__setattr__(self, "clauses", named)

    @property
    def decided_case_by_case(self) -> bool:
        """Whether each call needs a recorded decision to share."""
        return (
            DECISION_REFERENCE in self.context_required
            or self.single_use_decision
            or self.fields_limited_to_decision
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An agreement in the form that is enforced; frozen, and picklable for worker processes.

    Times are in UTC: it answers from `starts` to `ends`, both included, and until just before
    `review_lapses`. `clients` maps each party to its clients, None for any. `rules` are ordered:
    more literal paths first, then by id.
    """

    agreement_id: str
    version: int
    digest: str
    status: str
    title: str
    provider: str
    contact: str | None
    parties: tuple[Party, ...]
    clients: Mapping[str, frozenset[str] | None]
    purposes: tuple[str, ...]
    prohibited: frozenset[str]
    instruments: tuple[str, ...]
    registered: bool
    sender_constrained: bool
    starts: datetime
    ends: datetime | None
    review_lapses: datetime
    publish: str
    legal: Legal
    restriction_basis: str | None
    retention: Retention
    ref: AgreementRef
    rules: tuple[CompiledRule, ...]
    _by_operation: Mapping[tuple[str, int], tuple[CompiledRule, ...]] = field(repr=False)

    @property
    def answering(self) -> bool:
        """Whether the agreement's state lets it answer; its dates may still say no."""
        return self.status in ANSWERING_STATUSES

    def rule(self, rule_id: str) -> CompiledRule | None:
        """Return a rule by its id."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)

    def matching(
        self, method: str, path: tuple[str, ...]
    ) -> list[tuple[CompiledRule, Mapping[str, str]]]:
        """Return the rules for an operation, whoever's they are, with the path's parameters.

        HEAD asks for what GET would answer (RFC 9110 section 9.3.2), so GET's rules govern it.
        """
        found = []
        operation = ("GET" if method == "HEAD" else method, len(path))
        for rule in self._by_operation.get(operation, ()):
            parameters = rule.template.match(path)
            if parameters is not None:
                found.append((rule, parameters))
        return found


def compile_policy(
    agreement: Agreement, *, digest: str, services: Mapping[str, ServiceFacts]
) -> Policy:
    """Compile an agreement; `digest` is its document's, `services` are those behind the gateway.

    Raises:
        DocumentInvalid: the agreement asks for what no service here has, or for a duty that this
            gateway cannot carry out; better refused now than withheld at every call.
    """
    faults = unenforceable(agreement, services)
    if faults:
        raise DocumentInvalid(faults)
    rules = sorted(
        (_compile_rule(agreement, rule, services[rule.connector]) for rule in agreement.rules),
        key=lambda rule: (rule.template.rank, rule.id),
    )
    provider = next(party for party in agreement.parties if "provider" in party.roles)
    term, dea = agreement.term, agreement.legal.dea
    return Policy(
        agreement_id=agreement.agreement_id,
        version=agreement.version,
        digest=digest,
        status=agreement.status,
        title=agreement.title,
        provider=provider.ref,
        contact=provider.contact,
        parties=agreement.parties,
        clients={
            party.ref: None if party.clients is None else frozenset(party.clients)
            for party in agreement.parties
        },
        purposes=agreement.purpose.codes,
        prohibited=frozenset(agreement.purpose.prohibited),
        instruments=agreement.legal.instruments,
        registered=dea is not None and bool(dea.register_id),
        sender_constrained=agreement.security.sender_constrained_tokens,
        starts=term.start.astimezone(UTC),
        ends=None if term.end is None else term.end.astimezone(UTC),
        review_lapses=end_of_day(term.review_by, term.review_grace),
        publish=agreement.transparency.publish,
        legal=agreement.legal,
        restriction_basis=agreement.rights.restriction_basis,
        retention=agreement.retention,
        ref=AgreementRef(id=agreement.agreement_id, version=agreement.version, digest=digest),
        rules=tuple(rules),
        _by_operation=_by_operation(rules),
    )


def assurance_rank(level: str | None) -> int:
    """Return how strong a level of assurance is: 0 for none, or for one that is not known."""
    return _ASSURANCE_RANKS.get(level, 0)


def _by_operation(
    rules: list[CompiledRule],
) -> Mapping[tuple[str, int], tuple[CompiledRule, ...]]:
    pairs = [
        ((method, len(rule.template.literals)), number)
        for number, rule in enumerate(rules)
        for method in rule.methods
    ]
    return {
        operation: tuple(rules[number] for _, number in group)
        for operation, group in groupby(sorted(pairs), key=lambda pair: pair[0])
    }


def _compile_rule(agreement: Agreement, rule: Rule, service: ServiceFacts) -> CompiledRule:
    dataset = _dataset(agreement, rule)
    permitted = _permitted_fields(rule, dataset)
    filters = {name: frozenset(values) for name, values in rule.filter_values.items()}
    owner = next((one for one in agreement.parties if one.ref == service.owner), None)
    provider = next(one for one in agreement.parties if "provider" in one.roles)
    hours = rule.hours
    return CompiledRule(
        id=rule.id,
        party=rule.party,
        connector=rule.connector,
        dataset=rule.dataset,
        methods=frozenset(rule.methods),
        template=Template.parse(rule.path),
        action=rule.action,
        mode=rule.actor.mode,
        purposes=rule.purposes,
        roles=frozenset(rule.actor.roles),
        assurance=assurance_rank(rule.actor.min_acr),
        window=(
            Window.parse(zone=hours.zone, opens=hours.opens, closes=hours.closes, days=hours.days)
            if hours
            else None
        ),
        filters_required=rule.filters_required,
        filter_values=filters,
        permitted_fields=permitted,
        parameters=permitted | filters.keys() | set(rule.filters_required),
        body_fields=frozenset(rule.body_fields_allowed),
        context_required=rule.request_context_required,
        context_words=context_words(agreement),
        single_use_decision="single_use_decision" in rule.obligations,
        fields_limited_to_decision="fields_limited_to_decision" in rule.obligations,
        identifiers=dict(service.identifiers),
        urgent=_urgent(agreement.break_glass, rule),
        contact=(owner.contact if owner else None) or provider.contact,
        data_classes=frozenset(
            one.class_ for one in (dataset.fields if dataset else ()) if one.name in permitted
        ),
        obligations=tuple(sorted(rule.obligations)),
        duties=_duties(agreement, rule, dataset, service, permitted),
    )


def _dataset(agreement: Agreement, rule: Rule) -> Dataset | None:
    return next((one for one in agreement.datasets if one.dataset == rule.dataset), None)


def _permitted_fields(rule: Rule, dataset: Dataset | None) -> frozenset[str]:
    """Return the fields that may leave: those listed, or all that are not marked never.

    A field with a mask does not leave at all: less than was agreed, never more.
    """
    if rule.fields_allowed is not None:
        named = set(rule.fields_allowed)
    else:
        named = {field.name for field in (dataset.fields if dataset else ())}
    never = {field.name for field in (dataset.fields if dataset else ()) if field.never}
    return frozenset(named - never - rule.mask.keys())


def _duties(
    agreement: Agreement,
    rule: Rule,
    dataset: Dataset | None,
    service: ServiceFacts,
    permitted: frozenset[str],
) -> Duties:
    identifiability = dataset.identifiability if dataset else "identifiable"
    aggregate = identifiability.startswith("aggregate")
    filters = {name: frozenset(values) for name, values in rule.filter_values.items()}
    redacts = "redact_restricted_address" in rule.obligations
    withholds = "withhold_protected_address" in rule.obligations
    return Duties(
        allowed=permitted,
        declared=frozenset(field.name for field in dataset.fields) if dataset else permitted,
        never=frozenset(one.name for one in (dataset.fields if dataset else ()) if one.never),
        aggregate=aggregate,
        scope={name: filters[name] for name in service.scope_columns if name in filters},
        restricted=(
            Restricted(
                when=dict(service.restricted_when),
                redact=frozenset(service.restricted_redacts),
                withhold=withholds,
            )
            if redacts or withholds
            else None
        ),
        small_number_guard=(
            "small_number_guard" in rule.obligations or identifiability == "aggregate_suppressed"
        ),
        records_max=rule.limits.records_per_response,
        subjects_per_day=rule.limits.subjects_per_day,
        per_minute=rule.limits.per_minute,
        requests_per_day=rule.limits.requests_per_day,
        subject_field=dataset.subject_identifier if dataset else None,
        counts_subjects=not aggregate and identifiability != "anonymous",
        hide_from_subject=(
            "hide_from_subject_view" in rule.obligations
            or agreement.rights.subject_visibility == "restricted"
        ),
        onward_not_permitted=not agreement.onward_sharing.permitted,
        receipt="signed_receipt" in rule.obligations,
        body_media_types=frozenset(rule.body_media_types_allowed),
    )


def context_words(agreement: Agreement) -> Mapping[str, frozenset[str]]:
    """Return the closed lists for words of the request context, as the law asks for them."""
    legal = agreement.legal
    found: dict[str, frozenset[str]] = {}
    for basis in (legal.provider_basis, legal.consumer_basis):
        if SAFEGUARDING_CONDITION in basis.get("schedule1", ()):
            found.update(SAFEGUARDING_CONTEXT)
    if legal.part3:
        agreed = legal.part3.get("subject_categories")
        words = SUBJECT_CATEGORIES
        if isinstance(agreed, list):
            words &= {word for word in agreed if isinstance(word, str)}
        found["subject_category"] = words
    return found


def _urgent(clause: BreakGlass | None, rule: Rule) -> UrgentAccess | None:
    if clause is None or rule.id not in clause.rules:
        return None
    return UrgentAccess(
        relaxes=frozenset(clause.relaxes) - frozenset(clause.never_relaxes),
        single_subject="single_subject" in clause.never_relaxes,
        roles=frozenset(clause.roles),
        assurance=assurance_rank(clause.min_acr),
        reasons=frozenset(clause.reasons),
        justification_chars_min=clause.justification_min_chars,
        ttl=clause.ttl,
        max_subjects=clause.max_subjects,
        notify=clause.notify,
        review_within=clause.review_within,
    )
