"""Two engines, compiled apart from one document, must decide alike: the native one and Cedar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from random import Random
from typing import Any, Final

import cedarpy
import pytest
import yaml

from policies.decide import decide
from policies.decision import ReasonCode, Verdict
from tests.policies.cedar.adapter import Oracle
from tests.policies.cedar.comparison import (
    Case,
    Material,
    Tally,
    compare,
    compiled,
    difference,
    read_material,
)
from tests.policies.cedar.queries import Queries

SHARDS: Final = 10
AGREEMENTS_PER_SHARD: Final = 50
QUERIES_PER_AGREEMENT: Final = 200
WORKERS: Final = 2
WAIT_S_MAX: Final = 280.0
"""How long one shard may take: much, for the machine may be busy."""

NOT_DECIDED_HERE: Final = frozenset(
    {
        *("OK", "TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED", "ISSUER_UNTRUSTED"),
        *("AUDIENCE_WRONG", "PROOF_INVALID", "AGREEMENT_NOT_FOUND", "AGREEMENT_AMBIGUOUS"),
        *("RATE_LIMITED", "AUDIT_UNAVAILABLE", "CONNECTOR_UNAVAILABLE", "DUTY_NOT_APPLICABLE"),
        *("SMALL_NUMBERS_WITHHELD", "PARTY_NOT_ON_AGREEMENT"),
    }
)
"""Reasons that are found before or after a decision, or never alone (a stranger has no rule)."""


@pytest.fixture(scope="session")
def material() -> Material:
    """The raw documents of the scenario pack."""
    return read_material()


@pytest.fixture(scope="module")
def shards(material: Material) -> Iterator[list[Future[Tally]]]:
    """The comparisons, under way in other processes; each shard has its own seed."""
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        yield [
            pool.submit(
                compare,
                material,
                f"concordat-{number}",
                agreements=AGREEMENTS_PER_SHARD,
                queries=QUERIES_PER_AGREEMENT,
            )
            for number in range(SHARDS)
        ]


@pytest.mark.parametrize("number", range(SHARDS))
def test_the_engines_never_disagree(shards: list[Future[Tally]], number: int) -> None:
    """Permit, kind of permit, rule and fields are the same, and Cedar could always tell."""
    tally = shards[number].result(timeout=WAIT_S_MAX)
    assert tally.disagreements == []
    assert tally.verdicts.total() == AGREEMENTS_PER_SHARD * QUERIES_PER_AGREEMENT
    assert tally.refused_documents < AGREEMENTS_PER_SHARD / 5


def test_the_comparison_reaches_every_check(shards: list[Future[Tally]]) -> None:
    """At least 100,000 comparisons, a tenth permits, and every reason alone often enough."""
    tallies = [one.result(timeout=WAIT_S_MAX) for one in shards]
    verdicts = sum((one.verdicts for one in tallies[1:]), tallies[0].verdicts)
    alone = sum((one.sole_reasons for one in tallies[1:]), tallies[0].sole_reasons)
    assert verdicts.total() >= 100_000
    assert verdicts[Verdict.PERMIT] > 10_000
    assert verdicts[Verdict.PERMIT_BREAK_GLASS] > 500
    seldom = {one for one in ReasonCode if alone[one.value] < 10} - NOT_DECIDED_HERE
    assert not seldom, alone


def test_every_call_of_the_pack_is_decided_alike(pack: Any, material: Material) -> None:
    """The 43 calls of the scenario pack, each under the agreement that its sheet names."""
    oracles = {
        document["agreement_id"]: Oracle(document, material.instruments, material.services)
        for document in material.agreements
    }
    for call in pack.calls():
        query = pack.query(call["id"])
        decision = decide(pack.policies[call["agreement"]], query, pack.law)
        case = Case(query=query, decision=decision, oracle=oracles[call["agreement"]])
        assert difference(case, case.oracle.answers([query])[0]) is None, call["id"]


@pytest.fixture
def shielding(pack: Any, material: Material) -> Oracle:
    """The oracle of the first scenario's agreement."""
    document = pack.documents["DSA-2020-0001"]
    return Oracle(document, material.instruments, material.services)


@pytest.mark.parametrize(
    ("name", "value"), [("at_us", "noon"), ("roles", "officer"), ("stranger", True), ("bound", 1)]
)
def test_a_context_that_the_schema_refuses_is_a_denial(
    pack: Any, shielding: Oracle, name: str, value: object
) -> None:
    """The request is held against the schema; without a decision there is no permit."""
    request = shielding.requests(pack.query("S1A1"))[0]
    context = yaml.safe_load(request["context"])
    good, bad = shielding.authorize([request, {**request, "context": {**context, name: value}}])
    assert good.allowed
    assert bad.decision is cedarpy.Decision.NoDecision
    assert not bad.allowed


def test_a_diagnostics_error_is_a_denial_even_where_cedar_allows(
    pack: Any, shielding: Oracle
) -> None:
    """Cedar skips a forbid that fails to evaluate and says Allow; the oracle denies."""
    failing = "forbid(principal, action, resource) when { context.at_us * 9000000000 > 0 };"
    policies = f"{shielding.agreement.policies}\n{failing}"
    shielding._policies = cedarpy.PolicySet.from_str(policies)
    query = pack.query("S1A1")
    (result,) = shielding.authorize(shielding.requests(query))
    assert result.allowed
    assert result.diagnostics.errors
    assert not shielding.answers([query])[0].permitted


def _wider(document: dict[str, Any]) -> Iterator[tuple[str, Callable[[], None]]]:
    rule = document["access"]["rules"][0]
    yield "role", lambda: rule["actor"]["roles"].append("porter")
    yield "field", lambda: rule["fields_allowed"].remove("phone")
    yield "hours", lambda: rule["hours"].update({"from": "06:01"})
    yield "end", lambda: document["term"].update(end="2021-06-30T23:59:59+01:00")


@pytest.mark.parametrize("number", range(4))
def test_a_clause_read_wrongly_by_one_engine_is_found(
    changed: Any, material: Material, pack: Any, number: int
) -> None:
    """The comparison has teeth: one engine is given a document with one clause changed."""
    document = changed("DSA-2020-0001", {})
    list(_wider(document))[number][1]()
    services = material.with_fresh()
    policy = compiled(document, services)
    oracle = Oracle(pack.documents["DSA-2020-0001"], material.instruments, services)
    assert policy is not None
    source = Queries(Random(7), document, material.instruments, services)  # noqa: S311 - no secret
    queries = [source.draw() for _ in range(1500)]
    porter = replace(pack.query("S1A1").caller, roles=frozenset({"porter"}))
    queries.append(pack.query("S1A1", caller=porter))
    cases = [
        Case(query=one, decision=decide(policy, one, pack.law), oracle=oracle) for one in queries
    ]
    answers = oracle.answers(queries)
    assert any(difference(case, one) for case, one in zip(cases, answers, strict=True))
