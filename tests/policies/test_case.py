"""A case holds one query against one rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from policies.case import Case, decides_this_case, purpose_of


def case_of(pack: Any, call_id: str, **changes: Any) -> Case:
    """Set out the case of a call of the pack."""
    query = pack.query(call_id, **changes)
    policy = pack.policies[pack.call(call_id)["agreement"]]
    (match,) = policy.matching(query.method, query.path)
    return Case(policy, query, pack.law, match, admitted=True)


def test_named_values_come_from_path_query_and_body(pack: Any) -> None:
    """Everything the caller names is held against the agreement."""
    case = case_of(pack, "S2A2", parameters=(("setting", "ED"),), rows=({"a": 1},))
    assert list(case.named_values()) == [("nhs_number", "9992000015"), ("setting", "ED"), ("a", 1)]


def test_failing_names_are_told_once_and_in_order(pack: Any) -> None:
    """Values of path, query and body are looked at; other names are not."""
    case = case_of(pack, "S2A2", parameters=(("b", "x"), ("b", "y")), rows=({"a": 1}, {"a": 2}))
    tests = {"a": 1, "b": "x", "nhs_number": "9992000015"}
    assert case.failing(tests, lambda test, value: test == value) == ("a", "b")


def test_the_public_has_the_first_purpose_of_its_rule(pack: Any) -> None:
    """A caller without a token states none; others state their own."""
    case = case_of(pack, "S4A1")
    assert case.purpose == "OPEN_DATA_REUSE"
    assert purpose_of(case.query, None) is None
    assert case_of(pack, "S4A2", purpose="").purpose is None


def test_clauses_are_cited_by_rule(pack: Any) -> None:
    """The place of a part of the rule, as people cite it."""
    assert case_of(pack, "S3A1").clause("hours") == "access.rules.R1.hours"


def test_a_form_that_released_this_request_decides_it(pack: Any) -> None:
    """The pack's first form releases the pack's first request."""
    form = pack.forms["LER-2026-0001"]
    assert decides_this_case(form, case_of(pack, "S5A1"), form.reference)


@pytest.mark.parametrize(
    "change",
    [
        {"approved": False},
        {"reference": "LER-2026-0009"},
        {"requester": "gss:E06999001"},
        {"operation_ref": "SYN/26/009999"},
        {"subject_category": "witness"},
        {"subject": {}},
        {"subject": {"uprn": "999000000502"}},
        {"subject": {"uprn": "999000000501", "tenancy_ref": "T"}},
    ],
)
def test_a_form_for_anything_else_does_not(pack: Any, change: dict[str, Any]) -> None:
    """Reference, requester, operation, category and subject must all be this request's."""
    form = replace(pack.forms["LER-2026-0001"], **change)
    assert not decides_this_case(form, case_of(pack, "S5A1"), "LER-2026-0001")


def test_a_form_decides_nothing_before_it_was_signed(pack: Any) -> None:
    """A call that was made earlier cannot rely on it."""
    case = case_of(pack, "S5A1")
    later = replace(pack.forms["LER-2026-0001"], decided_at=case.query.at + timedelta(seconds=1))
    assert not decides_this_case(later, case, "LER-2026-0001")
