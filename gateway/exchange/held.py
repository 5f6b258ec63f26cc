"""What the gateway itself holds about a call from before it: decisions used up, urgent grants.

Only calls that rely on a recorded decision or break the glass look anything up. What is found
informs the decision; the transaction of the intent checks it again, and has the last word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.audit.log import AuditLog
from gateway.audit.store import Grant, GrantUse
from gateway.exchange.facts import Exchange, HeldGrant
from gateway.exchange.snapshot import Service, Snapshot, StopList
from gateway.identity.caller import Claims
from policies.compile import DECISION_REFERENCE, Policy, UrgentAccess
from policies.decision import BreakGlassRequest, Query

GRANT_STOP: Final = "grant"
"""The kind of stop-list entry that suspends a user's urgent grants; its key is in each record."""

FORM_CLAIM: Final = b"form:"
"""How the one-time keys of recorded decisions begin."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY_S: Final = 86_400


def relies_on_state(claims: Claims) -> bool:
    """Tell whether a decision for this token turns on more than the request."""
    return claims.break_glass is not None or DECISION_REFERENCE in claims.context


async def look_up(
    query: Query,
    claims: Claims,
    policy: Policy,
    service: Service | None,
    *,
    now: Snapshot,
    stops: StopList,
    log: AuditLog,
) -> tuple[Query, HeldGrant | None]:
    """Return a call with what is held for it under `policy`, and its urgent grant, if it has one.

    Raises:
        LogUnavailable: it cannot be told, so nothing can be decided.
    """
    form = now.forms.get(claims.context.get(DECISION_REFERENCE, "").strip())
    if form is not None:
        form_used = await log.is_claimed(form_key(policy.agreement_id, form.reference))
        query = replace(query, decision_form=form, decision_form_used=form_used)
    said, clause = claims.break_glass, _clause(policy, query)
    if said is None or clause is None:
        # Without a clause the decision says that an urgent grant is not on offer.
        return query, None
    user = (claims.issuer, claims.subject)
    holder = holder_of(log, policy.agreement_id, claims.organisation, user)
    words = words_of(log, said.justification)
    found = await log.find_grant(holder, words)
    named = frozenset(_named(log, policy, query, service))
    others, begun = frozenset[bytes](), None
    if found is not None and (found.said or _runs(found, clause, query.at)):
        others, begun = found.subjects - named, _instant(found.started_us)
    # What the token says of the grant counts only where it is narrower.
    started_at = min((one for one in (begun, said.started_at) if one is not None), default=None)
    grant = HeldGrant(
        holder=holder,
        words=words,
        seen_us=found.started_us if found else None,
        begins=begun is None,
        started_us=microseconds(min(started_at or query.at, query.at)),
    )
    urgent = BreakGlassRequest(
        reason=said.reason,
        justification=said.justification,
        started_at=started_at,
        subjects_so_far=max(len(others), said.subjects_so_far),
        suspended=suspends(stops, holder),
    )
    return replace(query, break_glass=urgent), grant


def suspends(stops: StopList, holder: bytes) -> bool:
    """Tell whether somebody has suspended the urgent grants of a holder."""
    return (GRANT_STOP, holder.hex()) in stops.entries


def form_key(agreement: str, reference: str) -> bytes:
    """Return the one-time key of a recorded decision under an agreement."""
    return FORM_CLAIM + hashlib.sha256(f"{agreement}\n{reference}".encode()).digest()


def holder_of(log: AuditLog, agreement: str, organisation: str, user: tuple[str, str]) -> bytes:
    """Return the tag of who holds a grant; `user` is the token's issuer and subject.

    Subjects are told apart within their issuer only (RFC 9068, section 2.2).
    """
    return log.tagger.tag("grant", agreement, organisation, *user)


def words_of(log: AuditLog, justification: str) -> bytes:
    """Return the tag of a justification; spaces and letter case make no other one of it."""
    return log.tagger.tag("words", " ".join(justification.split()).casefold())


def grant_use(
    exchange: Exchange, people: Iterable[str], log: AuditLog, *, unnamed: int = 0
) -> tuple[GrantUse, ...]:
    """Return how this exchange uses its urgent grant, if it has one, for `people`.

    `unnamed` are people who cannot be told apart from anybody: each counts as one more.
    """
    grant, urgent = exchange.grant, exchange.decision.break_glass
    if grant is None or urgent is None or not exchange.decision.permitted:
        return ()
    kind = subject_kind(exchange.service, exchange.decision.duties.subject_field)
    subjects = [subject_tag(log, kind, person) for person in people]
    # One more than may be covered is refused; how many more makes no difference.
    strangers = range(min(unnamed, urgent.max_subjects + 1))
    subjects += [log.tagger.tag("unnamed", exchange.id.hex(), str(number)) for number in strangers]
    return (
        GrantUse(
            holder=grant.holder,
            words=grant.words,
            seen_us=grant.seen_us,
            begins=grant.begins,
            started_us=grant.started_us,
            subjects=subjects,
            subjects_max=urgent.max_subjects,
        ),
    )


def subject_tag(log: AuditLog, kind: str, identifier: str) -> bytes:
    """Return the tag of a person whom an urgent grant covers."""
    return log.tagger.tag("subject", kind, identifier)


def subject_kind(service: Service | None, field: str | None) -> str:
    """Return the kind of identifier in a service's field: the field itself, where it has none."""
    name = field or "record"
    return service.facts.identifiers.get(name, name) if service else name


def microseconds(instant: datetime) -> int:
    """Return decision time as records and state keep it."""
    since = instant - _EPOCH  # a division of time spans costs twice as much
    return (since.days * _DAY_S + since.seconds) * 1_000_000 + since.microseconds


def _instant(at_us: int) -> datetime:
    return _EPOCH + at_us * _MICROSECOND


def _clause(policy: Policy, query: Query) -> UrgentAccess | None:
    """Return the agreement's break-glass clause, if one of the operation's rules is under it."""
    matched = policy.matching(query.method, query.path)
    return next((rule.urgent for rule, _ in matched if rule.urgent is not None), None)


def _runs(grant: Grant, clause: UrgentAccess, at: datetime) -> bool:
    return at < clause.ttl.after(min(_instant(grant.started_us), at))


def _named(log: AuditLog, policy: Policy, query: Query, service: Service | None) -> Iterator[bytes]:
    """Yield the tags of the people whom the request names under one of its rules."""
    for rule, path_parameters in policy.matching(query.method, query.path):
        field = rule.duties.subject_field
        kind = subject_kind(service, field)
        for name, value in (*path_parameters.items(), *query.parameters):
            if name == field:
                yield subject_tag(log, kind, value)
        for row in query.rows or ():
            cell = row.get(field or "")
            if isinstance(cell, str):
                yield subject_tag(log, kind, cell)
