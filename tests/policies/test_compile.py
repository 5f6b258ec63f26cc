"""An agreement is compiled into a flat, indexed policy, or refused."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from policies.compile import assurance_rank, compile_policy
from policies.document import DocumentInvalid


def test_a_policy_carries_what_its_agreement_says(pack: Any) -> None:
    """Times are in UTC, the review lapses at a London midnight, contacts are at hand."""
    policy = pack.policies["DSA-2026-0003"]
    assert policy.starts == datetime.fromisoformat("2026-08-31T23:00:00Z")
    assert policy.review_lapses == datetime.fromisoformat("2027-03-31T23:00:00Z")
    assert policy.registered
    assert policy.rule("R1").contact == "iao-benefits@dwp-syn.example"
    assert policy.rule("R2") is None


def test_every_policy_survives_pickling(pack: Any) -> None:
    """Workers get policies by pickle."""
    for policy in pack.policies.values():
        assert pickle.loads(pickle.dumps(policy)) == policy  # noqa: S301 - our own bytes


def test_a_contact_is_the_owner_of_the_service(pack: Any) -> None:
    """Where there are several providers, the one who holds the data is asked."""
    policy = pack.policies["DSA-2026-0002"]
    assert policy.contact == "chief-nurse@saltmarsh.example"
    assert policy.rule("R2").contact == "head-of-public-protection@exf.example"


def test_duties_are_those_of_rule_dataset_and_service(pack: Any) -> None:
    """Fields, scope, protected people, guard, limits and counting."""
    people = pack.policies["DSA-2020-0001"].rule("R1").duties
    assert "clinical_reason_code" in people.declared
    assert "clinical_reason_code" not in (people.allowed or ())
    never = {"clinical_reason_code", "gp_practice_ods", "national_data_opt_out"}
    assert people.never == never
    assert people.scope == {"lad_code": frozenset({"E06999001"})}
    assert people.restricted is not None
    assert "postcode" in people.restricted.redact
    assert (people.records_max, people.subjects_per_day, people.per_minute) == (500, 5000, 30)
    assert (people.subject_field, people.counts_subjects) == ("nhs_number", True)
    open_file = pack.policies["DSA-2026-0004"].rule("R1").duties
    assert (open_file.aggregate, open_file.small_number_guard) == (True, True)
    assert (open_file.counts_subjects, open_file.hide_from_subject) == (False, False)
    tenancy = pack.policies["DSA-2026-0005"].rule("R1").duties
    assert tenancy.restricted is not None
    assert tenancy.restricted.withhold
    assert tenancy.hide_from_subject
    assert tenancy.onward_not_permitted


def test_what_must_be_suppressed_is_guarded_even_without_an_obligation(pack: Any) -> None:
    """The dataset's own class turns the guard on."""
    agreement = pack.agreements["DSA-2026-0004"]
    bare = tuple(replace(rule, obligations=()) for rule in agreement.rules)
    assert pack.compile(replace(agreement, rules=bare)).rules[0].duties.small_number_guard


def test_a_receipt_is_given_where_the_rule_says_so(pack: Any) -> None:
    """The obligation is the duty, and nobody else's."""
    agreement = pack.agreements["DSA-2026-0003"]
    asking = replace(agreement.rules[0], obligations=("signed_receipt",))
    compiled = pack.compile(replace(agreement, rules=(asking,)))
    assert compiled.rules[0].duties.receipt
    assert not pack.compile(agreement).rules[0].duties.receipt


def test_a_masked_field_does_not_leave(pack: Any) -> None:
    """A mask cannot be applied here, so the field stays behind."""
    agreement = pack.agreements["DSA-2026-0003"]
    masked = replace(agreement.rules[0], mask={"uprn": "first six digits"})
    policy = pack.compile(replace(agreement, rules=(masked,)))
    assert policy.rules[0].duties.allowed == {"fuel_poverty_eligible"}


def test_a_rule_names_the_files_that_go_unread(pack: Any) -> None:
    """Which media types pass unread is part of every permit, and none does by default."""
    agreement = pack.agreements["DSA-2026-0003"]
    plain, rule = pack.policies["DSA-2026-0003"], agreement.rules[0]
    assert plain.rule("R1").duties.body_media_types == frozenset()
    files = replace(rule, body_media_types_allowed=("text/csv",))
    policy = pack.compile(replace(agreement, rules=(files,)))
    assert policy.rules[0].duties.body_media_types == {"text/csv"}


def test_rules_are_found_by_operation_whoever_s_they_are(pack: Any) -> None:
    """HEAD is governed by GET's rules; other methods and paths find nothing."""
    policy = pack.policies["DSA-2026-0002"]
    path = ("safeguarding", "v1", "children", "9992000015", "known")
    for method in ("GET", "HEAD"):
        ((rule, parameters),) = policy.matching(method, path)
        assert (rule.id, parameters) == ("R0", {"nhs_number": "9992000015"})
    assert not policy.matching("POST", path)
    assert not policy.matching("GET", path[:-1])


def test_the_law_closes_words_of_the_request_context(pack: Any) -> None:
    """Para 18 and the agreed subject categories; nothing where the law asks for nothing."""
    contacts = pack.policies["DSA-2026-0002"].rule("R1").context_words
    assert set(contacts) >= {"no_consent_reason", "subject_group"}
    tenancy = pack.policies["DSA-2026-0005"].rule("R1").context_words
    assert "convicted" not in tenancy["subject_category"]
    assert not pack.policies["DSA-2026-0003"].rule("R1").context_words


def test_what_never_is_relaxed_cannot_be(pack: Any) -> None:
    """`never_relaxes` beats `relaxes`."""
    agreement = pack.agreements["DSA-2026-0002"]
    glass = replace(agreement.break_glass, relaxes=("hours", "fields"))
    urgent = pack.compile(replace(agreement, break_glass=glass)).rule("R1").urgent
    assert urgent.relaxes == {"hours"}


def test_what_cannot_be_enforced_here_is_refused(pack: Any) -> None:
    """Unknown services, datasets they do not serve, opt-outs, and duties without facts."""
    agreement = pack.agreements["DSA-2020-0001"]
    opt_out = replace(agreement.legal.national_data_opt_out, applies=True)
    legal = replace(agreement.legal, national_data_opt_out=opt_out)
    bare = replace(pack.services["nhse-spl"], restricted_when={}, identifiers={"a": "b"})
    elsewhere = replace(bare, datasets=frozenset({"other"}))
    with pytest.raises(DocumentInvalid) as raised:
        compile_policy(replace(agreement, legal=legal), digest="", services={"nhse-spl": elsewhere})
    assert len(raised.value.faults) == 6
    with pytest.raises(DocumentInvalid, match="did you mean 'nhse-spll'"):
        compile_policy(agreement, digest="", services={"nhse-spll": bare})


def test_assurance_is_ranked() -> None:
    """An unknown level counts for nothing."""
    assert [assurance_rank(level) for level in (None, "gold", "AAL1", "AAL3")] == [0, 0, 1, 3]
