"""Who can see what: answers narrowed to the question, in plain English and as data."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from policies.decision import PUBLIC
from policies.reach import Reach, reaches_of
from policies.who import Question, answer, as_data, conditions, sentence


@pytest.fixture(scope="module")
def reaches(pack: Any) -> tuple[Reach, ...]:
    """All that the pack's agreements permit."""
    return reaches_of(pack.policies.values(), pack.law)


def rules(found: tuple[Reach, ...]) -> set[tuple[str, str, bool]]:
    """Return agreement, rule and urgency of each answer."""
    return {(one.agreement.id[-4:], one.rule.id, one.urgent is not None) for one in found}


def test_who_can_read_a_field(reaches: tuple[Reach, ...]) -> None:
    """Everybody who can, by their rules, and only that field is named."""
    found = answer(reaches, Question(field="marker"))
    assert rules(found) == {("0002", "R2", False), ("0002", "R2", True)}
    assert {one.fields for one in found} == {frozenset({"marker"})}
    assert "may read marker of police-markers for CHILD_SAFEGUARDING_S47" in sentence(found[0])


def test_a_field_that_is_never_shared_is_nobodys(reaches: tuple[Reach, ...]) -> None:
    """No rule lets it out, and none lets out what nobody declared."""
    assert answer(reaches, Question(field="clinical_note")) == ()
    assert answer(reaches, Question(field="no_such_field")) == ()


def test_what_a_role_can_see(reaches: tuple[Reach, ...]) -> None:
    """A role of a body for a purpose: by day its own rules, in danger the urgent ones."""
    asked = Question(
        organisation="gss:E10999001", role="edt-social-worker", purpose="CHILD_SAFEGUARDING_S47"
    )
    assert rules(answer(reaches, asked)) == {
        ("0002", "R0", False),
        ("0002", "R1", True),
        ("0002", "R2", True),
    }


def test_an_instant_is_inside_dates_law_and_hours(reaches: tuple[Reach, ...]) -> None:
    """At night only what has no hours, or sets them aside, is open."""
    night = datetime(2026, 11, 18, 2, 0, tzinfo=UTC)
    asked = Question(organisation="gss:E10999001", at=night)
    assert ("0002", "R1", False) not in rules(answer(reaches, asked))
    assert ("0002", "R1", True) in rules(answer(reaches, asked))
    ended = datetime(2022, 6, 30, 23, 0, tzinfo=UTC)
    assert not answer(reaches, Question(dataset="spl", at=ended))


def test_the_public_and_everybody_else(reaches: tuple[Reach, ...]) -> None:
    """A public rule is open without a token, and to any organisation with one."""
    (alone,) = answer(reaches, Question(organisation=PUBLIC))
    assert sentence(alone).startswith("Anybody, without a token, may read ")
    (stranger,) = answer(reaches, Question(organisation="ods:NEW", purpose="OPEN_DATA_REUSE"))
    assert sentence(stranger).startswith("Any organisation with a token may read ")


def test_conditions_are_stated_and_never_guessed(reaches: tuple[Reach, ...]) -> None:
    """What depends on the request is a condition: decisions, urgency, filters, context, duties."""
    (form,) = answer(reaches, Question(dataset="tenancies"))
    said = " ".join(conditions(form))
    assert "A recorded decision releases data for this request, and is used once." in said
    assert "Only the fields that the decision releases." in said
    assert "The token is bound to a key of the caller." in said
    urgent = next(one for one in reaches if one.urgent)
    assert "The request names one person." in conditions(urgent)
    assert not any("case_reference" in one for one in conditions(urgent))


def test_the_same_as_data(reaches: tuple[Reach, ...]) -> None:
    """Programs get the sets themselves."""
    (form,) = answer(reaches, Question(dataset="tenancies", field="tenancy_start"))
    told = as_data(form)
    assert told["one_role_of_each"] == [["disclosure-officer"]]
    assert told["fields"] == ["tenancy_start"]
    assert told["min_acr"] == "AAL2"
    assert told["spans"] == [["2026-09-30T23:00:00+00:00", "2027-05-01T23:00:00+00:00"]]


def test_that_answers_carry_receipts_is_said(pack: Any) -> None:
    """The obligation is told in words where a rule has it."""
    agreement = pack.agreements["DSA-2026-0003"]
    asking = tuple(replace(rule, obligations=("signed_receipt",)) for rule in agreement.rules)
    said = [
        [text for reach in reaches_of([pack.compile(it)], pack.law) for text in conditions(reach)]
        for it in (agreement, replace(agreement, rules=asking))
    ]
    assert ["Each answer carries a signed receipt." in texts for texts in said] == [False, True]
