"""Reaches are exact: what they hold is permitted, and what no reach holds is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.agreement import Agreement, BreakGlass, Hours, Rule
from policies.compile import CompiledRule, Policy
from policies.decide import decide
from policies.decision import PUBLIC
from policies.law import Law
from policies.reach import Point, lawful_spans, reaches_of
from policies.times import Duration
from tests.policies.asking import ask
from tests.policies.changing import inside

ROLES = ("mash-social-worker", "edt-social-worker", "shielding-coordinator", "nobody")
BODIES = ("ods:X9Z", "ods:QZ9", "gss:E06999001", "gss:E10999001", "ods:NEW", PUBLIC)
CLIENTS = ("northvale-shielding-app", "exampleshire-mash", "icb-population-health", "other", None)
TICK = timedelta(microseconds=1)

roles = st.frozensets(st.sampled_from(ROLES), max_size=2)
sets = st.lists(st.sampled_from(ROLES), max_size=2, unique=True).map(tuple)


def edges(policy: Policy, law: Law) -> list[datetime]:
    """Return every instant at which the policy or its law may change, and one tick around it."""
    found = {policy.starts, policy.review_lapses, policy.ends or policy.starts}
    for one in policy.instruments:
        for version in law.instruments[one].versions:
            found |= {version.from_, version.until or version.from_}
    around = [edge + step for edge in found for step in (-TICK, timedelta(0), TICK)]
    night, day = datetime(2026, 11, 18, 2, tzinfo=UTC), datetime(2026, 11, 18, 10, tzinfo=UTC)
    return [*around, night, day, datetime(2021, 5, 3, 10, tzinfo=UTC)]


@st.composite
def variants(draw: st.DrawFn, agreement: Agreement) -> Agreement:
    """Change what rules ask of callers, and what urgent access relaxes."""

    def vary(rule: Rule) -> Rule:
        actor = replace(
            rule.actor,
            roles=draw(sets),
            min_acr=draw(st.sampled_from((None, "AAL1", "AAL3"))),
        )
        hours = draw(st.sampled_from((None, rule.hours, Hours(opens="09:00", closes="17:00"))))
        return replace(rule, actor=actor, hours=hours)

    rules = tuple(map(vary, agreement.rules))
    glass = draw(st.none() | urgent_clauses(tuple(rule.id for rule in rules)))
    review = draw(
        st.sampled_from((agreement.term.review_by, agreement.term.review_by.replace(2026)))
    )
    term = replace(agreement.term, review_by=review)
    dea = agreement.legal.dea
    registered = draw(st.booleans()) or dea is None
    legal = replace(
        agreement.legal,
        dea=dea if registered or dea is None else replace(dea, register_id=None),
    )
    return replace(agreement, rules=rules, break_glass=glass, term=term, legal=legal)


@st.composite
def urgent_clauses(draw: st.DrawFn, rules: tuple[str, ...]) -> BreakGlass:
    """Draw a break-glass clause for some of the rules."""
    words = ("hours", "roles", "case_reference", "subject_group")
    return BreakGlass(
        rules=draw(st.lists(st.sampled_from(rules), unique=True).map(tuple)),
        relaxes=draw(st.lists(st.sampled_from(words), unique=True).map(tuple)),
        never_relaxes=draw(st.lists(st.sampled_from(("roles", "single_subject")), unique=True)
                           .map(tuple)),
        roles=draw(sets),
        reasons=draw(st.sampled_from(((), ("CHILD_MISSING",)))),
        justification_min_chars=5,
        ttl=draw(st.sampled_from((Duration(), Duration(minutes=60)))),
        max_subjects=3,
        review_within=Duration(days=1),
        min_acr=draw(st.sampled_from((None, "AAL2"))),
    )  # fmt: skip


def points(policy: Policy, law: Law, rule: CompiledRule) -> st.SearchStrategy[Point]:
    """Draw callers, purposes and instants that are near what a rule asks, and others."""
    return st.builds(
        Point,
        organisation=st.just(rule.party) | st.sampled_from(BODIES),
        client=st.sampled_from((*(policy.clients.get(rule.party) or ()), *CLIENTS)),
        purpose=st.sampled_from(rule.purposes) | st.sampled_from((*policy.purposes, "MARKETING")),
        roles=roles,
        assurance=st.integers(0, 3),
        person=st.booleans(),
        at=st.sampled_from(edges(policy, law)),
    )


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_reaches_are_what_decide_permits(pack: Any, data: st.DataObject) -> None:
    """For any caller, purpose and instant: in a reach if, and only if, a fitting call passes."""
    base = pack.agreements[data.draw(st.sampled_from(sorted(pack.agreements)))]
    policy = pack.compile(data.draw(variants(base)))
    reaches = reaches_of((policy,), pack.law)
    for _ in range(8):
        rule = data.draw(st.sampled_from(policy.rules))
        drawn = data.draw(points(policy, pack.law, rule))
        public = drawn.organisation == PUBLIC
        point = replace(drawn, client=None, purpose=rule.purposes[0]) if public else drawn
        for urgent in (False, True):
            decision = decide(policy, ask(rule, point, urgent=urgent), pack.law)
            held = any(
                one.admits(point)
                for one in reaches
                if one.rule.id == rule.id
                and (one.urgent is not None) == (urgent and bool(rule.urgent))
            )
            assert decision.permitted == held, (decision.checks, point)


def test_fields_are_what_a_call_may_ask_for(pack: Any) -> None:
    """Each field of a reach can be asked for, and no other field of the dataset can."""
    for reach in reaches_of(pack.policies.values(), pack.law):
        policy = pack.policies[reach.agreement.id]
        point = inside(reach)
        for name in reach.rule.duties.declared | {"no_such_field"}:
            query = ask(reach.rule, point, fields=(name,), urgent=reach.urgent is not None)
            assert decide(policy, query, pack.law).permitted == (name in reach.fields)


def test_spans_follow_the_versions_of_the_law(pack: Any) -> None:
    """The notices overlap, so that the sharing has one span, from the start to the last end."""
    (span,) = lawful_spans(pack.policies["DSA-2020-0001"], "SHIELDING_SUPPORT", pack.law)
    assert span.from_ == datetime(2020, 4, 5, 23, tzinfo=UTC)
    assert span.until == datetime(2022, 6, 30, 23, tzinfo=UTC)
    assert lawful_spans(pack.policies["DSA-2020-0001"], "MARKETING", pack.law) == ()


def test_an_agreement_that_does_not_answer_reaches_nobody(pack: Any) -> None:
    """A suspended agreement permits nothing, whatever its rules say."""
    policy = pack.compile(replace(pack.agreements["DSA-2026-0003"], status="suspended"))
    assert reaches_of((policy,), pack.law) == ()
