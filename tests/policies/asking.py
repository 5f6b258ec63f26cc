"""Queries that meet all that a rule asks of a request, so that only caller and time can fail."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from policies.compile import CompiledRule
from policies.decision import PUBLIC, BreakGlassRequest, Caller, DecisionForm, Query
from policies.identifiers import is_identifier
from policies.reach import Point

_SAMPLES: Final = {
    "nhs_number": "9992000015",
    "uprn": "999000000001",
    "nino": "QQ123456A",
    "gss": "E06999001",
    "ods": "X9Z",
}
_REFERENCE: Final = "REQ-1"


def ask(
    rule: CompiledRule, point: Point, *, fields: tuple[str, ...] | None = None, urgent: bool = False
) -> Query:
    """Return the query of `point` to `rule`, with every filter, context and form it asks for."""
    path = {name: _value(rule, name) for _, name in rule.template.names}
    segments = tuple(
        path[next(n for at, n in rule.template.names if at == position)] if text is None else text
        for position, text in enumerate(rule.template.literals)
    )
    parameters = {name: _value(rule, name) for name in rule.filters_required if name not in path}
    glass = _glass(rule) if urgent and rule.urgent else None
    subject = rule.duties.subject_field
    if glass and subject and subject not in path and subject in rule.parameters:
        parameters[subject] = _value(rule, subject)
    by_body = glass and subject and subject not in path and subject not in rule.parameters
    rows = ({subject: _value(rule, subject)},) if by_body and subject in rule.body_fields else None
    public = point.organisation == PUBLIC
    return Query(
        at=point.at,
        caller=Caller(
            organisation=point.organisation,
            client=point.client,
            subject="u:1" if point.person else point.client,
            roles=point.roles,
            acr=f"AAL{point.assurance}" if point.assurance else None,
            issuer_speaks_for=frozenset() if public else frozenset({point.organisation}),
            sender_constrained=not public,
        ),
        method=sorted(rule.methods)[0],
        path=segments,
        purpose=None if public else point.purpose,
        parameters=tuple(parameters.items()),
        fields=fields,
        rows=rows,
        context={
            name: min(rule.context_words.get(name, ()), default="as asked")
            for name in rule.context_required
        }
        | ({"decision_ref": _REFERENCE} if rule.decided_case_by_case else {}),
        break_glass=glass,
        decision_form=DecisionForm(
            reference=_REFERENCE,
            requester=point.organisation,
            approved=True,
            fields_released=rule.permitted_fields,
            decided_at=point.at - timedelta(days=1),
            subject=path,
        ),
    )


def _glass(rule: CompiledRule) -> BreakGlassRequest:
    assert rule.urgent is not None
    return BreakGlassRequest(
        reason=min(rule.urgent.reasons, default=""),
        justification="x" * rule.urgent.justification_chars_min,
    )


def _value(rule: CompiledRule, name: str) -> str:
    kind = rule.identifiers.get(name)
    if name in rule.filter_values:
        fitting = sorted(
            value
            for value in rule.filter_values[name]
            if value.strip() and (kind is None or is_identifier(kind, value))
        )
        return fitting[0] if fitting else "none"
    return _SAMPLES[kind] if kind else "1"
