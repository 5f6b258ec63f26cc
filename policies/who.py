"""Who can see what: exact answers over agreements, narrowed to what is asked, in plain English."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from policies.decision import PUBLIC
from policies.reach import Reach, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked; None leaves a part open.

    `role` is a person who holds that role and no other. `at` asks for one instant.
    """

    dataset: str | None = None
    field: str | None = None
    organisation: str | None = None
    client: str | None = None
    role: str | None = None
    purpose: str | None = None
    at: datetime | None = None


def answer(reaches: Iterable[Reach], question: Question) -> tuple[Reach, ...]:
    """Return the part of `reaches` that the question asks for; together they are all there is."""
    return tuple(
        one if question.field is None else replace(one, fields=frozenset({question.field}))
        for one in reaches
        if _fits(one, question)
    )


def _fits(reach: Reach, question: Question) -> bool:
    asked = question
    return (
        (asked.dataset is None or reach.rule.dataset == asked.dataset)
        and (asked.field is None or asked.field in reach.fields)
        and (asked.organisation is None or reach.admits_organisation(asked.organisation))
        and (asked.client is None or reach.clients is None or asked.client in reach.clients)
        and (asked.role is None or all(asked.role in roles for roles in reach.roles))
        and (asked.purpose is None or reach.purpose == asked.purpose)
        and (asked.at is None or reach.admits_instant(asked.at))
    )


def sentence(reach: Reach) -> str:
    """Return who may read what, for what, in one sentence."""
    rule = reach.rule
    fields = f"read {_and(sorted(reach.fields))}" if reach.fields else "call the service"
    what = f"{fields} of {rule.dataset}" if rule.dataset and reach.fields else fields
    urgent = ", by urgent access" if reach.urgent else ""
    return f"{_who(reach)} may {what} for {reach.purpose}{urgent}."


def conditions(reach: Reach) -> tuple[str, ...]:
    """Return what else must hold, one sentence each: about the caller, the time, the request."""
    return (*_caller(reach), *_time(reach), *_request(reach), *_answer(reach))


def as_data(reach: Reach) -> dict[str, object]:
    """Return the reach as plain JSON values."""
    rule = reach.rule
    return {
        "agreement": reach.agreement.id,
        "version": reach.agreement.version,
        "rule": rule.id,
        "service": rule.connector,
        "dataset": rule.dataset,
        "methods": sorted(rule.methods),
        "path": rule.template.text,
        "action": rule.action,
        "organisation": reach.organisation or "any",
        "clients": None if reach.clients is None else sorted(reach.clients),
        "purpose": reach.purpose,
        "mode": rule.mode,
        "one_role_of_each": [sorted(one) for one in reach.roles],
        "min_acr": f"AAL{reach.assurance}" if reach.assurance else None,
        "fields": sorted(reach.fields),
        "spans": [[one.from_.isoformat(), _iso(one.until)] for one in reach.spans],
        "hours": reach.window.text if reach.window else None,
        "urgent": reach.urgent is not None,
        "sentence": sentence(reach),
        "conditions": list(conditions(reach)),
    }


def _who(reach: Reach) -> str:
    if reach.organisation == PUBLIC:
        return "Anybody, without a token,"
    body = reach.organisation or "Any organisation with a token"
    by = f" through {_or(sorted(reach.clients))}" if reach.clients is not None else ""
    if reach.roles:
        holds = " and as ".join(_or(sorted(one)) for one in reach.roles)
        return f"A user of {body}{by}, as {holds},"
    return f"A user of {body}{by}" if reach.rule.mode == "user" else f"{body}{by}"


def _caller(reach: Reach) -> list[str]:
    found = []
    if reach.assurance:
        found.append(f"The user signed in at AAL{reach.assurance} or above.")
    if reach.organisation != PUBLIC:
        found.append("The token's issuer may speak for the organisation.")
    if reach.bound_token:
        found.append("The token is bound to a key of the caller.")
    return found


def _time(reach: Reach) -> list[str]:
    found = [_dates(span) for span in reach.spans]
    if reach.window is not None:
        found.append(f"Open {reach.window.text}.")
    return found


def _request(reach: Reach) -> list[str]:
    rule, urgent = reach.rule, reach.urgent
    found = [f"The call is {'/'.join(sorted(rule.methods))} {rule.template.text}."]
    for name in reach.context_asked:
        words = rule.context_words.get(name)
        among = f", one of {_or(sorted(words))}" if words else ""
        found.append(f"The request states {name}{among}.")
    found += [f"The request is narrowed by {name}." for name in rule.filters_required]
    for name, values in sorted(rule.filter_values.items()):
        found.append(f"Only where {name} is {_or(sorted(values)) or 'nothing at all'}.")
    if rule.decided_case_by_case:
        once = ", and is used once" if rule.single_use_decision else ""
        found.append(f"A recorded decision releases data for this request{once}.")
    if urgent is not None:
        found.append(f"The danger is {_or(sorted(urgent.reasons))}.")
        found.append(f"It is justified in {urgent.justification_chars_min} characters or more.")
        found.append(f"The grant has not run out, and covers {urgent.max_subjects} people at most.")
        if urgent.single_subject:
            found.append("The request names one person.")
    return found


def _answer(reach: Reach) -> list[str]:
    rule, duties = reach.rule, reach.rule.duties
    found = []
    if rule.fields_limited_to_decision:
        found.append("Only the fields that the decision releases.")
    if duties.restricted is not None:
        hidden = "People with a protected address are left out."
        blank = "Protected addresses are left blank."
        found.append(hidden if duties.restricted.withhold else blank)
    if duties.small_number_guard:
        found.append("Answers with small counts are held back.")
    if duties.receipt:
        found.append("Each answer carries a signed receipt.")
    bounds = (
        (duties.records_max, "records in one answer"),
        (duties.subjects_per_day, "people a day"),
        (duties.requests_per_day, "calls a day"),
        (duties.per_minute, "calls a minute"),
    )
    found += [f"At most {bound} {what}." for bound, what in bounds if bound is not None]
    return found


def _dates(span: Span) -> str:
    if span.until is None:
        return f"From {span.from_.isoformat()}."
    return f"From {span.from_.isoformat()} until just before {span.until.isoformat()}."


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _or(words: list[str]) -> str:
    return _joined(words, "or")


def _and(words: list[str]) -> str:
    return _joined(words, "and")


def _joined(words: list[str], last: str) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
