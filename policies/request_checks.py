"""The checks of steps 8 and 9: what the request says, when it comes, and how much it asks for."""

from __future__ import annotations

from typing import Final

from policies.case import Case, Finding, decides_this_case
from policies.compile import DECISION_REFERENCE, CompiledRule
from policies.decision import ReasonCode

_JUSTIFICATION: Final = "justification"
_STRUCTURES: Final = frozenset({dict, list, tuple})
"""The types of body values that could hide fields."""


def check_context(case: Case) -> None:
    """Step 8: the request context says what the rule requires, in closed words where law asks.

    An urgent grant brings its own justification and may relax other parts of the context.
    """
    rule, urgent = case.rule, case.urgent
    if rule is None:
        return
    for name in rule.context_required:
        said = case.query.context.get(name, "")
        words = rule.context_words.get(name)
        if said.strip() and (words is None or said in words):
            continue
        if urgent is not None and (name == _JUSTIFICATION or name in urgent.relaxes):
            continue
        case.found.append(
            Finding(
                "request context",
                ReasonCode.JUSTIFICATION_REQUIRED,
                case.clause("request_context_required"),
                f"The request context does not state {name} as the agreement requires.",
                f"State {name}: one of {', '.join(sorted(words))}" if words else f"State {name}",
            )
        )


def check_decision_form(case: Case) -> None:
    """Step 8: where each disclosure is decided by itself, the form released this one.

    A form narrows the fields that the rule permits, and may be good for one use only.
    """
    rule = case.rule
    if rule is None or not rule.decided_case_by_case:
        return
    reference = case.query.context.get(DECISION_REFERENCE, "").strip()
    if not reference:
        # A grant may relax what the request must say, not an obligation to keep to a decision.
        relaxed = case.urgent is not None and DECISION_REFERENCE in case.urgent.relaxes
        bound = rule.single_use_decision or rule.fields_limited_to_decision
        if bound and (relaxed or DECISION_REFERENCE not in rule.context_required):
            _refuse_form(case, "The request names no recorded decision to share.")
        return
    form = case.query.decision_form
    if form is None or not decides_this_case(form, case, reference):
        _refuse_form(case, "No recorded decision releases data for just this request.")
    elif rule.single_use_decision and case.query.decision_form_used:
        _refuse_form(case, "The recorded decision has been used before, and is for one use.")
    elif rule.fields_limited_to_decision:
        case.permitted &= form.fields_released


def check_hours(case: Case) -> None:
    """Step 8: the rule is open at the decision time, by the clock of its own zone."""
    rule = case.rule
    if rule is None or rule.window is None:
        return
    if case.urgent is not None and "hours" in case.urgent.relaxes:
        return
    unknown = False
    try:
        if rule.window.is_open(case.query.at):
            return
    except OverflowError:
        unknown = True
    case.found.append(
        Finding(
            "hours",
            ReasonCode.TIME_WINDOW_CLOSED,
            case.clause("hours"),
            f"Rule {rule.id} is closed at this time.",
            f"Open {rule.window.text}",
            unknown,
        )
    )


def check_filters(case: Case) -> None:
    """Step 8: every required filter is sent, and none asks beyond the values agreed."""
    rule = case.rule
    if rule is None or not (rule.filters_required or rule.filter_values):
        return
    for name in rule.filters_required:
        if not _is_sent(case, name):
            clause, hint = case.clause("filters_required"), f"Send {name}"
            detail = f"The request does not say which {name} it is about."
            case.found.append(Finding("filter", ReasonCode.FILTER_REQUIRED, clause, detail, hint))
    for name in case.failing(rule.filter_values, _is_among):
        clause = case.clause("filter_values")
        detail = f"The request asks for a {name} that is outside the agreement."
        hint = f"{name} may be {', '.join(sorted(rule.filter_values[name]))}"
        case.found.append(Finding("scope", ReasonCode.SUBJECT_OUT_OF_SCOPE, clause, detail, hint))


def check_fields(case: Case) -> None:
    """Step 8: parameters, asked-for fields and body fields are those permitted, once each.

    Filters cannot probe what fields may not show; a body value that is itself a structure could
    hide fields, so it is none of those permitted.
    """
    rule, query = case.rule, case.query
    if rule is None:
        return
    parameters = rule.parameters
    if case.permitted is not rule.permitted_fields:
        parameters = case.permitted | rule.filter_values.keys() | set(rule.filters_required)
    names = dict(query.parameters)
    if len(names) < len(query.parameters) or not parameters.issuperset(names):
        _refuse_fields(case, rule, "A query parameter is no permitted field, or is sent twice.")
    asked = query.fields
    if asked and (len(set(asked)) < len(asked) or not case.permitted.issuperset(asked)):
        _refuse_fields(case, rule, "A field is asked for that is not permitted, or twice.")
    for row in query.rows or ():
        if not (
            rule.body_fields.issuperset(row) and _STRUCTURES.isdisjoint(map(type, row.values()))
        ):
            clause = case.clause("body_fields_allowed")
            detail = "The body holds a field that is not permitted."
            hint = f"Body fields permitted: {', '.join(sorted(rule.body_fields)) or 'none'}"
            case.found.append(
                Finding("body field", ReasonCode.FIELD_NOT_PERMITTED, clause, detail, hint)
            )
            return


def check_onward(case: Case) -> None:
    """Step 8: nobody calls on behalf of another; data goes onward outside the gateway or never."""
    behalf = case.query.on_behalf_of
    if behalf is None or behalf == case.query.caller.organisation:
        return
    detail = "The call is made on behalf of another organisation."
    hint = "That organisation needs an agreement of its own"
    case.found.append(
        Finding(
            "onward sharing",
            ReasonCode.ONWARD_SHARING_NOT_PERMITTED,
            "onward_sharing",
            detail,
            hint,
        )
    )


def check_volume(case: Case) -> None:
    """Step 9: a batch asks for no more records, and an urgent grant for no more people."""
    rule, query = case.rule, case.query
    if rule is None:
        return
    most = rule.duties.records_max
    if query.rows is not None and most is not None and len(query.rows) > most:
        clause, hint = case.clause("limits.records_per_response"), f"Send at most {most} rows"
        detail = f"The batch asks about more than {most} records."
        case.found.append(Finding("volume", ReasonCode.VOLUME_EXCEEDED, clause, detail, hint))
    urgent, said = case.urgent, query.break_glass
    if urgent is not None and said is not None and said.subjects_so_far >= urgent.max_subjects:
        clause = "access.break_glass.max_subjects"
        detail = f"The urgent grant has been used for {urgent.max_subjects} people."
        case.found.append(Finding("volume", ReasonCode.VOLUME_EXCEEDED, clause, detail))


def _is_among(agreed: frozenset[str], value: object) -> bool:
    return isinstance(value, str) and value in agreed


def _is_sent(case: Case, name: str) -> bool:
    for sent, value in case.values:
        if sent == name and isinstance(value, str) and value.strip():
            return True
    rows = case.query.rows
    return bool(rows) and all(_says_something(row.get(name)) for row in rows or ())


def _says_something(value: object) -> bool:
    return bool(value.strip() if isinstance(value, str) else value)


def _refuse_form(case: Case, detail: str) -> None:
    case.found.append(
        Finding(
            "decision form",
            ReasonCode.CASE_REFERENCE_NOT_APPROVED,
            case.clause("request_context_required"),
            detail,
            "Send a request form to the data owner, and quote the decision that releases data",
        )
    )


def _refuse_fields(case: Case, rule: CompiledRule, detail: str) -> None:
    hint = f"Fields permitted: {', '.join(sorted(case.permitted)) or 'none'}"
    filters = rule.parameters - rule.permitted_fields
    if filters:
        hint += f"; filters: {', '.join(sorted(filters))}"
    clause = case.clause("fields_allowed")
    case.found.append(Finding("field", ReasonCode.FIELD_NOT_PERMITTED, clause, detail, hint))
