"""Every check of a decision, those that passed too; for explanations, off the hot path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from policies.compile import CompiledRule, Policy
from policies.decide import decide
from policies.decision import PUBLIC, Check, Decision, Outcome, Query, ReasonCode
from policies.law import Law


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """A decision with all its checks, in the order in which they count."""

    decision: Decision
    checks: tuple[Check, ...]


class _Facts(NamedTuple):
    """What a passed check is told from. `rule` is the caller's, None where none is."""

    policy: Policy
    query: Query
    decision: Decision
    rule: CompiledRule | None

    @property
    def open_rule(self) -> CompiledRule:
        """The rule of a check that asks only where there is one."""
        assert self.rule is not None, "this check belongs to a rule"  # noqa: S101 - see _asked
        return self.rule

    @property
    def relaxed(self) -> frozenset[str]:
        """What an urgent grant that was invoked sets aside."""
        urgent = self.rule.urgent if self.rule and self.query.break_glass else None
        return urgent.relaxes if urgent else frozenset()


class _Passing(NamedTuple):
    """How a check is told that passed; `said` gives None where the check asks nothing."""

    name: str
    clause: str
    said: Callable[[_Facts], str | None]


def examine(policy: Policy, query: Query, law: Law) -> Examination:
    """Decide, and list every check that was made: what failed as decided, and what passed.

    `decide` makes all its checks for one rule and keeps those that fail, so that whatever it asks
    and does not keep has passed. Nothing is judged twice, and nothing can come out otherwise.
    """
    decision = decide(policy, query, law)
    failed: dict[str, list[Check]] = {}
    for check in decision.checks:
        failed.setdefault(check.name, []).append(check)
    ruled = decision.permitted or not failed.keys() & {"operation", "token"}
    rule = policy.rule(decision.rule) if ruled and decision.rule else None
    facts = _Facts(policy, query, decision, rule)
    checks: list[Check] = []
    for passing in _PASSING:
        found = failed.pop(passing.name, None)
        checks += found if found is not None else _passed(passing, facts)
    assert not failed, f"checks without a place here: {sorted(failed)}"  # noqa: S101 - tested
    return Examination(decision=decision, checks=tuple(checks))


def _passed(passing: _Passing, facts: _Facts) -> list[Check]:
    in_rule = passing.clause.startswith("rule.")
    if in_rule and facts.rule is None:
        return []
    said = passing.said(facts)
    if said is None:
        return []
    clause = passing.clause
    if in_rule:
        clause = f"access.rules.{facts.open_rule.id}.{clause.removeprefix('rule.')}"
    return [
        Check(
            name=passing.name,
            outcome=Outcome.PASSED,
            reason=ReasonCode.OK,
            clause=clause,
            detail=said,
        )
    ]


def _issuer(facts: _Facts) -> str | None:
    if facts.query.caller.organisation == PUBLIC:
        return None
    return "The token's issuer may speak for the caller's organisation."


def _proof(facts: _Facts) -> str | None:
    asked = facts.policy.sender_constrained and facts.query.caller.organisation != PUBLIC
    return "The token is bound to a key of the caller." if asked else None


def _identifiers(facts: _Facts) -> str | None:
    named = dict(facts.query.parameters).keys() | dict(facts.open_rule.template.names).values()
    for row in facts.query.rows or ():
        named |= row.keys()
    known = sorted(named & facts.open_rule.identifiers.keys())
    return f"Well formed: {_listed(known)}." if known else None


def _purpose_stated(facts: _Facts) -> str | None:
    if facts.query.caller.organisation == PUBLIC:
        return None
    return f"The token states a purpose: {facts.decision.purpose}."


def _state(facts: _Facts) -> str:
    under_review = facts.policy.status == "review_due"
    return f"The agreement is {'under review, and still answers' if under_review else 'active'}."


def _end(facts: _Facts) -> str:
    ends = facts.policy.ends
    return f"The agreement runs until {ends.isoformat()}." if ends else "The agreement has no end."


def _law(facts: _Facts) -> str | None:
    instrument = facts.decision.instrument
    return f"{instrument} was in force at the time of the call." if instrument else None


def _register(facts: _Facts) -> str | None:
    on = facts.policy.registered and facts.decision.instrument
    return "The agreement has an entry in the public register." if on else None


def _party(facts: _Facts) -> str:
    if facts.query.caller.organisation == PUBLIC:
        return "The agreement lets the public use this rule."
    if facts.rule is not None and facts.rule.party == PUBLIC:
        return "The agreement lets anybody use this rule."
    return "The caller's organisation and program are on the agreement."


def _purpose(facts: _Facts) -> str | None:
    if facts.decision.purpose is None:
        return None
    by = f"Rule {facts.rule.id}" if facts.rule else "The agreement"
    return f"{by} permits the purpose {facts.decision.purpose}."


def _operation(facts: _Facts) -> str:
    rule = facts.open_rule
    return f"Rule {rule.id} permits {facts.query.method} on {rule.template.text}."


def _urgency(facts: _Facts) -> str | None:
    if facts.query.break_glass is None:
        return None
    return "Urgent access is open here, and the danger was stated as it must be."


def _role(facts: _Facts) -> str | None:
    rule = facts.open_rule
    if "roles" in facts.relaxed:
        return "Urgent access lets this role in."
    if rule.roles:
        return f"The caller holds one of the roles: {_listed(sorted(rule.roles))}."
    return "The caller is a person." if rule.mode == "user" else None


def _assurance(facts: _Facts) -> str | None:
    asked = facts.open_rule.assurance
    return f"The person signed in at AAL{asked} or above." if asked else None


def _context(facts: _Facts) -> str | None:
    asked = facts.open_rule.context_required
    waived = [name for name in asked if name in facts.relaxed]
    if not asked:
        return None
    if waived:
        return f"Stated, or set aside by urgent access: {_listed(sorted(asked))}."
    return f"Stated as it must be: {_listed(sorted(asked))}."


def _form(facts: _Facts) -> str | None:
    if not facts.open_rule.decided_case_by_case:
        return None
    return "A recorded decision releases data for this request."


def _hours(facts: _Facts) -> str | None:
    window = facts.open_rule.window
    if window is None:
        return None
    if "hours" in facts.relaxed:
        return "Urgent access sets the opening hours aside."
    return f"The rule was open. Its hours are {window.text}."


def _filter(facts: _Facts) -> str | None:
    asked = facts.open_rule.filters_required
    return f"Sent as it must be: {_listed(asked)}." if asked else None


def _scope(facts: _Facts) -> str | None:
    limited = sorted(facts.open_rule.filter_values)
    return f"Nothing beyond the agreed values of {_listed(limited)}." if limited else None


def _body_field(facts: _Facts) -> str | None:
    return None if facts.query.rows is None else "Each field that was sent is permitted."


def _volume(facts: _Facts) -> str | None:
    most = facts.open_rule.duties.records_max
    if facts.query.rows is None or most is None:
        return None
    return f"The request holds no more than {most} records."


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names)


_PASSING: Final = (
    _Passing("token", "access.rules", lambda _: None),
    _Passing("issuer", "parties", _issuer),
    _Passing("proof of possession", "security.sender_constrained_tokens", _proof),
    _Passing("identifier syntax", "rule.path", _identifiers),
    _Passing("purpose stated", "purpose.codes", _purpose_stated),
    _Passing("state", "status", _state),
    _Passing("start", "term.start", lambda _: "The agreement has started."),
    _Passing("end", "term.end", _end),
    _Passing("review", "term.review_by", lambda _: "Its review is not overdue."),
    _Passing("legal instrument", "legal.instruments", _law),
    _Passing("register", "legal.dea.register_id", _register),
    _Passing("party", "parties", _party),
    _Passing("purpose", "purpose.codes", _purpose),
    _Passing("operation", "rule.path", _operation),
    _Passing("break-glass", "access.break_glass", _urgency),
    _Passing("role", "rule.actor.roles", _role),
    _Passing("assurance", "rule.actor.min_acr", _assurance),
    _Passing("request context", "rule.request_context_required", _context),
    _Passing("decision form", "rule.request_context_required", _form),
    _Passing("hours", "rule.hours", _hours),
    _Passing("filter", "rule.filters_required", _filter),
    _Passing("scope", "rule.filter_values", _scope),
    _Passing("field", "rule.fields_allowed", lambda _: "Each field asked for is permitted."),
    _Passing("body field", "rule.body_fields_allowed", _body_field),
    _Passing("onward sharing", "onward_sharing", lambda _: "The call is made for nobody else."),
    _Passing("volume", "rule.limits.records_per_response", _volume),
)
"""Every check by its name, in the order of the decision (uk-public-sector.md section 2e)."""

CHECK_NAMES: Final = frozenset(passing.name for passing in _PASSING)
