"""What the record keeps and the caller is told, to the letter where nothing else would notice."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from policies.decide import decide
from policies.decision import Decision, Outcome, ReasonCode


def _reasons(decision: Decision) -> list[str]:
    return [check.reason.value for check in decision.checks]


def test_a_missing_reference_is_one_everyday_mistake(pack: Any) -> None:
    """No decision is looked for where none is named; nobody is alerted."""
    context = {"operation_ref": "OP-1", "subject_category": "suspect"}
    decision = pack.decide("S5A1", context=context, decision_form=None)
    assert _reasons(decision) == ["JUSTIFICATION_REQUIRED"]
    assert not decision.alert


def test_an_obligation_alone_asks_for_a_decision_once(pack: Any) -> None:
    """Where only the obligation asks, its absence is told once."""
    agreement = pack.agreements["DSA-2026-0005"]
    rule = replace(agreement.rules[0], request_context_required=("operation_ref",))
    policy = pack.compile(replace(agreement, rules=(rule,)))
    query = pack.query("S5A1", context={"operation_ref": "OP-1"}, decision_form=None)
    assert _reasons(decide(policy, query, pack.law)) == ["CASE_REFERENCE_NOT_APPROVED"]


def test_a_reference_is_read_without_the_blanks_about_it(pack: Any) -> None:
    """What binds the use of a decision once is the reference itself."""
    query = pack.query("S5A1")
    padded = {**query.context, "decision_ref": f" {query.context['decision_ref']} "}
    decision = pack.decide("S5A1", context=padded)
    assert decision.duties == pack.decide("S5A1").duties
    assert decision.duties.single_use == query.context["decision_ref"]


def test_a_reference_that_nobody_asked_for_does_no_harm(pack: Any) -> None:
    """A rule that is not decided case by case looks at no decision."""
    assert pack.decide("S1A1", context={"decision_ref": "LER-9"}).permitted


def test_a_closed_window_is_a_failure_and_one_off_the_calendar_is_unknown(pack: Any) -> None:
    """What could not be told is marked so in the record."""
    field = pack.decide("S3A1", fields=("nino",)).checks
    assert [(one.name, one.outcome) for one in field] == [("field", Outcome.FAILED)]
    closed = pack.decide("S3R1").checks
    assert [(one.name, one.outcome) for one in closed] == [("hours", Outcome.FAILED)]
    edge = datetime.fromisoformat("0001-01-01T00:00:00+00:00")
    agreement = pack.agreements["DSA-2026-0003"]
    hours = replace(agreement.rules[0].hours, zone="America/New_York")
    rule = replace(agreement.rules[0], hours=hours)
    policy = pack.compile(replace(agreement, rules=(rule,)))
    checks = decide(policy, pack.query("S3A1", at=edge), pack.law).checks
    assert ("hours", Outcome.UNKNOWN) in [(one.name, one.outcome) for one in checks]


def test_the_public_is_asked_for_a_token_and_not_for_a_purpose(pack: Any) -> None:
    """Off the public rules a caller without a token learns only that one is needed."""
    decision = pack.decide("S4A1", path=("fhir", "R4", "MeasureReport"))
    assert _reasons(decision) == [
        *("TOKEN_MISSING", "PARTY_NOT_ON_AGREEMENT", "ENDPOINT_NOT_PERMITTED"),
    ]
    assert decision.reason is ReasonCode.TOKEN_MISSING


@pytest.mark.parametrize(
    ("call_id", "fields", "hint"),
    [
        (
            "S3A1",
            ("nino",),
            "Fields permitted: fuel_poverty_eligible, uprn; filters: lad_code",
        ),
        ("S2A1", ("clinical_note",), "Fields permitted: known"),
    ],
)
def test_a_refused_field_is_answered_with_those_permitted(
    pack: Any, call_id: str, fields: tuple[str, ...], hint: str
) -> None:
    """The hint lists fields, and filters only where there are any."""
    assert pack.decide(call_id, fields=fields).hint == hint


def test_a_filter_value_that_is_no_text_is_out_of_scope(pack: Any) -> None:
    """Not even one that holds the right value."""
    row = {"uprn": "999000000501", "lad_code": ["E06999001"]}
    assert "SUBJECT_OUT_OF_SCOPE" in _reasons(pack.decide("S3A1", rows=(row,)))


def test_a_purpose_is_refused_by_the_clause_that_lacks_it(pack: Any) -> None:
    """The agreement's codes, its prohibitions, or the rule's own list; with a rule or without."""
    strange = pack.decide("S2A1", purpose="OPEN_DATA_REUSE")
    assert (strange.reason.value, strange.clause) == ("PURPOSE_NOT_PERMITTED", "purpose.codes")
    assert pack.decide("S2A1", purpose="MARKETING").clause == "purpose.prohibited"
    assert pack.decide("S2A2", purpose="CHILD_SAFEGUARDING_S17").clause == "R1"
    nowhere = pack.decide("S2A1", purpose="OPEN_DATA_REUSE", path=("nowhere",))
    assert _reasons(nowhere) == ["PURPOSE_NOT_PERMITTED", "ENDPOINT_NOT_PERMITTED"]


def test_an_urgent_grant_without_a_reference_is_one_mistake_too(pack: Any) -> None:
    """A clause that does not relax the reference leaves the ordinary refusal, once."""
    agreement = pack.agreements["DSA-2026-0005"]
    clause = replace(
        pack.agreements["DSA-2026-0002"].break_glass,
        rules=("R1",),
        relaxes=(),
        roles=("disclosure-officer",),
        never_relaxes=(),
    )
    policy = pack.compile(replace(agreement, break_glass=clause))
    context = {"operation_ref": "OP-1", "subject_category": "suspect"}
    urgent = pack.query("S2B1").break_glass
    query = pack.query("S5A1", context=context, break_glass=replace(urgent, started_at=None))
    assert _reasons(decide(policy, query, pack.law)) == ["JUSTIFICATION_REQUIRED"]


def test_an_urgent_grant_is_for_one_row_and_one_person(pack: Any) -> None:
    """Two rows are two questions, even about one person."""
    row = {"nhs_number": pack.query("S2B1").path[3]}
    for rows, expected in (((row,), False), ((row, row), True)):
        reasons = _reasons(pack.decide("S2B1", rows=rows))
        assert ("BREAK_GLASS_NOT_AVAILABLE" in reasons) is expected


def test_a_body_with_many_wrong_rows_is_refused_once(pack: Any) -> None:
    """One finding says it; a thousand rows do not make a thousand."""
    rows = ({"nino": "QQ123456C"}, {"nino": "QQ123456C"})
    assert _reasons(pack.decide("S3A1", rows=rows)) == ["FIELD_NOT_PERMITTED"]


def test_law_that_ended_is_told_from_law_that_never_began(pack: Any) -> None:
    """An instrument that ended is named with its end; one without a version yet cannot be told."""
    ended = pack.decide("S1A1", at=datetime.fromisoformat("2022-07-01T10:00:00+00:00")).checks[0]
    assert ended.detail == "COPI-NOTICE-GENERAL@5 ended at 2022-06-30T23:00:00+00:00."
    assert ended.outcome is Outcome.FAILED
    early = pack.decide("S2A1", at=datetime.fromisoformat("1990-01-01T10:00:00+00:00")).checks
    law = next(one for one in early if one.name == "legal instrument")
    assert law.outcome is Outcome.UNKNOWN
    assert law.detail == (
        "No legal instrument of the agreement is in force for CHILD_SAFEGUARDING_S47."
    )


def _urgent_detail(pack: Any, **changes: Any) -> str:
    found: str = pack.decide("S2B1", **changes).checks[0].detail
    return found


def test_why_a_grant_is_not_available_is_said(pack: Any) -> None:
    """For more than one person, for a user whose grants are suspended, or for no operation."""
    several = {"rows": ({"nhs_number": "9990000077"},)}
    urgent = pack.query("S2B1").break_glass
    known = tuple("known" if one == "contacts" else one for one in pack.query("S2B1").path)
    assert "one person at a time" in _urgent_detail(pack, **several)
    assert "not available" in _urgent_detail(pack, break_glass=replace(urgent, suspended=True))
    assert "not available" in _urgent_detail(pack, path=known)


@pytest.mark.parametrize(
    ("relaxes", "permitted", "hint"),
    [
        (("hours", "roles", "case_reference"), True, None),
        (("hours", "case_reference"), False, "Roles permitted: mash-social-worker"),
    ],
)
def test_a_grant_stands_in_for_the_rules_roles_only_where_it_relaxes_them(
    pack: Any, relaxes: tuple[str, ...], permitted: bool, hint: str | None
) -> None:
    """Otherwise the user needs a role of the rule and one of the clause."""
    agreement = pack.agreements["DSA-2026-0002"]
    clause = replace(agreement.break_glass, relaxes=relaxes)
    policy = pack.compile(replace(agreement, break_glass=clause))
    caller = replace(pack.query("S2B1").caller, roles=frozenset({"edt-social-worker"}))
    decision = decide(policy, pack.query("S2B1", caller=caller), pack.law)
    assert (decision.permitted, decision.hint) == (permitted, hint)


def test_a_porter_is_told_which_roles_may_break_the_glass(pack: Any) -> None:
    """A grant that relaxes roles still asks for one of its own."""
    porter = replace(pack.query("S2B1").caller, roles=frozenset({"porter"}))
    hint = pack.decide("S2B1", caller=porter).hint
    assert hint == "Roles permitted: edt-social-worker, mash-social-worker, paediatric-registrar"


def test_a_program_is_told_that_a_user_is_asked_for(pack: Any) -> None:
    """Where no role would help, a person would."""
    agreement = pack.agreements["DSA-2026-0003"]
    actor = replace(agreement.rules[0].actor, mode="user")
    policy = pack.compile(replace(agreement, rules=(replace(agreement.rules[0], actor=actor),)))
    program = replace(pack.query("S3A1").caller, subject=None)
    hint = decide(policy, pack.query("S3A1", caller=program), pack.law).hint
    assert hint == "A user is asked for"


def test_a_party_is_told_its_operations_and_one_without_any_is_told_nothing(pack: Any) -> None:
    """The hint lists what the caller's organisation may call."""
    council = pack.decide("S1A1", path=("spl", "v1", "nothing"))
    assert council.hint == "This agreement permits GET /spl/v1/people, POST /spl/v1/feedback"
    caller = replace(
        pack.query("S1A1").caller,
        organisation="ods:X9Z",
        issuer_speaks_for=frozenset({"ods:X9Z"}),
    )
    provider = pack.decide("S1A1", caller=caller)
    assert provider.reason is ReasonCode.ENDPOINT_NOT_PERMITTED
    assert provider.hint is None


def test_of_several_rules_the_callers_own_and_its_purpose_come_first(pack: Any) -> None:
    """A body with a rule of its own is judged by it, not by the public's on the same path."""
    agreement = pack.agreements["DSA-2026-0004"]
    public, _, own = agreement.rules
    twins = tuple(
        replace(own, id=rule_id, party=party, path=public.path, purposes=(purpose,))
        for rule_id, party, purpose in (
            ("A1", "public", "POPULATION_HEALTH_PLANNING"),
            ("A2", own.party, "OPEN_DATA_REUSE"),
            ("A3", own.party, "POPULATION_HEALTH_PLANNING"),
        )
    )
    policy = pack.compile(replace(agreement, rules=(public, *twins)))
    path = tuple(public.path.split("/")[1:])
    query = pack.query("S4A3", path=path)
    assert decide(policy, query, pack.law).rule == "A3"
    assert decide(policy, replace(query, purpose="OPEN_DATA_REUSE"), pack.law).rule == "A2"
    refused = decide(policy, replace(query, fields=("nothing",)), pack.law)
    assert (refused.reason, refused.rule) == (ReasonCode.FIELD_NOT_PERMITTED, "A3")
    pair = pack.compile(replace(agreement, rules=(twins[0], twins[2])))
    assert decide(pair, query, pack.law).rule == "A3"


def test_a_single_use_is_kept_even_where_every_field_may_leave(pack: Any) -> None:
    """The reference goes with the permit whether or not the decision narrows the fields."""
    agreement = pack.agreements["DSA-2026-0005"]
    rule = replace(agreement.rules[0], obligations=("single_use_decision",))
    policy = pack.compile(replace(agreement, rules=(rule,)))
    query = pack.query("S5A1")
    decision = decide(policy, query, pack.law)
    assert decision.duties.single_use == query.context["decision_ref"]
    assert decision.duties.allowed == frozenset(rule.fields_allowed or ())


def test_an_issuer_that_may_not_speak_for_a_party_learns_nothing(pack: Any) -> None:
    """Even where all else fits, no clause, hint or contact is shown."""
    caller = replace(pack.query("S1A1").caller, issuer_speaks_for=frozenset())
    decision = pack.decide("S1A1", caller=caller)
    assert decision.reason is ReasonCode.ORG_MISMATCH
    assert (decision.clause, decision.hint, decision.contact) == (None, None, None)


def test_a_decision_binds_only_what_it_states(pack: Any) -> None:
    """A form without an operation is good for any; one that names a subject needs its text."""
    query = pack.query("S5A1")
    form = replace(query.decision_form, operation_ref=None, subject_category=None)
    assert pack.decide("S5A1", decision_form=form).permitted
    row = {"uprn": [query.path[3]]}
    assert "CASE_REFERENCE_NOT_APPROVED" in _reasons(pack.decide("S5A1", rows=(row,)))
