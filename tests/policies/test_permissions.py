"""Rules and the break-glass clause are read strictly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from policies.document import DocumentInvalid, read_agreement
from policies.times import Duration

RULE = ("access", "rules", 0)
GLASS = ("access", "break_glass")


def test_rules_keep_what_the_document_says(pack: Any) -> None:
    """What is left out of a rule differs from what is empty."""
    match = pack.agreements["DSA-2026-0003"].rules[0]
    assert match.fields_allowed == ("uprn", "fuel_poverty_eligible")
    assert match.filter_values == {"lad_code": ("E06999001",)}
    assert match.limits.records_per_response == 1000
    assert pack.agreements["DSA-2026-0004"].rules[0].fields_allowed is None


def test_break_glass_is_read_where_it_is_enabled(pack: Any) -> None:
    """A clause that is not enabled is no clause."""
    assert pack.agreements["DSA-2026-0002"].break_glass.ttl == Duration(minutes=60)
    assert pack.agreements["DSA-2026-0003"].break_glass is None


@pytest.mark.parametrize(
    ("pointer", "value", "at", "code"),
    [
        ((*RULE, "methods"), ["get"], (*RULE, "methods", 0), "not-one-of"),
        ((*RULE, "path"), "people", (*RULE, "path"), "malformed"),
        ((*RULE, "action"), "reading", (*RULE, "action"), "not-one-of"),
        ((*RULE, "actor"), {}, (*RULE, "actor"), "missing-key"),
        ((*RULE, "actor"), {"mode": "robot"}, (*RULE, "actor", "mode"), "not-one-of"),
        ((*RULE, "limits"), {"per_minute": 0}, (*RULE, "limits", "per_minute"), "too-small"),
        ((*RULE, "limits"), {"per_hour": 1}, (*RULE, "limits", "per_hour"), "unknown-key"),
        ((*RULE, "obligations"), ["small_number_gaurd"], (*RULE, "obligations", 0), "not-one-of"),
        ((*RULE, "hours"), {"days": "weekdays"}, (*RULE, "hours"), "malformed"),
        ((*RULE, "filter_values"), {"x": 1}, (*RULE, "filter_values", "x"), "wrong-type"),
        ((*GLASS, "ttl"), "1h", (*GLASS, "ttl"), "malformed"),
        ((*GLASS, "max_subjects"), 0, (*GLASS, "max_subjects"), "too-small"),
    ],
)  # fmt: skip
def test_a_fault_is_told_at_its_member(
    changed: Callable[..., dict[str, Any]],
    pointer: tuple[str | int, ...],
    value: Any,
    at: tuple[str | int, ...],
    code: str,
) -> None:
    """One wrong member gives one fault, there."""
    with pytest.raises(DocumentInvalid) as raised:
        read_agreement(changed("DSA-2026-0002", {pointer: value}))
    (fault,) = raised.value.faults
    assert (fault.pointer, fault.code) == (at, code)


def test_an_enabled_clause_that_could_not_be_evaluated_is_refused(
    changed: Callable[..., dict[str, Any]],
) -> None:
    """Everything that break-glass is bounded by has to be there."""
    with pytest.raises(DocumentInvalid) as raised:
        read_agreement(changed("DSA-2026-0002", {GLASS: {"enabled": True}}))
    assert len(raised.value.faults) == 7
