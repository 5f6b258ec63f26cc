"""What the two engines disagreed on once, kept as examples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policies.decide import decide
from policies.decision import BreakGlassRequest, Query, ReasonCode
from tests.policies.cedar.adapter import Oracle
from tests.policies.cedar.comparison import Case, compiled, difference, read_material

URGENT = {
    "enabled": True,
    "rules": ["R1"],
    "relaxes": ["decision_ref"],
    "roles": ["disclosure-officer"],
    "reasons": ["CHILD_MISSING"],
    "justification_min_chars": 1,
    "ttl": "PT1H",
    "max_subjects": 6,
    "review_within": "P1D",
}


def _both(pack: Any, document: dict[str, Any], query: Query) -> Case:
    """Decide a query by both engines; they must agree now."""
    material = read_material()
    policy = compiled(document, material.with_fresh())
    assert policy is not None
    oracle = Oracle(document, material.instruments, material.services)
    case = Case(query=query, decision=decide(policy, query, pack.law), oracle=oracle)
    assert difference(case, oracle.answers([query])[0]) is None
    return case


@pytest.mark.parametrize(
    ("obligations", "permitted"),
    [
        (["single_use_decision"], False),
        (["fields_limited_to_decision"], False),
        (["single_use_decision", "fields_limited_to_decision"], False),
        ([], True),
    ],
)
def test_an_urgent_grant_lifts_no_obligation_to_keep_to_a_decision(
    pack: Any, changed: Any, obligations: list[str], permitted: bool
) -> None:
    """A clause may relax `decision_ref`; what binds the answer to a decision still asks for one.

    Before, the call failed without an answer, or would have let every field out.
    """
    document = changed(
        "DSA-2026-0005",
        {
            ("access", "break_glass"): URGENT,
            ("access", "rules", 0, "obligations"): obligations,
        },
    )
    grant = BreakGlassRequest(reason="CHILD_MISSING", justification="now")
    query = pack.query("S5A1", break_glass=grant)
    context = {name: said for name, said in query.context.items() if name != "decision_ref"}
    case = _both(pack, document, replace(query, context=context))
    assert case.decision.permitted is permitted
    if not permitted:
        assert case.decision.reason is ReasonCode.CASE_REFERENCE_NOT_APPROVED


@pytest.mark.parametrize(("said", "permitted"), [("a", True), (" ", False), ("", False)])
def test_a_blank_in_a_row_is_no_filter(pack: Any, changed: Any, said: str, permitted: bool) -> None:
    """A required filter is sent by saying something, in a row as in a parameter."""
    document = changed(
        "DSA-2026-0003", {("access", "rules", 0, "filters_required"): ["family_name"]}
    )
    case = _both(pack, document, pack.query("S3A1", rows=({"family_name": said},)))
    assert case.decision.permitted is permitted
    if not permitted:
        assert case.decision.reason is ReasonCode.FILTER_REQUIRED


def test_an_urgent_grant_asks_for_its_own_roles_where_the_rule_asks_for_none(
    pack: Any, changed: Any
) -> None:
    """A rule open to any program is still not open to anybody's urgent grant.

    A faster path once left out the check of the actor for rules without one.
    """
    clause = {**URGENT, "relaxes": [], "min_acr": "AAL2"}
    document = changed("DSA-2026-0003", {("access", "break_glass"): clause})
    grant = BreakGlassRequest(reason="CHILD_MISSING", justification="now")
    query = pack.query("S3A1", break_glass=grant)
    assert _both(pack, document, query).decision.reason is ReasonCode.ROLE_NOT_PERMITTED
    officer = replace(query.caller, roles=frozenset({"disclosure-officer"}), acr="AAL2")
    assert _both(pack, document, replace(query, caller=officer)).decision.permitted
