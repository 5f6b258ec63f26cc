"""A call is judged by the agreement it names, or the only one that fits."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from policies.compile import Policy
from policies.decision import PUBLIC, Caller, ReasonCode
from policies.select import AgreementIndex, refuse, select

MATCH = ("eligibility", "v1", "fuel-poverty", "match")
OPEN = ("open", "v1", "admissions-monthly.csv")


def chosen(pack: Any, index: AgreementIndex, **changes: Any) -> str:
    """Select for the match call of scenario 3, with some arguments changed."""
    asked: dict[str, Any] = {
        "caller": pack.query("S3A1").caller,
        "agreement": None,
        "service": "dwp-eligibility",
        "method": "POST",
        "path": MATCH,
        "purpose": "FUEL_POVERTY_ASSISTANCE",
    }
    found = select(index, **{**asked, **changes})
    return found.agreement_id if isinstance(found, Policy) else found.value


def twin(pack: Any, **changes: Any) -> AgreementIndex:
    """Index the pack with a second agreement like that of scenario 3."""
    agreement = pack.agreements["DSA-2026-0003"]
    other = replace(agreement, agreement_id="DSA-2026-0033", **changes)
    return AgreementIndex([*pack.policies.values(), pack.compile(other)])


def test_a_named_agreement_is_taken_as_it_is(pack: Any) -> None:
    """Whether the caller is a party is for the decision to say."""
    assert chosen(pack, pack.index, agreement="DSA-2026-0005") == "DSA-2026-0005"
    assert chosen(pack, pack.index, agreement="DSA-2026-0099") == "AGREEMENT_NOT_FOUND"


def test_organisation_client_and_service_find_the_agreement(pack: Any) -> None:
    """Each of the three counts."""
    caller = pack.query("S3A1").caller
    assert chosen(pack, pack.index) == "DSA-2026-0003"
    other = replace(caller, client="northvale-public-health")
    assert chosen(pack, pack.index, caller=other) == "AGREEMENT_NOT_FOUND"
    assert chosen(pack, pack.index, service="r9z-fhir") == "AGREEMENT_NOT_FOUND"
    stranger = replace(caller, organisation="ods:X9Z", issuer_speaks_for=frozenset({"ods:X9Z"}))
    assert chosen(pack, pack.index, caller=stranger) == "AGREEMENT_NOT_FOUND"


def test_of_several_the_one_with_the_purpose_stands(pack: Any) -> None:
    """Where purpose does not tell them apart, the caller has to."""
    rule = pack.agreements["DSA-2026-0003"].rules[0]
    other = twin(pack, rules=(replace(rule, purposes=("POPULATION_HEALTH_PLANNING",)),))
    assert chosen(pack, other) == "DSA-2026-0003"
    assert chosen(pack, other, purpose="POPULATION_HEALTH_PLANNING") == "DSA-2026-0033"
    assert chosen(pack, other, purpose="MARKETING") == "AGREEMENT_AMBIGUOUS"
    assert chosen(pack, twin(pack)) == "AGREEMENT_AMBIGUOUS"


def test_an_agreement_that_does_not_answer_stands_in_nobody_s_way(pack: Any) -> None:
    """It is chosen only where there is no other, so that its caller hears why."""
    assert chosen(pack, twin(pack, status="terminated")) == "DSA-2026-0003"
    draft = pack.compile(replace(pack.agreements["DSA-2026-0003"], status="draft"))
    assert chosen(pack, AgreementIndex([draft])) == "DSA-2026-0003"


def test_a_path_that_no_service_serves_still_finds_the_only_agreement(pack: Any) -> None:
    """So that the refusal is a decision, not a 404."""
    fhir = pack.query("S4R2").caller
    found = chosen(pack, pack.index, caller=fhir, service=None, path=("fhir", "R4", "Encounter"))
    assert found == "DSA-2026-0004"


def test_speaking_for_somebody_else_finds_nothing_out(pack: Any) -> None:
    """Neither that there is an agreement, nor that there is none."""
    caller = replace(pack.query("S3A1").caller, issuer_speaks_for=frozenset())
    assert chosen(pack, pack.index, caller=caller) == "ORG_MISMATCH"


@pytest.mark.parametrize(
    ("service", "path", "expected"),
    [
        ("r9z-open", OPEN, "DSA-2026-0004"),
        ("r9z-open", ("open", "v1", "admissions-monthly.parquet"), "TOKEN_MISSING"),
        ("r9z-fhir", ("fhir", "R4", "MeasureReport"), "TOKEN_MISSING"),
        (None, ("nowhere",), "TOKEN_MISSING"),
    ],
)
def test_the_public_is_admitted_where_a_rule_says_so(
    pack: Any, service: str | None, path: tuple[str, ...], expected: str
) -> None:
    """Elsewhere it is asked for a token."""
    asked = {"caller": Caller(organisation=PUBLIC), "service": service, "path": path}
    assert chosen(pack, pack.index, **asked, method="GET", purpose=None) == expected


def test_a_caller_with_a_token_may_use_an_open_publication(pack: Any) -> None:
    """An organisation that has no agreement for a service gets what the public gets."""
    caller = pack.query("S5A1").caller
    asked = {"caller": caller, "service": "r9z-open", "path": OPEN, "method": "GET"}
    assert chosen(pack, pack.index, **asked, purpose="OPEN_DATA_REUSE") == "DSA-2026-0004"


def test_the_latest_version_that_answers_stands(pack: Any) -> None:
    """A superseded version and a draft of the next are both left aside."""
    agreement = pack.agreements["DSA-2026-0003"]
    versions = [
        pack.compile(replace(agreement, version=number, status=status))
        for number, status in ((3, "draft"), (1, "superseded"), (2, "active"))
    ]
    index = AgreementIndex(versions)
    found = index.get("DSA-2026-0003")
    assert found is not None
    assert (len(index), found.version, next(iter(index))) == (1, 2, found)
    assert index.of("gss:E06999001") == (found,)


def test_an_index_survives_pickling(pack: Any) -> None:
    """Workers get it by pickle."""
    copy = pickle.loads(pickle.dumps(pack.index))  # noqa: S301 - our own bytes
    assert list(copy) == list(pack.index)


def test_a_refusal_without_an_agreement_reveals_none() -> None:
    """It says why, and nothing else."""
    decision = refuse(ReasonCode.AGREEMENT_AMBIGUOUS)
    assert (decision.status, decision.agreement, decision.clause) == (400, None, None)
    assert refuse(ReasonCode.ORG_MISMATCH).alert


def test_an_index_gives_agreements_by_id_whatever_came_first(pack: Any) -> None:
    """Of all, and of one organisation: two gateways with the same agreements choose alike."""
    model = pack.agreements["DSA-2026-0003"]
    policies = [
        pack.compile(replace(model, agreement_id=f"DSA-2026-000{number}", version=9 - number))
        for number in (1, 2, 3)
    ]
    for given in (policies, policies[::-1]):
        index = AgreementIndex(given)
        expected = ["DSA-2026-0001", "DSA-2026-0002", "DSA-2026-0003"]
        assert [one.agreement_id for one in index] == expected
        assert [one.agreement_id for one in index.of("gss:E06999001")] == expected


def test_only_rules_that_the_caller_may_use_tell_agreements_apart(pack: Any) -> None:
    """One rule of the caller's with the purpose is enough; another body's counts for nothing."""
    rule = pack.agreements["DSA-2026-0003"].rules[0]
    elsewhere = replace(rule, purposes=("POPULATION_HEALTH_PLANNING",))
    provider = "govuk:synthetic-department-for-work-and-pensions"
    others = replace(rule, id="R2", party=provider)
    assert chosen(pack, twin(pack, rules=(elsewhere, others))) == "DSA-2026-0003"
    both = twin(pack, rules=(elsewhere, replace(rule, id="R2")))
    assert chosen(pack, both) == "AGREEMENT_AMBIGUOUS"
    assert chosen(pack, twin(pack, rules=(others,))) == "DSA-2026-0003"
    nowhere = ("eligibility", "v1", "nothing")
    assert chosen(pack, twin(pack, rules=(others,)), path=nowhere) == "DSA-2026-0003"


def test_a_public_route_that_is_stopped_is_still_judged_by_its_agreement(pack: Any) -> None:
    """The record then says that it is suspended, and not that a token was missing."""
    agreement = replace(pack.agreements["DSA-2026-0004"], status="suspended")
    index = AgreementIndex([pack.compile(agreement)])
    public = {"caller": Caller(organisation=PUBLIC), "method": "GET", "path": OPEN}
    assert chosen(pack, index, service="r9z-open", **public) == "DSA-2026-0004"
    assert chosen(pack, index, service="r9z-fhir", **public) == "TOKEN_MISSING"
    rule = agreement.rules[0]
    program = replace(rule, actor=replace(rule.actor, mode="application"))
    closed = AgreementIndex([pack.compile(replace(agreement, rules=(program,)))])
    assert chosen(pack, closed, service="r9z-open", **public) == "TOKEN_MISSING"
