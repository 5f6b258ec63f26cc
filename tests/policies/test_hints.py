"""What a refused caller is told to do instead, word for word."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from policies.decide import BREAK_GLASS_AVAILABLE, decide
from policies.decision import Caller, ReasonCode
from policies.law import Instrument, InstrumentVersion, Law

SPL_FIELDS = (
    "address_line_1, date_of_birth, family_name, given_name, nhs_number, phone, postcode, "
    "spl_status, town, uprn"
)


@pytest.mark.parametrize(
    ("call_id", "changes", "hint"),
    [
        (
            "S1A1",
            {"fields": ("gp_practice_ods",)},
            f"Fields permitted: {SPL_FIELDS}; filters: lad_code",
        ),
        (
            "S3A1",
            {"rows": ({"nino": "QQ123456C"},)},
            "Body fields permitted: date_of_birth, family_name, uprn",
        ),
        ("S4A1", {"rows": ({"nino": "QQ123456C"},)}, "Body fields permitted: none"),
        (
            "S1A1",
            {"parameters": (("lad_code", "E06999001"), ("spl_status", "x"))},
            "spl_status may be on_list, removed",
        ),
        ("S1A1", {"parameters": ()}, "Send lad_code"),
        ("S2A2", {"context": {}}, "State case_reference"),
    ],
)
def test_the_hint_says_what_would_have_passed(
    pack: Any, call_id: str, changes: dict[str, Any], hint: str
) -> None:
    """Names and agreed values in order, never what the caller sent."""
    assert pack.decide(call_id, **changes).hint == hint


def test_a_closed_word_is_asked_for_with_the_words_there_are(pack: Any) -> None:
    """DPA 2018 Sch 1 para 18 has two groups of people."""
    context = {**pack.query("S2A2").context, "subject_group": "PENSIONERS"}
    hint = pack.decide("S2A2", context=context).hint
    assert hint == "State subject_group: one of ADULT_AT_RISK, UNDER_18"


def test_where_nothing_is_permitted_the_hint_says_none(pack: Any) -> None:
    """A rule may let out no field at all."""
    agreement = pack.agreements["DSA-2026-0002"]
    rule = replace(agreement.rules[0], fields_allowed=())
    policy = pack.compile(replace(agreement, rules=(rule,), break_glass=None))
    decision = decide(policy, pack.query("S2A1", fields=("known",)), pack.law)
    assert decision.hint == "Fields permitted: none"


def test_a_blank_parameter_is_not_sent(pack: Any) -> None:
    """It is asked for, though other rows and parameters say something."""
    agreement = pack.agreements["DSA-2026-0003"]
    rule = replace(agreement.rules[0], filters_required=("uprn",), fields_allowed=("uprn",))
    policy = pack.compile(replace(agreement, rules=(rule,)))
    query = pack.query("S3A1", rows=None, parameters=(("uprn", " "),))
    assert "FILTER_REQUIRED" in {one.reason for one in decide(policy, query, pack.law).checks}


def test_filters_stand_beside_the_fields_that_a_decision_released(pack: Any) -> None:
    """A decision narrows what may leave and be probed, not the filters of the rule."""
    agreement = pack.agreements["DSA-2026-0005"]
    values = {"vehicle_registration": ("ZZ01 SYN",)}
    rule = replace(agreement.rules[0], filter_values=values, filters_required=("tenancy_end",))
    policy = pack.compile(replace(agreement, rules=(rule,)))
    released = pack.query("S5A1").decision_form.fields_released
    assert released.isdisjoint({"vehicle_registration", "tenancy_end"})
    sent = (("vehicle_registration", "ZZ01 SYN"), ("tenancy_end", "2026-01-01"))
    assert decide(policy, pack.query("S5A1", parameters=sent), pack.law).permitted


def test_breaking_the_glass_is_offered_beside_a_mistake_it_would_lift(pack: Any) -> None:
    """A missing case reference at a closed hour: the clause relaxes both."""
    context = {**pack.query("S2R1").context}
    del context["case_reference"]
    assert pack.decide("S2R1", context=context).hint == BREAK_GLASS_AVAILABLE


def test_breaking_the_glass_is_not_offered_to_who_has_broken_it(pack: Any) -> None:
    """A grant that has run out is answered with what to do about it."""
    urgent = replace(
        pack.query("S2B1").break_glass, started_at=datetime.fromisoformat("2026-06-20T00:00Z")
    )
    decision = pack.decide("S2B1", break_glass=urgent)
    assert decision.reason is ReasonCode.BREAK_GLASS_EXPIRED
    assert decision.hint == "If the danger goes on, start a new grant with a new justification"


def test_the_anonymous_public_uses_only_rules_for_the_public(pack: Any) -> None:
    """A rule for any organisation still asks for a token where its mode is not public."""
    agreement = pack.agreements["DSA-2026-0004"]
    rule = agreement.rules[0]
    programs = replace(rule, actor=replace(rule.actor, mode="application"))
    policy = pack.compile(replace(agreement, rules=(programs,)))
    decision = decide(policy, pack.query("S4A1"), pack.law)
    assert decision.reason is ReasonCode.TOKEN_MISSING
    named = Caller(organisation="ods:X9Z", client="x", issuer_speaks_for=frozenset({"ods:X9Z"}))
    query = pack.query("S4A1", caller=named, purpose="OPEN_DATA_REUSE")
    assert decide(policy, query, pack.law).permitted


def test_a_kept_permit_is_kept_for_its_instrument(pack: Any) -> None:
    """Two instruments, both at version 1: what was relied on then is not what is relied on now."""
    change = datetime(2026, 11, 1, tzinfo=UTC)
    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    table = {}
    for name, from_, until in (("CA2004-s16LA", epoch, change), ("CA1989-s47", change, None)):
        version = InstrumentVersion(version=1, from_=from_, until=until)
        purposes = frozenset({"CHILD_SAFEGUARDING_S47"})
        table[name] = Instrument(
            id=name, title="", gateway="", purposes=purposes, versions=(version,)
        )
    policy = pack.compile(pack.agreements["DSA-2026-0002"])
    for day, expected in (
        (datetime(2026, 10, 6, 9, tzinfo=UTC), "CA2004-s16LA@1"),
        (
            datetime(2026, 11, 10, 9, tzinfo=UTC),
            "CA1989-s47@1",
        ),
    ):
        decision = decide(policy, pack.query("S2A2", at=day), Law(instruments=table))
        assert (decision.permitted, decision.instrument) == (True, expected)


def test_a_denial_is_recorded_under_its_route(pack: Any) -> None:
    """The record names rule, action and path template of what was refused."""
    decision = pack.decide("S3R1")
    route = "/eligibility/v1/fuel-poverty/match"
    assert (decision.rule, decision.action, decision.route) == ("R1", "disclosure", route)


def test_lists_are_told_in_order(pack: Any) -> None:
    """Sets have no order of their own; what people read does."""
    letters = tuple("hgfedcba")
    listed = "a, b, c, d, e, f, g, h"
    agreement = pack.agreements["DSA-2026-0003"]
    rule = replace(
        agreement.rules[0],
        filter_values=dict.fromkeys(letters, letters),
        body_fields_allowed=letters,
    )
    policy = pack.compile(replace(agreement, rules=(rule,)))

    def hint(**changes: Any) -> str | None:
        return decide(policy, pack.query("S3A1", rows=None, **changes), pack.law).hint

    assert hint(parameters=(("a", "z"),)) == f"a may be {listed}"
    fields = "Fields permitted: fuel_poverty_eligible, uprn"
    assert hint(fields=("nino",)) == f"{fields}; filters: {listed}"
    body = decide(policy, pack.query("S3A1", rows=({"z": "1"},)), pack.law).hint
    assert body == f"Body fields permitted: {listed}"
    several = pack.query("S3A1", rows=None, parameters=tuple((one, "z") for one in letters))
    details = [one.detail for one in decide(policy, several, pack.law).checks]
    assert details == [
        f"The request asks for a {one} that is outside the agreement." for one in sorted(letters)
    ]
    context = {**pack.query("S5A1").context, "subject_category": "passer-by"}
    words = pack.decide("S5A1", context=context).hint
    assert words == "State subject_category: one of other, suspect, victim, witness"


def test_the_contact_is_the_owner_of_the_service(pack: Any) -> None:
    """Of several providers, the one whose data it is; off the rules, the agreement's own."""
    markers = ("public-protection", "v1", "children", pack.query("S2A2").path[3], "markers")
    police = pack.decide("S2A2", path=markers, fields=("nothing",))
    assert police.contact == "head-of-public-protection@exf.example"
    assert pack.decide("S2A2", path=("nowhere",)).contact == "chief-nurse@saltmarsh.example"


def test_methods_and_reasons_are_told_in_order(pack: Any) -> None:
    """Of an operation, and of an urgent grant."""
    agreement = pack.agreements["DSA-2026-0002"]
    methods = ("PUT", "PATCH", "POST", "GET", "DELETE")
    rules = (agreement.rules[0], replace(agreement.rules[1], methods=methods))
    clause = replace(agreement.break_glass, rules=("R1",), reasons=tuple("hgfedcba"))
    policy = pack.compile(replace(agreement, rules=rules, break_glass=clause))
    nowhere = decide(policy, pack.query("S2B1", path=("nowhere",)), pack.law).hint
    assert nowhere is not None
    assert "DELETE/GET/PATCH/POST/PUT /safeguarding" in nowhere
    urgent = replace(pack.query("S2B1").break_glass, reason="BORED")
    hint = decide(policy, pack.query("S2B1", break_glass=urgent), pack.law).hint
    assert hint == "Reasons permitted: a, b, c, d, e, f, g, h"
