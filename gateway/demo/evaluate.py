"""The offline policy test: decides every call of a pack at its own instant, without a network.

What only the running gateway sees (whether a token holds, what an answer contains, whether it had
to be withheld) is reported as "live only" and never as passed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Final

from gateway.demo.attempts import attempt_all, breaches
from gateway.demo.judge import Observed, Result, Results, judge, unplayed
from gateway.demo.packs import Pack, segments_of
from gateway.demo.scenario import BreakGlass, ProofKind, ScenarioCall
from gateway.exchange.rows import RowsUnreadable, read_rows
from gateway.refresh import Rulebook, compile_rules
from policies.compile import DECISION_REFERENCE, Policy
from policies.decide import decide
from policies.decision import (
    PUBLIC,
    BreakGlassRequest,
    Caller,
    Decision,
    DecisionForm,
    Query,
)
from policies.select import refuse, select

FIELDS_PARAMETER: Final = "_fields"
"""The query parameter that narrows an answer (design.md section 4)."""

_ANSWER_FACTS: Final = frozenset(
    {
        "records", "fields", "fields_withheld", "redacted_subjects", "eligible", "content_type",
        "subjects",
    }
)  # fmt: skip
_ALL_FACTS: Final = frozenset(fact.name for fact in fields(Observed))
_WITHHOLDING_FACTS: Final = frozenset({"status", "reason", "alert"})
_SERVER_ERRORS_FROM: Final = 500
SUCCESS: Final = range(200, 300)
"""HTTP status codes of success (RFC 9110, section 15.3)."""


def evaluate(pack: Pack) -> Results:
    """Decide every call of `pack`, make every authoring attempt, and compare.

    Raises:
        gateway.refresh.SnapshotRefused: the pack's configuration cannot be enforced.
    """
    rules = compile_rules(pack.configuration)
    return Results(
        results=tuple(_evaluate(call, pack, rules) for call in pack.sheet.calls),
        authoring=attempt_all(pack),
        breaches=breaches(pack),
    )


def would_permit(call: ScenarioCall, pack: Pack, at: datetime) -> bool:
    """Whether `call` would be permitted at another instant."""
    moved = replace(call, at=at)
    if _turns_on_authentication(moved, pack):
        return False
    return _decide(moved, pack, compile_rules(pack.configuration)).permitted


def _evaluate(call: ScenarioCall, pack: Pack, rules: Rulebook) -> Result:
    if call.trouble is not None:
        return unplayed(call, call.trouble)
    if _turns_on_authentication(call, pack):
        return judge(call, Observed(), live_only=_ALL_FACTS)
    decision = _decide(call, pack, rules)
    live_only = _ANSWER_FACTS
    if decision.permitted and call.expect.status >= _SERVER_ERRORS_FROM:
        live_only |= _WITHHOLDING_FACTS
    return judge(call, _observed(decision, call), live_only=live_only)


def _turns_on_authentication(call: ScenarioCall, pack: Pack) -> bool:
    """Whether the token or its proof is spoiled, so that nothing would be decided at all."""
    if call.token.public:
        return False
    spoiled = call.token.bound and call.proof is not ProofKind.GOOD
    return spoiled or call.token.issuer not in pack.configuration.issuers


def _decide(call: ScenarioCall, pack: Pack, rules: Rulebook) -> Decision:
    query = query_of(call, pack, rules.forms)
    route = rules.routes.match(query.path)
    chosen = select(
        rules.agreements,
        caller=query.caller,
        agreement=None if call.token.public else call.token.agreement,
        service=route.service if route else None,
        method=query.method,
        path=query.path,
        purpose=query.purpose,
    )
    return decide(chosen, query, rules.law) if isinstance(chosen, Policy) else refuse(chosen)


def query_of(call: ScenarioCall, pack: Pack, forms: Mapping[str, DecisionForm]) -> Query:
    """Return what the engine is asked about a call, at the call's own instant.

    `forms` are the recorded decisions to share, by the reference of their request.
    """
    token = call.token
    narrowed = [value for name, value in call.query if name == FIELDS_PARAMETER]
    body = pack.body_of(call)
    rows = None if body is None else read_rows(json.dumps(body).encode())
    return Query(
        at=call.at,
        caller=_caller(call, pack),
        method=call.method,
        path=segments_of(call.path),
        purpose=None if token.public else token.purpose,
        parameters=tuple(pair for pair in call.query if pair[0] != FIELDS_PARAMETER),
        fields=tuple(",".join(narrowed).split(",")) if narrowed else None,
        rows=None if isinstance(rows, RowsUnreadable) else rows,
        context=token.context,
        on_behalf_of=token.on_behalf_of,
        break_glass=_urgent(token.break_glass),
        decision_form=forms.get(token.context.get(DECISION_REFERENCE, "").strip()),
        decision_form_used=call.decision_already_used,
    )


def _urgent(said: BreakGlass | None) -> BreakGlassRequest | None:
    if said is None:
        return None
    return BreakGlassRequest(
        reason=said.reason,
        justification=said.justification,
        started_at=said.started_at,
        subjects_so_far=said.subjects_so_far,
    )


def _caller(call: ScenarioCall, pack: Pack) -> Caller:
    token = call.token
    if token.public:
        return Caller(organisation=PUBLIC)
    issuer: Any = pack.configuration.issuers[str(token.issuer)]
    return Caller(
        organisation=token.organisation,
        client=token.client,
        subject=token.subject,
        roles=frozenset(token.roles),
        acr=token.acr,
        issuer_speaks_for=frozenset(issuer["organisations"]),
        sender_constrained=token.bound,
    )


def _observed(decision: Decision, call: ScenarioCall) -> Observed:
    # Which success it is, is the service's to say; that it is one, is the decision's.
    success = call.expect.status if call.expect.status in SUCCESS else decision.status
    urgent = decision.break_glass
    return Observed(
        decision=decision.verdict.value,
        status=success if decision.permitted else decision.status,
        reason=decision.reason.value,
        rule=decision.rule,
        hint=decision.hint,
        action=decision.action,
        instrument=decision.instrument,
        alert=decision.alert,
        subject_view="hidden" if decision.duties.hide_from_subject else "visible",
        notify=frozenset(urgent.notify) if urgent else None,
        review_due=urgent.review_due if urgent else None,
    )
