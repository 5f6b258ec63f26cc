"""Changes of agreements, one clause at a time, and queries near what their rules ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from policies.agreement import Agreement, BreakGlass, Field, Hours, Limits, OptOut, Rule
from policies.compile import Policy
from policies.decision import PUBLIC, Query
from policies.law import Law
from policies.reach import Point, Reach, reaches_of
from policies.times import Duration
from tests.policies.asking import ask

ROLES = ("mash-social-worker", "shielding-coordinator", "disclosure-officer", "nobody")
FIELDS = ("nhs_number", "known", "uprn", "postcode", "given_name", "new_field", "clinical_note")
CONTEXT = ("case_reference", "justification", "subject_category", "no_consent_reason")
OBLIGATIONS = ("single_use_decision", "fields_limited_to_decision", "hide_from_subject_view")
INSTRUMENTS = (
    *("COPI-NOTICE-GENERAL", "CA1989-s47", "OGL3", "DEA2017-s35-FUEL-POVERTY"),
    "LE-REQUEST-VOLUNTARY",
)
HOURS = (
    None, Hours(), Hours(opens="09:00", closes="17:00"), Hours(opens="20:00", closes="06:00"),
    Hours(opens="09:00", closes="17:00", days="mon-fri"), Hours(zone="Asia/Tokyo"),
)  # fmt: skip


def subset(values: tuple[str, ...], *, least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    """Draw some of the values, in any order."""
    return st.lists(st.sampled_from(values), unique=True, min_size=least, max_size=4).map(tuple)


@st.composite
def changed(draw: st.DrawFn, agreement: Agreement) -> Agreement:
    """Change one clause of the agreement; what would contradict itself is not drawn."""
    return draw(st.sampled_from((_rule, _rule, _rule, _glass, _whole, _legal, _data)))(
        draw, agreement
    )


def _rule(draw: st.DrawFn, agreement: Agreement) -> Agreement:
    position = draw(st.integers(0, len(agreement.rules) - 1))
    rule = agreement.rules[position]
    name, values = draw(st.sampled_from(sorted(_clauses(agreement, rule).items())))
    if name in ("mode", "roles", "min_acr"):
        changed_rule = replace(rule, actor=replace(rule.actor, **{name: draw(values)}))
    else:
        changed_rule = replace(rule, **{name: draw(values)})
    rules = list(agreement.rules)
    if draw(st.integers(0, 9)) == 0:
        rules = [*rules, replace(changed_rule, id="R9")]
    else:
        rules[position] = changed_rule
    return replace(agreement, rules=tuple(rules))


def _clauses(agreement: Agreement, rule: Rule) -> dict[str, st.SearchStrategy[Any]]:
    own = tuple(
        field.name
        for data in agreement.datasets
        if data.dataset == rule.dataset
        for field in data.fields
        if not field.never
    )
    values = st.dictionaries(
        st.sampled_from(("lad_code", "uprn", *own)),
        subset(("E06999001", "E06999002", "on_list"), least=1),
        max_size=2,
    )
    modes = ("application", "user", *((PUBLIC,) if rule.party == PUBLIC else ()))
    return {
        "methods": subset(("GET", "POST", "PUT"), least=1),
        "purposes": subset(agreement.purpose.codes, least=1),
        "mode": st.sampled_from(modes),
        "roles": subset((*rule.actor.roles, *ROLES)),
        "min_acr": st.sampled_from((None, "AAL1", "AAL2", "AAL3")),
        "filters_required": subset((*FIELDS, "lad_code")),
        "filter_values": values,
        "fields_allowed": st.none() | subset(own or ("a",)),
        "mask": st.dictionaries(st.sampled_from(own or ("a",)), st.just("x"), max_size=1),
        "body_fields_allowed": subset(FIELDS),
        "body_media_types_allowed": subset(("text/csv", "application/zip")),
        "limits": st.builds(
            Limits, records_per_response=st.sampled_from((None, 1, 2, 9)), per_minute=st.just(5)
        ),
        "hours": st.sampled_from((rule.hours, *HOURS)),
        "request_context_required": subset((*CONTEXT, "decision_ref")),
        "obligations": subset(OBLIGATIONS),
    }


def _glass(draw: st.DrawFn, agreement: Agreement) -> Agreement:
    ids = tuple(rule.id for rule in agreement.rules)
    words = ("hours", "roles", "case_reference", "subject_category", "decision_ref")
    fresh = BreakGlass(
        rules=draw(subset(ids)),
        relaxes=draw(subset(words)),
        never_relaxes=draw(subset(("single_subject", "roles"))),
        roles=draw(subset(ROLES)),
        reasons=draw(subset(("CHILD_MISSING", "FIRE"))),
        justification_min_chars=draw(st.sampled_from((1, 30))),
        ttl=draw(st.sampled_from((Duration(), Duration(minutes=30), Duration(days=1)))),
        max_subjects=draw(st.sampled_from((1, 6))),
        review_within=Duration(days=1),
        min_acr=draw(st.sampled_from((None, "AAL2", "AAL3"))),
    )
    now = agreement.break_glass
    if now is None or draw(st.booleans()):
        return replace(agreement, break_glass=draw(st.none() | st.just(fresh)))
    name = draw(st.sampled_from(BreakGlass.__slots__))
    return replace(agreement, break_glass=replace(now, **{name: getattr(fresh, name)}))


def _whole(draw: st.DrawFn, agreement: Agreement) -> Agreement:
    term, security = agreement.term, agreement.security
    year = timedelta(days=365)
    ends = (None, term.start + year, term.start + 3 * year)
    grace = (Duration(), Duration(days=60), Duration(months=2), Duration(minutes=90))
    options: dict[str, st.SearchStrategy[Any]] = {
        "status": st.sampled_from(("active", "review_due", "suspended", "draft")),
        "term": st.sampled_from(
            (
                *(replace(term, end=end) for end in ends),
                *(replace(term, review_grace=one) for one in grace),
                replace(term, start=term.start + timedelta(days=1)),
                replace(term, review_by=term.review_by + timedelta(days=9)),
            )
        ),
        "security": st.booleans().map(lambda on: replace(security, sender_constrained_tokens=on)),
        "parties": subset(("one", "two", "exampleshire-mash")).map(
            lambda clients: tuple(
                replace(party, clients=clients or None) for party in agreement.parties
            )
        ),
        "title": st.just("Another title"),
    }
    name = draw(st.sampled_from(sorted(options)))
    return replace(agreement, **{name: draw(options[name])})


def _legal(draw: st.DrawFn, agreement: Agreement) -> Agreement:
    legal = agreement.legal
    options: dict[str, st.SearchStrategy[Any]] = {
        "instruments": subset((*legal.instruments, *INSTRUMENTS), least=1).filter(
            lambda found: len(set(found)) == len(found)
        ),
        "provider_basis": st.sampled_from(({}, {"schedule1": ("DPA2018-Sch1-18",)})),
        "part3": st.sampled_from(
            ({}, {"note": "x"}, {"subject_categories": ["victim", "witness"]})
        ),
        "national_data_opt_out": st.sampled_from((None, OptOut(applies=False, why="x"))),
        "dea": st.sampled_from((legal.dea, None)),
    }
    name = draw(st.sampled_from(sorted(options)))
    return replace(agreement, legal=replace(legal, **{name: draw(options[name])}))


def _data(draw: st.DrawFn, agreement: Agreement) -> Agreement:
    position = draw(st.integers(0, len(agreement.datasets) - 1))
    data = agreement.datasets[position]
    fields = list(data.fields)
    chosen = draw(st.integers(0, len(fields) - 1))
    match draw(st.sampled_from(("add", "never", "class"))):
        case "add":
            fields.append(Field(name="new_field", class_="personal"))
        case "never":
            free = all(fields[chosen].name not in (r.fields_allowed or ()) for r in agreement.rules)
            never = not fields[chosen].never if free else fields[chosen].never
            fields[chosen] = replace(fields[chosen], never=never)
        case _:
            fields[chosen] = replace(fields[chosen], class_="operational")
    datasets = list(agreement.datasets)
    datasets[position] = replace(data, fields=tuple(fields))
    return replace(agreement, datasets=tuple(datasets))


@st.composite
def queries(draw: st.DrawFn, policy: Policy, law: Law) -> Query:
    """Draw a query that the policy permits, then change a few things about it."""
    reaches = reaches_of((policy,), law)
    if not reaches:
        return ask(policy.rules[0], STRANGER)
    reach = draw(st.sampled_from(reaches))
    point = inside(reach)
    for name in draw(st.lists(st.sampled_from(sorted(_POINTS)), max_size=1)):
        point = replace(point, **{name: draw(_POINTS[name](reach, point))})
    query = ask(reach.rule, point, urgent=reach.urgent is not None)
    for name in draw(st.lists(st.sampled_from(sorted(_QUERIES)), max_size=2, unique=True)):
        query = replace(query, **{name: draw(_QUERIES[name](reach, query))})
    return query


def inside(reach: Reach) -> Point:
    """Return a point in the middle of a reach."""
    start = reach.spans[0].from_
    at = next(
        one
        for hour in range(24 * 8)
        for one in (start + timedelta(hours=hour),)
        if reach.admits_instant(one)
    )
    return Point(
        organisation=reach.organisation or "ods:NEW",
        client=min(reach.clients) if reach.clients else None,
        purpose=reach.purpose,
        roles=frozenset(min(one) for one in reach.roles),
        assurance=3,
        person=True,
        at=at,
    )


STRANGER = Point(
    organisation="ods:NEW",
    client=None,
    purpose="NONE",
    roles=frozenset(),
    assurance=0,
    person=False,
    at=datetime(2026, 11, 18, 10, tzinfo=UTC),
)


def _instants(reach: Reach, point: Point) -> st.SearchStrategy[datetime]:
    tick = timedelta(microseconds=1)
    edges = [edge for span in reach.spans for edge in (span.from_, span.until) if edge]
    around = [edge + step for edge in edges for step in (-tick, timedelta(0), tick)]
    hours = [point.at + timedelta(hours=hour) for hour in (1, 5, 9, 14, 36, 60)]
    return st.sampled_from([*around, *hours])


_POINTS: dict[str, Callable[[Reach, Point], st.SearchStrategy[Any]]] = {
    "client": lambda _reach, _point: st.sampled_from(("one", "two", None)),
    "purpose": lambda reach, _point: st.sampled_from(reach.rule.purposes),
    "roles": lambda reach, point: st.sampled_from(
        (frozenset[str](), *map(frozenset, zip(sorted(reach.rule.roles))), frozenset(ROLES))
    ),
    "assurance": lambda _reach, _point: st.integers(0, 2),
    "person": lambda _reach, _point: st.just(False),
    "at": _instants,
}  # fmt: skip


def _sent(reach: Reach, query: Query) -> st.SearchStrategy[Any]:
    names = sorted(reach.rule.permitted_fields | {"new_field", "lad_code", "uprn"})
    values = st.sampled_from(("999000000001", "E06999001", "9992000015", "on_list"))
    own = dict(query.parameters)
    return st.tuples(st.sampled_from([name for name in names if name not in own]), values).map(
        lambda pair: (*query.parameters, pair)
    )


def _stated(_reach: Reach, query: Query) -> st.SearchStrategy[Any]:
    dropped = st.sampled_from((*query.context, None))
    worse = dict.fromkeys(query.context, "in other words")
    return st.just(worse) | dropped.map(
        lambda gone: {name: said for name, said in query.context.items() if name != gone}
    )


def _rows(reach: Reach, _query: Query) -> st.SearchStrategy[Any]:
    rows = st.sampled_from((({"uprn": "999000000001"},), ({"nhs_number": "9992000015"},)))
    return st.sampled_from((1, 2, 3)).flatmap(lambda times: rows.map(lambda row: row * times))


_QUERIES: dict[str, Callable[[Reach, Query], st.SearchStrategy[Any]]] = {
    "method": lambda _reach, _query: st.sampled_from(("GET", "POST", "PUT")),
    "parameters": _sent,
    "fields": lambda reach, _query: subset((*sorted(reach.rule.permitted_fields), *FIELDS)),
    "context": _stated,
    "rows": _rows,
    "decision_form_used": lambda _reach, _query: st.just(True),
    "caller": lambda _reach, query: st.just(replace(query.caller, sender_constrained=False)),
}
