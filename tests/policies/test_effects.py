"""What a change of one clause does to access."""

from __future__ import annotations

from typing import Any

import pytest

from policies.agreement import Hours
from policies.effects import Effect, Sides, judge, together
from policies.glossary import MEANINGS
from policies.times import Duration

CASES = (
    ("status", "active", "suspended", Effect.NARROWS),
    ("status", "active", "review_due", Effect.NEUTRAL),
    ("parties[].clients", None, ("a",), Effect.NARROWS),
    ("parties[].clients", ("a",), ("b",), Effect.EITHER),
    ("access.rules[].actor.roles", ("a",), (), Effect.WIDENS),
    ("access.rules[].actor.mode", "user", "application", Effect.WIDENS),
    ("access.rules[].actor.min_acr", None, "AAL1", Effect.NARROWS),
    ("access.rules[].limits.per_minute", None, 5, Effect.NARROWS),
    ("access.rules[].limits.per_minute", 5, 6, Effect.WIDENS),
    ("access.rules[].hours", Hours(), Hours(opens="20:00", closes="06:00"), Effect.NARROWS),
    ("access.rules[].hours", Hours(days="mon-fri"), Hours(days="sat"), Effect.EITHER),
    ("access.rules[].hours", Hours(days="mon-sun"), Hours(days="sun-sat"), Effect.NEUTRAL),
    ("access.break_glass.ttl", Duration(days=1), Duration(minutes=60), Effect.EITHER),
    ("access.break_glass.justification_min_chars", 10, 30, Effect.NARROWS),
    ("term.review_grace", Duration(), Duration(days=30), Effect.WIDENS),
    ("security.sender_constrained_tokens", True, False, Effect.WIDENS),
    ("access.rules[].obligations", (), ("signed_receipt",), Effect.NEUTRAL),
    ("onward_sharing.permitted", False, True, Effect.WIDENS),
    ("purpose.statement", "a", "b", Effect.NEUTRAL),
)


@pytest.mark.parametrize(("path", "old", "new", "effect"), CASES)
def test_clauses_are_judged(pack: Any, path: str, old: Any, new: Any, effect: Effect) -> None:
    """Each kind of clause by its own measure, and the opposite the other way round."""
    one = pack.agreements["DSA-2026-0002"]
    assert judge(path, old, new, Sides(one, one)) is effect
    assert judge(path, new, old, Sides(one, one)) is effect.flipped()


def test_what_is_judged_is_a_clause() -> None:
    """Every judged path is one of the document's."""
    from policies.effects import _JUDGES

    assert set(_JUDGES) <= set(MEANINGS)


def test_effects_add_up() -> None:
    """Widening and narrowing at once may do either; what is neutral adds nothing."""
    assert together(()) is Effect.NEUTRAL
    assert together((Effect.NEUTRAL, Effect.WIDENS)) is Effect.WIDENS
    assert together((Effect.NARROWS, Effect.WIDENS)) is Effect.EITHER
