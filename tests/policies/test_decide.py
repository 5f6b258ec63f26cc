"""The decision as a whole: total, deterministic, and never wider than agreed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.case import Case
from policies.decide import BREAK_GLASS_AVAILABLE, CHECKS, applicable, decide, turns_on_body
from policies.decision import (
    PUBLIC,
    BreakGlassRequest,
    Caller,
    Decision,
    DecisionForm,
    Query,
    ReasonCode,
)

IDS = (*("DSA-2020-0001", "DSA-2026-0002", "DSA-2026-0003", "DSA-2026-0004", "DSA-2026-0005"),)
PERMITTED = ("S1A1", "S1A3", "S2A1", "S2A2", "S2A3", "S2B1", "S3A1", "S4A1", "S4A2", "S4A3", "S5A1")
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

ORGANISATIONS = st.sampled_from(
    [PUBLIC, "gss:E06999001", "gss:E10999001", "urn:ukfdx:org:police:SYN-EXF", "ods:QZ9", "x"]
)
WORDS = st.text(max_size=4) | st.sampled_from(
    [
        *("nhs_number", "uprn", "lad_code", "E06999001", "9992000015", "999000000501", "known"),
        *("CHILD_SAFEGUARDING_S47", "LE_INVESTIGATION", "OPEN_DATA_REUSE", "MARKETING"),
        *("IMMEDIATE_RISK_TO_LIFE", "LER-2026-0001", "decision_ref", "justification"),
    ]
)
PATHS = st.sampled_from(
    [
        ("spl", "v1", "people"),
        ("safeguarding", "v1", "children", "9992000015", "contacts"),
        ("eligibility", "v1", "fuel-poverty", "match"),
        ("open", "v1", "admissions-monthly.csv"),
        ("housing", "v1", "properties", "999000000501", "tenancy"),
    ]
) | st.lists(WORDS, max_size=4).map(tuple)
INSTANTS = st.datetimes(timezones=st.just(UTC)) | st.integers(1_590_000_000, 1_900_000_000).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC)
)
VALUES = WORDS | st.none() | st.integers() | st.lists(WORDS, max_size=2)
CALLERS = st.builds(
    Caller,
    organisation=ORGANISATIONS,
    client=st.none() | st.sampled_from(["exampleshire-mash", "northvale-warm-homes"]),
    subject=st.none() | WORDS,
    roles=st.frozensets(st.sampled_from(["mash-social-worker", "disclosure-officer"])),
    acr=st.none() | st.sampled_from(["AAL1", "AAL2"]),
    issuer_speaks_for=st.frozensets(ORGANISATIONS),
    sender_constrained=st.booleans(),
)
QUERIES = st.builds(
    Query,
    at=INSTANTS,
    caller=CALLERS,
    method=st.sampled_from(["GET", "HEAD", "POST", "PURGE", ""]),
    path=PATHS,
    purpose=st.none() | WORDS,
    parameters=st.lists(st.tuples(WORDS, WORDS), max_size=3).map(tuple),
    fields=st.none() | st.lists(WORDS, max_size=3).map(tuple),
    rows=st.none() | st.lists(st.dictionaries(WORDS, VALUES, max_size=3), max_size=3).map(tuple),
    context=st.dictionaries(WORDS, WORDS, max_size=3),
    on_behalf_of=st.none() | ORGANISATIONS,
    break_glass=st.none()
    | st.builds(
        BreakGlassRequest,
        reason=WORDS,
        justification=st.text(max_size=40),
        started_at=st.none() | INSTANTS,
        subjects_so_far=st.integers(0, 9),
    ),
    decision_form=st.none()
    | st.builds(
        DecisionForm,
        reference=WORDS,
        requester=ORGANISATIONS,
        approved=st.booleans(),
        fields_released=st.frozensets(WORDS),
        decided_at=INSTANTS,
        subject=st.dictionaries(WORDS, WORDS, max_size=2),
    ),
)


@SHARED
@given(QUERIES, st.sampled_from(IDS))
def test_any_query_gets_a_decision_and_always_the_same(
    pack: Any, query: Query, agreement_id: str
) -> None:
    """Total and deterministic; a denial lists its reason among the failed checks, a permit none."""
    policy = pack.policies[agreement_id]
    decision = decide(policy, query, pack.law)
    assert decision == decide(policy, query, pack.law)
    failed = {check.reason for check in decision.checks}
    if decision.permitted:
        assert not failed
    else:
        assert decision.reason in failed
        assert decision.duties.allowed is None


@SHARED
@given(QUERIES, st.sampled_from(IDS))
def test_what_a_body_cannot_change_is_decided_without_it(
    pack: Any, query: Query, agreement_id: str
) -> None:
    """The answer is the same to the last check, so that nobody need read the body for it."""
    policy, bare = pack.policies[agreement_id], replace(query, rows=None)
    assert turns_on_body(policy, query) is turns_on_body(policy, bare)
    if not turns_on_body(policy, bare):
        assert decide(policy, query, pack.law) == decide(policy, bare, pack.law)


@SHARED
@given(QUERIES, st.sampled_from(IDS))
def test_a_stranger_learns_nothing(pack: Any, query: Query, agreement_id: str) -> None:
    """Whatever a caller who is on no agreement tries, the answer shows nothing of this one."""
    caller = replace(query.caller, organisation="x", issuer_speaks_for=frozenset({"x"}))
    stranger = replace(query, caller=caller, path=("spl", "v1", "people"))
    decision = decide(pack.policies[agreement_id], stranger, pack.law)
    assert decision.reason in {ReasonCode.PARTY_NOT_ON_AGREEMENT, ReasonCode.PURPOSE_MISSING}
    assert (decision.clause, decision.hint, decision.contact) == (None, None, None)


@SHARED
@given(st.sampled_from(PERMITTED), st.randoms(use_true_random=False))
def test_the_order_of_the_clauses_does_not_matter(pack: Any, call_id: str, chance: Any) -> None:
    """Rules, parties, datasets and lists without an order of their own may be shuffled."""
    agreement = pack.agreements[pack.call(call_id)["agreement"]]
    shuffled: dict[str, Any] = {}
    for name in ("rules", "datasets"):
        items = list(getattr(agreement, name))
        chance.shuffle(items)
        shuffled[name] = tuple(items)
    one, other = pack.compile(agreement), pack.compile(replace(agreement, **shuffled))
    query = pack.query(call_id)
    assert decide(one, query, pack.law) == decide(other, query, pack.law)


@SHARED
@given(QUERIES, st.sampled_from(IDS), WORDS)
def test_prohibiting_a_purpose_never_permits(
    pack: Any, query: Query, agreement_id: str, code: str
) -> None:
    """One more prohibition takes away or changes nothing; a prohibited purpose is refused."""
    agreement = pack.agreements[agreement_id]
    purpose = replace(agreement.purpose, prohibited=(*agreement.purpose.prohibited, code))
    stricter = decide(pack.compile(replace(agreement, purpose=purpose)), query, pack.law)
    if stricter.permitted:
        assert decide(pack.policies[agreement_id], query, pack.law).permitted
        assert stricter.purpose != code


@pytest.mark.parametrize("call_id", PERMITTED)
def test_a_permitted_purpose_that_is_also_prohibited_is_refused(pack: Any, call_id: str) -> None:
    """Prohibition beats permission."""
    agreement = pack.agreements[pack.call(call_id)["agreement"]]
    code = pack.decide(call_id).purpose
    purpose = replace(agreement.purpose, prohibited=(code,))
    policy = pack.compile(replace(agreement, purpose=purpose))
    decision = decide(policy, pack.query(call_id), pack.law)
    assert decision.reason is ReasonCode.PURPOSE_NOT_PERMITTED


@SHARED
@given(st.sampled_from(PERMITTED), st.data())
def test_asking_for_fewer_fields_never_widens(pack: Any, call_id: str, data: Any) -> None:
    """Narrowing gives just what was asked for; all other duties stay as they are."""
    whole = pack.decide(call_id)
    allowed = sorted(whole.duties.allowed)
    fields = tuple(data.draw(st.lists(st.sampled_from(allowed), unique=True)))
    narrowed = pack.decide(call_id, fields=fields)
    assert narrowed.permitted
    assert narrowed.duties == replace(whole.duties, allowed=frozenset(fields))


@SHARED
@given(st.sampled_from(PERMITTED), st.integers(0, 20 * 365 * 24 * 3600))
def test_outside_its_term_an_agreement_permits_nothing(
    pack: Any, call_id: str, seconds: int
) -> None:
    """At any instant: permitted only while the agreement and its review run."""
    policy = pack.policies[pack.call(call_id)["agreement"]]
    at = datetime(2018, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    if decide(policy, pack.query(call_id, at=at), pack.law).permitted:
        assert policy.starts <= at < policy.review_lapses
        assert policy.ends is None or at <= policy.ends


def test_the_caller_sees_one_reason_and_the_record_keeps_all(pack: Any) -> None:
    """The first failed check in the order of the steps is shown; any of them may alert."""
    decision = pack.decide(
        "S3A1",
        at=datetime.fromisoformat("2027-04-15T11:00:00Z"),
        fields=("nino",),
        on_behalf_of="ods:X9Z",
    )
    assert [check.reason.value for check in decision.checks] == [
        "REVIEW_OVERDUE",
        "TIME_WINDOW_CLOSED",
        "FIELD_NOT_PERMITTED",
        "ONWARD_SHARING_NOT_PERMITTED",
    ]
    assert (decision.reason, decision.clause) == (ReasonCode.REVIEW_OVERDUE, "term.review_by")
    assert decision.contact == "iao-benefits@dwp-syn.example"


def test_an_alert_cannot_be_hidden_behind_an_everyday_mistake(pack: Any) -> None:
    """A forbidden field asked for at a closed hour still alerts."""
    quiet = pack.decide("S3R1")
    probing = pack.decide("S3R1", fields=("nino",))
    assert quiet.reason is probing.reason is ReasonCode.TIME_WINDOW_CLOSED
    assert (quiet.alert, probing.alert) == (False, True)


def test_any_rule_of_the_caller_that_permits_is_enough(pack: Any) -> None:
    """Two rules on one path: another role, fewer fields."""
    agreement = pack.agreements["DSA-2026-0002"]
    contacts = agreement.rules[1]
    analyst = replace(
        contacts,
        id="R9",
        actor=replace(contacts.actor, roles=("data-analyst",)),
        fields_allowed=("contact_id",),
    )
    policy = pack.compile(replace(agreement, rules=(*agreement.rules, analyst)))
    by_analyst = decide(policy, pack.query("S2R6"), pack.law)
    assert by_analyst.rule == "R9"
    assert by_analyst.duties.allowed == frozenset({"contact_id"})
    assert decide(policy, pack.query("S2A2"), pack.law).rule == "R1"
    nobody = replace(pack.query("S2R6").caller, roles=frozenset({"porter"}))
    denied = decide(policy, replace(pack.query("S2R6"), caller=nobody), pack.law)
    assert (denied.reason, denied.clause) == (ReasonCode.ROLE_NOT_PERMITTED, "R1")


def _hinted(pack: Any, changes: Mapping[str, Any]) -> bool:
    decision: Decision = pack.decide("S2R1", **changes)
    return decision.hint == BREAK_GLASS_AVAILABLE


def test_breaking_the_glass_is_offered_only_where_it_would_help(pack: Any) -> None:
    """Not to a role that may not, and not where something else fails that it never relaxes."""
    caller = pack.query("S2R1").caller
    assert _hinted(pack, {})
    assert not _hinted(pack, {"caller": replace(caller, roles=frozenset({"data-analyst"}))})
    assert not _hinted(pack, {"purpose": "CHILD_SAFEGUARDING_S17"})
    assert not _hinted(pack, {"context": {}})


def test_a_plain_permit_is_the_same_value_every_time(pack: Any) -> None:
    """What does not depend on the query is built once."""
    assert pack.decide("S4A2") is pack.decide("S4A2")


@SHARED
@given(query=QUERIES, agreement_id=st.sampled_from(IDS))
def test_checks_that_are_left_out_could_not_have_failed(
    pack: Any, query: Query, agreement_id: str
) -> None:
    """A rule that lacks a clause, and a query that has nothing to check, lose nothing by it."""
    policy = pack.policies[agreement_id]
    plain = Query(at=query.at, caller=query.caller, method="GET", path=(), context=query.context)
    for rule in policy.rules:
        for asked in (query, plain):
            case = Case(policy, asked, pack.law, (rule, {}), admitted=True)
            for check in set(CHECKS) - set(applicable(rule, asked)):
                check(case)
            assert not case.found
