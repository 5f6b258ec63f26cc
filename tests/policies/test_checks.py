"""Steps 1 to 7: who calls, under which agreement, on what law, for what."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from policies.decide import decide
from policies.decision import PUBLIC, Caller, Decision, ReasonCode, Verdict

GLASS_AT = datetime.fromisoformat("2026-11-19T02:38:00Z")


def at(text: str) -> datetime:
    """Read an instant."""
    return datetime.fromisoformat(text)


def as_caller(pack: Any, call_id: str, **changes: Any) -> Decision:
    """Decide a call with some members of its caller changed."""
    caller = replace(pack.query(call_id).caller, **changes)
    decision: Decision = pack.decide(call_id, caller=caller)
    return decision


def under(pack: Any, call_id: str, **changes: Any) -> Decision:
    """Decide a call under its agreement, changed."""
    agreement = pack.agreements[pack.call(call_id)["agreement"]]
    policy = pack.compile(replace(agreement, **changes))
    return decide(policy, pack.query(call_id), pack.law)


def urgent(pack: Any, call_id: str = "S2B1", **changes: Any) -> Decision:
    """Decide an urgent call with its grant changed."""
    grant = replace(pack.query("S2B1").break_glass, **changes)
    decision: Decision = pack.decide(call_id, break_glass=grant)
    return decision


def test_a_token_that_is_not_bound_is_not_enough_where_binding_is_agreed(pack: Any) -> None:
    """Agreements that ask for sender-constrained tokens take no other; open ones do."""
    decision = as_caller(pack, "S3A1", sender_constrained=False)
    assert (decision.reason, decision.status) == (ReasonCode.PROOF_REQUIRED, 401)
    assert as_caller(pack, "S4A2", sender_constrained=False).permitted


def test_the_public_is_told_that_a_token_is_needed(pack: Any) -> None:
    """Where no public rule fits, the public is asked who it is, and told nothing else."""
    decision = pack.decide("S4A2", caller=Caller(organisation=PUBLIC), purpose=None)
    assert (decision.reason, decision.clause) == (ReasonCode.TOKEN_MISSING, None)


def test_a_token_cannot_name_the_public(pack: Any) -> None:
    """`public` is not an organisation that an issuer may speak for."""
    assert as_caller(pack, "S4A2", organisation=PUBLIC).reason is ReasonCode.ORG_MISMATCH


@pytest.mark.parametrize(
    "changes",
    [
        {"path": ("safeguarding", "v1", "children", "9992000016", "contacts")},
        {"parameters": (("nhs_number", "123"),)},
        {"rows": ({"nhs_number": 9992000015},)},
    ],
)
def test_identifiers_are_checked_wherever_they_stand(pack: Any, changes: dict[str, Any]) -> None:
    """Path, query and body, before anything else is looked at."""
    decision = pack.decide("S2A2", **changes)
    assert (decision.reason, decision.status) == (ReasonCode.IDENTIFIER_INVALID, 422)
    assert "9992000016" not in repr(decision)


@pytest.mark.parametrize("purpose", [None, ""])
def test_a_purpose_must_be_stated(pack: Any, purpose: str | None) -> None:
    """No purpose is no mistake that anybody must look at, and it is refused."""
    decision = pack.decide("S3A1", purpose=purpose)
    assert (decision.reason, decision.status) == (ReasonCode.PURPOSE_MISSING, 400)
    assert decision.hint == "This agreement permits FUEL_POVERTY_ASSISTANCE"
    assert not decision.alert


@pytest.mark.parametrize(
    ("call_id", "instant", "reason"),
    [
        ("S3A1", "2026-08-31T22:59:59Z", "AGREEMENT_NOT_STARTED"),
        ("S3A1", "2026-08-31T23:00:00Z", "OK"),
        ("S3A1", "2027-03-31T22:59:59Z", "OK"),
        ("S3A1", "2027-03-31T23:00:00Z", "REVIEW_OVERDUE"),
        ("S1A1", "2022-06-30T20:59:59Z", "OK"),
        ("S2A1", "2028-06-14T22:59:59Z", "REVIEW_OVERDUE"),
        ("S2A1", "2028-06-14T23:00:00Z", "AGREEMENT_EXPIRED"),
    ],
)
def test_the_term_turns_on_the_second(pack: Any, call_id: str, instant: str, reason: str) -> None:
    """Start and end are part of the term; a review lapses at midnight in London."""
    assert pack.decide(call_id, at=at(instant)).reason == reason


@pytest.mark.parametrize("status", ["draft", "signed", "suspended", "terminated", "expired"])
def test_only_an_active_agreement_answers(pack: Any, status: str) -> None:
    """A review that is due does not stop it; every other state does."""
    assert under(pack, "S3A1", status=status).reason is ReasonCode.AGREEMENT_NOT_ACTIVE
    assert under(pack, "S3A1", status="review_due").permitted


@pytest.mark.parametrize(("seconds", "permitted"), [(-1, True), (0, False), (1, False)])
def test_an_instrument_ends_for_every_agreement_that_stands_on_it(
    pack: Any, seconds: int, permitted: bool
) -> None:
    """The last second of a notice is good, the next is not."""
    agreement = pack.agreements["DSA-2020-0001"]
    open_rules = tuple(replace(rule, hours=None) for rule in agreement.rules)
    policy = pack.compile(replace(agreement, rules=open_rules))
    end = at("2022-06-30T23:00:00Z")
    query = pack.query("S1A1", at=end + timedelta(seconds=seconds))
    decision = decide(policy, query, pack.law)
    assert decision.permitted is permitted
    assert decision.instrument == "COPI-NOTICE-GENERAL@5"


def test_law_that_is_not_in_the_table_denies(pack: Any) -> None:
    """What cannot be told counts as no."""
    policy = pack.policies["DSA-2026-0003"]
    decision = decide(policy, pack.query("S3A1"), replace(pack.law, instruments={}))
    assert decision.reason is ReasonCode.LEGAL_INSTRUMENT_NOT_IN_FORCE
    assert decision.checks[0].outcome == "unknown"


def test_a_registered_power_needs_its_entry(pack: Any) -> None:
    """A DEA agreement without a register entry does not answer."""
    legal = pack.agreements["DSA-2026-0003"].legal
    for dea in (None, replace(legal.dea, register_id=None)):
        decision = under(pack, "S3A1", legal=replace(legal, dea=dea))
        assert decision.reason is ReasonCode.REGISTER_ENTRY_MISSING


def test_a_client_that_is_not_listed_is_not_on_the_agreement(pack: Any) -> None:
    """The organisation is a party, but this client of it is not; it learns no more than others."""
    decision = as_caller(pack, "S3A1", client="northvale-council-tax")
    assert decision.reason is ReasonCode.PARTY_NOT_ON_AGREEMENT
    assert (decision.clause, decision.hint, decision.contact) == (None, None, None)


def test_the_purpose_must_be_the_rule_s_too(pack: Any) -> None:
    """A purpose of the agreement that the rule does not permit is refused by rule."""
    decision = pack.decide("S2A2", purpose="CHILD_SAFEGUARDING_S17")
    assert (decision.reason, decision.clause) == (ReasonCode.PURPOSE_NOT_PERMITTED, "R1")
    assert decision.hint == "This operation is permitted for CHILD_SAFEGUARDING_S47"


def test_another_party_s_rule_is_not_for_this_one(pack: Any) -> None:
    """A party that asks for what another was given is refused, and the record says what it was."""
    decision = pack.decide("S4A2", path=("open", "v1", "admissions-monthly.parquet"))
    assert (decision.reason, decision.clause) == (ReasonCode.ENDPOINT_NOT_PERMITTED, "access.rules")
    assert (decision.rule, decision.action) == ("R3", "consultation")
    assert "admissions-monthly.csv" in (decision.hint or "")


def test_anybody_may_use_a_public_rule(pack: Any) -> None:
    """A caller with a token and no part in the agreement is covered where the public is."""
    caller = pack.query("S1A1").caller
    open_file = pack.decide("S4A1", caller=caller, purpose="OPEN_DATA_REUSE")
    assert open_file.permitted
    other = pack.decide("S4A1", caller=caller, purpose="SHIELDING_SUPPORT")
    assert other.reason is ReasonCode.PURPOSE_NOT_PERMITTED


def test_a_user_is_asked_for_where_the_rule_says_so(pack: Any) -> None:
    """A program that calls for itself has no role."""
    for subject in (None, "exampleshire-mash"):
        decision = as_caller(pack, "S2A1", subject=subject)
        assert decision.reason is ReasonCode.ROLE_NOT_PERMITTED


@pytest.mark.parametrize("acr", [None, "AAL1", "gold"])
def test_assurance_must_reach_the_level(pack: Any, acr: str | None) -> None:
    """A level that is not known counts for nothing; a higher one is enough."""
    assert as_caller(pack, "S2A1", acr=acr).reason is ReasonCode.ASSURANCE_TOO_LOW
    assert as_caller(pack, "S2A1", acr="AAL3").permitted


def test_an_urgent_grant_says_what_follows(pack: Any) -> None:
    """Whom to tell, when to review, when it ends; and it alerts."""
    decision = urgent(pack)
    assert decision.verdict is Verdict.PERMIT_BREAK_GLASS
    assert decision.alert
    assert decision.break_glass is not None
    assert decision.break_glass.expires_at == GLASS_AT + timedelta(hours=1)
    assert decision.break_glass.max_subjects == 6
    fresh = urgent(pack, started_at=None)
    assert fresh.break_glass is not None
    assert fresh.break_glass.expires_at == at("2026-11-19T03:40:00Z")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"started_at": at("2026-11-19T01:40:00Z")}, "BREAK_GLASS_EXPIRED"),
        ({"started_at": at("2026-11-19T01:40:01Z")}, "OK"),
        ({"started_at": at("2026-11-19T09:00:00Z")}, "OK"),
        ({"subjects_so_far": 5}, "OK"),
        ({"subjects_so_far": 6}, "VOLUME_EXCEEDED"),
        ({"suspended": True}, "BREAK_GLASS_NOT_AVAILABLE"),
        ({"reason": "CONVENIENCE"}, "JUSTIFICATION_REQUIRED"),
        ({"justification": " " * 40}, "JUSTIFICATION_REQUIRED"),
    ],
)
def test_an_urgent_grant_is_bounded(pack: Any, changes: dict[str, Any], reason: str) -> None:
    """Time, people, reasons and a justification of some length; every refusal alerts."""
    decision = urgent(pack, **changes)
    assert decision.reason == reason
    assert decision.alert


def test_the_glass_is_broken_only_where_agreed(pack: Any) -> None:
    """Not for the yes-or-no rule, and not under an agreement that does not offer it."""
    for call_id in ("S2A1", "S1A1"):
        assert urgent(pack, call_id).reason is ReasonCode.BREAK_GLASS_NOT_AVAILABLE


def test_the_glass_is_broken_only_by_those_named(pack: Any) -> None:
    """A role of the rule is not enough, nor is less assurance."""
    for changes, reason in (
        ({"roles": frozenset({"mash-health-navigator"})}, ReasonCode.ROLE_NOT_PERMITTED),
        ({"subject": None}, ReasonCode.ROLE_NOT_PERMITTED),
        ({"acr": "AAL1"}, ReasonCode.ASSURANCE_TOO_LOW),
    ):
        assert as_caller(pack, "S2B1", **changes).reason is reason


def test_an_urgent_grant_is_for_one_person(pack: Any) -> None:
    """A request that names another child besides the one in its path is refused."""
    decision = pack.decide("S2B1", parameters=(("nhs_number", "9992000015"),))
    assert ReasonCode.BREAK_GLASS_NOT_AVAILABLE in {check.reason for check in decision.checks}
