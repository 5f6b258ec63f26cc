"""The decision: one policy, one query, one table of law, and always the same answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Final

from policies import checks, request_checks
from policies.case import Case, Finding
from policies.compile import DECISION_REFERENCE, CompiledRule, Policy
from policies.decision import (
    ALERTING_REASONS,
    PUBLIC,
    BreakGlassRequest,
    BreakGlassUse,
    Check,
    Decision,
    Duties,
    Outcome,
    Query,
    ReasonCode,
    Verdict,
)
from policies.law import Law

BREAK_GLASS_AVAILABLE: Final = "break_glass_available"
"""The hint of a refusal that an urgent grant would lift."""

CHECKS: Final[tuple[Callable[[Case], None], ...]] = (
    checks.check_caller,  # 1
    checks.check_identifiers,
    checks.check_purpose_present,
    checks.check_term,  # 2
    checks.check_law,  # 3
    checks.check_party,  # 4
    checks.check_purpose,  # 5
    checks.check_operation,  # 6
    checks.check_urgency,
    checks.check_actor,  # 7
    request_checks.check_context,  # 8
    request_checks.check_decision_form,
    request_checks.check_hours,
    request_checks.check_filters,
    request_checks.check_fields,
    request_checks.check_onward,
    request_checks.check_volume,  # 9
)
"""Every check, in the order that decides which single reason the caller sees
(uk-public-sector.md section 2e); urgency stands where it begins to matter."""

_CLAUSE_OF: Final[Mapping[Callable[[Case], None], str]] = {
    checks.check_identifiers: "identifiers",
    checks.check_actor: "actor",
    request_checks.check_context: "context",
    request_checks.check_decision_form: "decision form",
    request_checks.check_hours: "hours",
    request_checks.check_filters: "filters",
}
"""Checks of optional clauses: a rule without the clause passes them, whatever is asked."""
_OF_RICHER_QUERIES: Final = frozenset(
    {
        checks.check_urgency,
        request_checks.check_fields,
        request_checks.check_onward,
        request_checks.check_volume,
    }
)
"""Checks of what a plain query does not have: parameters, a body, an urgent grant, a principal."""
_SETTLED: Final = frozenset({checks.check_party, checks.check_operation})
"""Checks that are passed by being admitted to a rule at all."""
OF_THE_REQUEST: Final = frozenset(
    {
        checks.check_identifiers,
        checks.check_urgency,
        request_checks.check_decision_form,
        request_checks.check_hours,
        request_checks.check_filters,
        request_checks.check_fields,
        request_checks.check_volume,
    }
)
"""Checks that look at what a request itself names, or at the hour. All others look only at who asks
for what purpose and in which context, at agreement and law, and at their `dates`."""

_TOLD_TO_STRANGERS: Final = frozenset(
    {ReasonCode.TOKEN_MISSING, ReasonCode.ORG_MISMATCH, ReasonCode.PURPOSE_MISSING}
)
"""What can be told without telling anything about the agreement."""

Match = tuple[CompiledRule, Mapping[str, str]]
"""A rule that an operation falls under, and the parameters of the path."""
_NO_PARAMETERS: Final[Mapping[str, str]] = {}


def decide(policy: Policy, query: Query, law: Law) -> Decision:
    """Decide a query; total and deterministic, and a denial unless every check passes.

    Where several rules of the caller fit the operation, the first that permits stands; if none
    does, the first one's reasons are given. A denial lists every failed check; a permit lists
    none, because all passed, and building them would cost more than deciding.
    """
    matched = policy.matching(query.method, query.path)
    named = is_party(policy, query)
    first: Case | None = None
    for match in candidates(matched, query, named=named):
        case = Case(policy, query, law, match, admitted=True)
        for check in applicable(match[0], query):
            check(case)
        if not case.found:
            return permit(case, match[0])
        first = first or case
    if first is not None:
        return _deny(first, first.rule)
    case = _judge(Case(policy, query, law, (None, _NO_PARAMETERS), admitted=named))
    return _deny(case, matched[0][0] if matched else None)


def turns_on_body(policy: Policy, query: Query) -> bool:
    """Whether what a body says could change the answer to a query.

    Only the checks of a rule look into bodies; where none is open to the caller, none is made.
    """
    matched = policy.matching(query.method, query.path)
    return bool(candidates(matched, query, named=is_party(policy, query)))


def applicable(rule: CompiledRule, query: Query) -> tuple[Callable[[Case], None], ...]:
    """Return the checks, in their order, that a query admitted to `rule` could fail at all.

    An urgent query is put through all of them, since its grant has clauses of its own.
    """
    if query.break_glass is not None:
        return CHECKS
    return checks_of(rule.clauses, is_plain(query))


def is_plain(query: Query) -> bool:
    """Whether a query names nothing but what its path names."""
    return (
        not query.parameters
        and query.fields is None
        and query.rows is None
        and query.on_behalf_of is None
    )


@cache  # one entry for each set of clauses, twice
def checks_of(clauses: frozenset[str], plain: bool) -> tuple[Callable[[Case], None], ...]:
    """Return the checks that a query could fail by a rule with these optional clauses."""
    left_out = _SETTLED | _OF_RICHER_QUERIES if plain else _SETTLED
    return tuple(
        check
        for check in CHECKS
        if check not in left_out and _CLAUSE_OF.get(check) in (None, *clauses)
    )


def is_party(policy: Policy, query: Query) -> bool:
    """Whether the organisation is named on the agreement, and the client is one of its clients."""
    caller = query.caller
    if caller.organisation == PUBLIC or caller.organisation not in policy.clients:
        return False
    clients = policy.clients[caller.organisation]
    return clients is None or caller.client in clients


def candidates(matched: list[Match], query: Query, *, named: bool) -> list[Match]:
    """Return the rules that the caller may use, those with its purpose and its own ones first."""
    organisation = query.caller.organisation
    mine = []
    for match in matched:
        rule = match[0]
        if rule.party == PUBLIC:
            if rule.mode == PUBLIC or organisation != PUBLIC:
                mine.append(match)
        elif named and rule.party == organisation:
            mine.append(match)
    if len(mine) > 1:
        mine.sort(
            key=lambda match: (
                query.purpose not in match[0].purposes,
                match[0].party != organisation,
            )
        )
    return mine


def _judge(case: Case) -> Case:
    for check in CHECKS:
        check(case)
    return case


def permit(case: Case, rule: CompiledRule) -> Decision:
    """Return the permit of a case in which nothing was found."""
    duties, urgent = _duties(case, rule), _urgent_use(case)
    reliance, plain = case.reliance, duties is rule.duties and urgent is None
    version = reliance.version.version if reliance and reliance.version else None
    key = (case.purpose, reliance.instrument.id if reliance else None, version)
    if plain and key in rule.permits:
        return rule.permits[key]
    decision = Decision(
        verdict=Verdict.PERMIT if urgent is None else Verdict.PERMIT_BREAK_GLASS,
        reason=ReasonCode.OK,
        agreement=case.policy.ref,
        rule=rule.id,
        action=rule.action,
        route=rule.template.text,
        instrument=reliance.text if reliance else None,
        alert=urgent is not None,
        duties=duties,
        break_glass=urgent,
        purpose=case.purpose,
    )
    if plain:
        rule.permits[key] = decision
    return decision


def _duties(case: Case, rule: CompiledRule) -> Duties:
    """Return the rule's duties, narrowed by the decision form and by the fields asked for."""
    asked, allowed = case.query.fields, case.permitted
    if asked is not None:
        allowed &= frozenset(asked)
    reference = case.query.context[DECISION_REFERENCE].strip() if rule.single_use_decision else None
    if allowed is rule.permitted_fields and reference is None:
        return rule.duties
    return replace(rule.duties, allowed=allowed, single_use=reference)


def _urgent_use(case: Case) -> BreakGlassUse | None:
    urgent, said, at = case.urgent, case.query.break_glass, case.query.at
    if urgent is None or said is None:
        return None
    return BreakGlassUse(
        notify=urgent.notify,
        review_due=urgent.review_within.after(at),
        expires_at=urgent.ttl.after(min(said.started_at or at, at)),
        max_subjects=urgent.max_subjects,
    )


def _deny(case: Case, record_rule: CompiledRule | None) -> Decision:
    """Return the denial: the caller sees one reason, the record keeps them all.

    Somebody who is not a party is told so and no more, whatever else fails: no clause, no hint,
    no contact, and no other reason that would show that the agreement holds something.
    """
    shown = next(
        one
        for one in case.found
        if case.admitted
        or one.reason in _TOLD_TO_STRANGERS
        or one.reason is ReasonCode.PARTY_NOT_ON_AGREEMENT
    )
    known = case.admitted and shown.reason not in _TOLD_TO_STRANGERS - {ReasonCode.PURPOSE_MISSING}
    rule = case.rule
    return Decision(
        verdict=Verdict.DENY,
        reason=shown.reason,
        checks=tuple(_check(one) for one in case.found),
        agreement=case.policy.ref,
        rule=record_rule.id if record_rule else None,
        action=record_rule.action if record_rule else None,
        route=record_rule.template.text if record_rule else None,
        instrument=case.reliance.text if case.reliance else None,
        clause=_clause(shown, rule) if known else None,
        hint=_hint(case, shown) if known else None,
        contact=(rule.contact if rule else case.policy.contact) if known else None,
        alert=case.query.break_glass is not None
        or any(one.reason in ALERTING_REASONS for one in case.found),
        purpose=case.purpose,
    )


def _check(finding: Finding) -> Check:
    return Check(
        name=finding.name,
        outcome=Outcome.UNKNOWN if finding.unknown else Outcome.FAILED,
        reason=finding.reason,
        clause=finding.clause,
        detail=finding.detail,
    )


def _clause(finding: Finding, rule: CompiledRule | None) -> str:
    """Return what the caller is pointed to: the rule, or the section of the agreement."""
    in_rule = rule is not None and finding.clause.startswith("access.rules.")
    return rule.id if rule and in_rule else finding.clause


def _hint(case: Case, shown: Finding) -> str | None:
    """Return what would be permitted, or that breaking the glass would lift the refusal.

    An urgent call must not meet a dead end (uk-public-sector.md, L12). What the caller can mend by
    saying more needs no broken glass.
    """
    query, rule = case.query, case.rule
    mendable = all(one.reason is ReasonCode.JUSTIFICATION_REQUIRED for one in case.found)
    if rule is None or rule.urgent is None or query.break_glass is not None or mendable:
        return shown.hint
    urgent = rule.urgent
    invoked = replace(
        query,
        break_glass=BreakGlassRequest(
            reason=min(urgent.reasons, default=""),
            justification="." * urgent.justification_chars_min,
        ),
    )
    match = (rule, case.path_parameters)
    tried = _judge(Case(case.policy, invoked, case.law, match, admitted=True))
    return shown.hint if tried.found else BREAK_GLASS_AVAILABLE
