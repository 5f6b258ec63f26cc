"""What is settled of a caller answers as the decision itself does, whoever asks, when and what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings

from policies.case import Case
from policies.checks import check_law, check_term
from policies.decide import CHECKS, OF_THE_REQUEST, decide
from policies.decision import Caller, Query, ReasonCode
from policies.law import Instrument, InstrumentVersion, Law
from policies.settled import SPANS_REMEMBERED_MAX, Settled, dates
from policies.times import LATEST
from tests.policies.cedar.comparison import Material, read_material
from tests.policies.test_properties import SEEDS, World
from tests.policies.test_properties import SHARED as THOROUGH

SHARED: Final = settings(THOROUGH, max_examples=40)
MOMENT: Final = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def material() -> Material:
    """The raw documents of the scenario pack."""
    return read_material()


def in_the_place_of(asked: Query, query: Query) -> Query:
    """Return `query` as asked by whoever asks `asked`."""
    return replace(
        query,
        caller=asked.caller,
        context=asked.context,
        purpose=asked.purpose,
        on_behalf_of=asked.on_behalf_of,
    )


@SHARED
@given(seed=SEEDS)
def test_a_settled_answer_is_the_decision(material: Material, seed: int) -> None:
    """Near every date and bound, in any order, asked by the same caller and by others."""
    world = World(material, seed)
    policy, chance = world.compiled(), Random(seed)  # noqa: S311 - no secret
    instants = [query.at for query in world.queries]
    for asked in chance.sample(world.queries, 2):
        settled = Settled(policy, world.law, asked)
        queries = [in_the_place_of(asked, query) for query in world.queries]
        queries += [replace(asked, at=at) for at in instants]
        queries += [replace(query, at=chance.choice(instants)) for query in queries]
        queries += world.queries
        for query in chance.sample(queries, len(queries)):
            assert settled.decide(query) == decide(policy, query, world.law)


@SHARED
@given(seed=SEEDS)
def test_between_two_dates_a_decision_does_not_change(material: Material, seed: int) -> None:
    """Every instant at which term or law could turn an answer is one of the dates."""
    world = World(material, seed)
    document = world.document
    for rule in document["access"]["rules"]:
        rule.pop("hours", None)
    policy = world.compiled()
    turning = sorted(set(dates(policy, world.law)))
    for query in world.queries[:3]:
        if query.break_glass is None and query.decision_form is None:
            for start, end in pairwise(turning):
                found = [
                    decide(policy, replace(query, at=at), world.law)
                    for at in (start, start + (end - start) / 2, end - MOMENT)
                ]
                assert found[0] == found[1] == found[2]


def settled_for(pack: Any, call_id: str, law: Law | None = None) -> tuple[Settled, Query]:
    """Return what is settled of the caller of a call, and the call."""
    query = pack.query(call_id)
    policy = pack.policies[pack.call(call_id)["agreement"]]
    return Settled(policy, law or pack.law, query), query


def test_a_plain_permit_is_the_decision_itself(pack: Any) -> None:
    """It is no copy: what is remembered of a decision goes by its identity."""
    settled, query = settled_for(pack, "S4A2")
    assert settled.decide(query) is pack.decide("S4A2")
    assert settled.decide(query) is settled.decide(query)


def test_a_permit_ends_with_its_agreement(pack: Any) -> None:
    """The last instant of the term is included; the next is not, however lately it was asked."""
    query, policy = pack.query("S4A2"), pack.policies[pack.call("S4A2")["agreement"]]
    starts, ends = query.at - timedelta(days=1), query.at + timedelta(days=1)
    settled = Settled(replace(policy, starts=starts, ends=ends), pack.law, query)
    for _ in range(2):
        found = [
            settled.decide(replace(query, at=at)).reason
            for at in (starts - MOMENT, starts, query.at, ends, ends + MOMENT)
        ]
        assert found[1:4] == [ReasonCode.OK] * 3
        assert found[0] is ReasonCode.AGREEMENT_NOT_STARTED
        assert found[4] is ReasonCode.AGREEMENT_EXPIRED


def test_a_permit_ends_with_its_instrument(pack: Any) -> None:
    """Where a version ends the next one is relied on, or none is."""
    _, query = settled_for(pack, "S4A2")
    first, last = query.at + timedelta(days=1), query.at + timedelta(days=2)
    versions = (
        InstrumentVersion(version=1, from_=query.at, until=first),
        InstrumentVersion(version=2, from_=first, until=last),
    )
    law = Law(
        instruments={
            one: Instrument(
                id=one,
                title="",
                gateway="",
                purposes=frozenset({purpose for purpose in [query.purpose] if purpose}),
                versions=versions,
            )
            for one in pack.policies[pack.call("S4A2")["agreement"]].instruments
        }
    )
    settled, _ = settled_for(pack, "S4A2", law)
    relied_on = [
        settled.decide(replace(query, at=at)).instrument
        for at in (query.at, first - MOMENT, first, last - MOMENT)
    ]
    assert [(text or "").rpartition("@")[2] for text in relied_on] == ["1", "1", "2", "2"]
    refused = settled.decide(replace(query, at=last))
    assert refused.reason is ReasonCode.LEGAL_INSTRUMENT_NOT_IN_FORCE


def test_another_caller_gets_no_answer_of_this_ones(pack: Any) -> None:
    """Nor does the same one for another purpose, in another context, or for somebody else."""
    settled, query = settled_for(pack, "S2A2")
    assert settled.decide(query).permitted
    stranger = replace(query.caller, organisation="gss:E06000099")
    others = (
        replace(query, caller=stranger),
        replace(query, caller=replace(query.caller, roles=frozenset())),
        replace(query, caller=Caller(organisation=query.caller.organisation)),
        replace(query, purpose="CHILD_SAFEGUARDING_S17"),
        replace(query, context={}),
        replace(query, on_behalf_of="gss:E06000099"),
    )
    for other in others:
        assert not settled.decide(other).permitted


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("caller", [Caller(organisation="gss:E06000098"), Caller(organisation="gss:E06000099")]),
        ("purpose", ["CHILD_SAFEGUARDING_S17", "COUNCIL_TAX"]),
        ("context", [{}, {"case_reference": ""}]),
        ("on_behalf_of", ["gss:E06000098", "gss:E06000099"]),
    ],
)
def test_what_another_asked_meanwhile_settles_nothing(
    pack: Any, name: str, others: Sequence[Any]
) -> None:
    """Of two who are refused, the second gets no permit of somebody who asked between them."""
    _, query = settled_for(pack, "S2A2")
    first, second = (replace(query, **{name: other}) for other in others)
    settled = Settled(pack.policies[pack.call("S2A2")["agreement"]], pack.law, first)
    assert not settled.decide(first).permitted
    assert settled.decide(query).permitted
    assert not settled.decide(second).permitted


class Spy:
    """A query of which every member that is read is noted."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> object:
        """Return the member, and note it."""
        self.read.add(name)
        return getattr(self.query, name)


@pytest.mark.parametrize("check", [one for one in CHECKS if one not in OF_THE_REQUEST])
@pytest.mark.parametrize("call_id", ["S2A2", "S4A2", "S2R1", "S1A1"])
def test_what_is_settled_looks_at_nothing_of_the_request(
    pack: Any, check: Callable[[Case], None], call_id: str
) -> None:
    """Who asks and what for; the time is looked at by the two checks whose dates are known."""
    policy, query = pack.policies[pack.call(call_id)["agreement"]], pack.query(call_id)
    fixed = {"caller", "context", "purpose", "on_behalf_of"}
    for rule in policy.rules:
        spy = Spy(query)
        case = Case(policy, query, pack.law, (rule, {}), admitted=True)
        case.query = spy  # type: ignore[assignment]  # it answers as the query does
        del case.values
        check(case)
        assert spy.read <= fixed | ({"at"} if check in (check_term, check_law) else set())


def test_what_is_remembered_of_one_caller_is_bounded(pack: Any) -> None:
    """However many sets of rules its paths fall under."""
    settled, query = settled_for(pack, "S4A2")
    rule, _ = settled.policy.matching(query.method, query.path)[0]
    remembered = []
    for number in range(2 * SPANS_REMEMBERED_MAX + 1):
        one = replace(rule, id=f"R{number}")
        operation = (query.method, len(query.path))
        settled.policy = replace(settled.policy, rules=(one,), _by_operation={operation: (one,)})
        settled.decide(query)
        remembered.append(len(settled._spans))
    assert remembered == [*range(1, SPANS_REMEMBERED_MAX + 1)] * 2 + [1]


def test_the_last_instant_of_the_calendar_is_decided_too(pack: Any) -> None:
    """An agreement without an end has no date after its last one."""
    settled, query = settled_for(pack, "S4A2")
    at_the_end = replace(query, at=LATEST)
    assert settled.decide(at_the_end) == decide(settled.policy, at_the_end, pack.law)
