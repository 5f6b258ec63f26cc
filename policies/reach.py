"""How far a policy reaches: exact sets of callers, purposes, fields and times that it permits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from policies.compile import CompiledRule, Policy, UrgentAccess
from policies.decision import PUBLIC, AgreementRef
from policies.identifiers import is_identifier
from policies.law import Law
from policies.times import LATEST, Duration, Window

_TICK: Final = timedelta(microseconds=1)
_JUSTIFICATION: Final = "justification"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time: from `from_` until just before `until`; None is for good."""

    from_: datetime
    until: datetime | None

    def covers(self, at: datetime) -> bool:
        """Whether `at` lies in the span."""
        return self.from_ <= at and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One caller at one instant with one purpose; `person` is false for a program by itself."""

    organisation: str
    client: str | None
    purpose: str
    roles: frozenset[str]
    assurance: int
    person: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A set of calls that one rule permits, as the product of the sets of its members.

    A call that lies in it is permitted if it meets the `conditions`, which are about the request
    and not about who makes it when; a call that lies in no reach of a policy is refused.
    `organisation` is `PUBLIC` for callers without a token and None for any with one; `clients`
    None is any. A caller holds one of each set of `roles`. `assurance` is the least level's rank.
    """

    agreement: AgreementRef
    rule: CompiledRule
    organisation: str | None
    clients: frozenset[str] | None
    purpose: str
    roles: tuple[frozenset[str], ...]
    assurance: int
    fields: frozenset[str]
    spans: tuple[Span, ...]
    window: Window | None
    urgent: UrgentAccess | None
    bound_token: bool

    def admits(self, point: Point) -> bool:
        """Whether the caller, purpose and instant are in this set."""
        return (
            self.admits_organisation(point.organisation)
            and (self.clients is None or point.client in self.clients)
            and self.purpose == point.purpose
            and all(point.roles & one for one in self.roles)
            and self.assurance <= point.assurance
            and (point.person or self.rule.mode != "user")
            and self.admits_instant(point.at)
        )

    def admits_organisation(self, organisation: str) -> bool:
        """Whether the organisation is in this set; the public is the one without a token."""
        if self.organisation is None:
            return organisation != PUBLIC
        return self.organisation == organisation

    def admits_instant(self, at: datetime) -> bool:
        """Whether the instant is in this set, by the dates, the law and the hours."""
        in_time = any(span.covers(at) for span in self.spans)
        return in_time and (self.window is None or self.window.is_open(at))

    @property
    def context_asked(self) -> tuple[str, ...]:
        """What the request must say about itself."""
        relaxed = self.urgent.relaxes | {_JUSTIFICATION} if self.urgent else frozenset()
        return tuple(name for name in self.rule.context_required if name not in relaxed)


def reaches_of(policies: Iterable[Policy], law: Law) -> tuple[Reach, ...]:
    """Return all that the policies permit under `law`, each policy taken by itself.

    A token may name any of them, so that each can be reached (design.md section 4).
    """
    return tuple(
        reach
        for policy in policies
        if policy.answering
        for rule in policy.rules
        for reach in _reaches(policy, rule, law)
    )


def lawful_spans(policy: Policy, purpose: str, law: Law) -> tuple[Span, ...]:
    """Return when the policy's dates and an instrument in force both let `purpose` be served.

    Nothing changes between two of the instants at which the agreement or a version of one of its
    instruments begins or ends, so each stretch between them is judged by its first instant.
    """
    edges = {policy.starts, policy.review_lapses, *_law_edges(policy, law)}
    if policy.ends is not None:
        edges.add(min(policy.ends, LATEST - _TICK) + _TICK)
    ordered = sorted(edge for edge in edges if edge >= policy.starts)
    found: list[Span] = []
    for from_, until in zip(ordered, (*ordered[1:], None), strict=True):
        if not _lawful(policy, purpose, law, from_):
            continue
        if found and found[-1].until == from_:
            found[-1] = Span(from_=found[-1].from_, until=until)
        else:
            found.append(Span(from_=from_, until=until))
    return tuple(found)


def _law_edges(policy: Policy, law: Law) -> Iterator[datetime]:
    for one in policy.instruments:
        instrument = law.instruments.get(one)
        for version in instrument.versions if instrument else ():
            yield version.from_
            if version.until is not None:
                yield version.until


def _lawful(policy: Policy, purpose: str, law: Law, at: datetime) -> bool:
    if policy.ends is not None and at > policy.ends:
        return False
    if not policy.starts <= at < policy.review_lapses:
        return False
    reliance = law.reliance(policy.instruments, purpose, at)
    if reliance is None or not reliance.in_force:
        return False
    return policy.registered or not reliance.instrument.register_entry_required


def _reaches(policy: Policy, rule: CompiledRule, law: Law) -> Iterator[Reach]:
    for organisation, clients, purposes in _callers(policy, rule):
        for purpose in purposes:
            if purpose not in policy.purposes or purpose in policy.prohibited:
                continue
            spans = lawful_spans(policy, purpose, law)
            for urgent in (None, rule.urgent) if rule.urgent else (None,):
                open_always = urgent is not None and "hours" in urgent.relaxes
                reach = Reach(
                    agreement=policy.ref,
                    rule=rule,
                    organisation=organisation,
                    clients=clients,
                    purpose=purpose,
                    roles=_roles(rule, urgent),
                    assurance=max(rule.assurance, urgent.assurance if urgent else 0),
                    fields=rule.permitted_fields,
                    spans=spans,
                    window=None if open_always else rule.window,
                    urgent=urgent,
                    bound_token=policy.sender_constrained and organisation != PUBLIC,
                )
                if spans and _can_be_met(reach):
                    yield reach


def _callers(
    policy: Policy, rule: CompiledRule
) -> Iterator[tuple[str | None, frozenset[str] | None, tuple[str, ...]]]:
    """Yield who may use a rule, by which clients, and for which purposes."""
    if rule.party != PUBLIC:
        if rule.party in policy.clients:
            yield rule.party, policy.clients[rule.party], rule.purposes
        return
    if rule.mode == PUBLIC:
        # Without a token no purpose is stated: the rule's first one stands.
        yield PUBLIC, None, rule.purposes[:1]
    yield None, None, rule.purposes


def _roles(rule: CompiledRule, urgent: UrgentAccess | None) -> tuple[frozenset[str], ...]:
    """Return the sets of which a caller holds one each: the rule's, and the urgent clause's."""
    own = (rule.roles,) if rule.roles else ()
    if urgent is None:
        return own
    return (urgent.roles,) if "roles" in urgent.relaxes else (*own, urgent.roles)


def _can_be_met(reach: Reach) -> bool:
    """Whether some request meets what the rule asks; a clause nobody can meet permits none."""
    rule = reach.rule
    if not all(reach.roles):
        return False
    if any(not rule.context_words.get(name, {name}) for name in reach.context_asked):
        return False
    named = {*rule.filters_required, *(name for _, name in rule.template.names)}
    if any(name in rule.filter_values and not _values(rule, name) for name in named):
        return False
    return reach.urgent is None or _can_be_invoked(rule, reach.urgent)


def _values(rule: CompiledRule, name: str) -> frozenset[str]:
    """Return the values agreed for a filter that a request can send."""
    kind = rule.identifiers.get(name)
    return frozenset(
        value
        for value in rule.filter_values[name]
        if value.strip() and (kind is None or is_identifier(kind, value))
    )


def _can_be_invoked(rule: CompiledRule, urgent: UrgentAccess) -> bool:
    # A grant that lasts no time has run out when it begins.
    if not urgent.reasons or urgent.ttl == Duration() or urgent.max_subjects < 1:
        return False
    if not urgent.single_subject:
        return True
    subject = rule.duties.subject_field
    path = {name for _, name in rule.template.names}
    return subject is not None and subject in path | rule.parameters | rule.body_fields
