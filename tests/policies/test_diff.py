"""What differs between two versions of an agreement, and what it does to access."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.agreement import Hours
from policies.decide import decide
from policies.diff import Turn, compare, effect_of
from policies.effects import Effect
from tests.policies.changing import changed, queries


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_change_does_what_the_diff_says(pack: Any, data: st.DataObject) -> None:
    """Nothing is newly permitted where no change widens, nor newly refused where none narrows."""
    old = pack.agreements[data.draw(st.sampled_from(sorted(pack.agreements)))]
    if data.draw(st.booleans()):
        old = data.draw(changed(old))
    new = data.draw(changed(old))
    effect = effect_of(compare(old, new))
    before, after = pack.compile(old), pack.compile(new)
    for _ in range(6):
        query = data.draw(queries(data.draw(st.sampled_from((before, after))), pack.law))
        was, now = (decide(policy, query, pack.law) for policy in (before, after))
        if effect in (Effect.NARROWS, Effect.NEUTRAL):
            assert was.permitted or not now.permitted, (compare(old, new), query)
            if now.permitted:
                assert (now.duties.allowed or set()) <= (was.duties.allowed or set())
        if effect in (Effect.WIDENS, Effect.NEUTRAL):
            assert now.permitted or not was.permitted, (compare(old, new), query, now.checks)
            if was.permitted:
                assert (was.duties.allowed or set()) <= (now.duties.allowed or set())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_diff_read_backwards_is_the_opposite(pack: Any, data: st.DataObject) -> None:
    """What was added is removed, what widened narrows, and what was before is after."""
    old = pack.agreements[data.draw(st.sampled_from(sorted(pack.agreements)))]
    new = data.draw(changed(old))
    there = {change.clause: change for change in compare(old, new)}
    back = {change.clause: change for change in compare(new, old)}
    assert there.keys() == back.keys()
    for clause, change in there.items():
        assert back[clause].effect is change.effect.flipped()
        assert (back[clause].before, back[clause].after) == (change.after, change.before)


def test_nothing_differs_from_itself(pack: Any) -> None:
    """An agreement set against itself has no changes."""
    for agreement in pack.agreements.values():
        assert compare(agreement, agreement) == ()


def test_changes_are_told_in_plain_english(pack: Any) -> None:
    """Each clause by its name for people, with what is added, removed or changed."""
    old = pack.agreements["DSA-2026-0002"]
    first, second, third = old.rules
    new = replace(
        old,
        rules=(
            first,
            replace(
                second,
                hours=Hours(opens="07:00", closes="21:00", days="mon-fri"),
                fields_allowed=(*(second.fields_allowed or ())[1:], "clinical_note"),
            ),
        ),
        break_glass=replace(old.break_glass, max_subjects=3),
        version=3,
    )
    said = {change.clause: (change.effect.value, change.sentence) for change in compare(old, new)}
    assert said == {
        "version": ("neutral", "Version: was 2, is now 3."),
        "access.rules[R1].fields_allowed": (
            "narrows", "Rule R1, fields: adds clinical_note and takes away contact_id.",
        ),
        "access.rules[R1].hours": (
            "widens",
            "Rule R1, opening hours: was 07:00 to 19:00 Europe/London, mon-fri, "
            "is now 07:00 to 21:00 Europe/London, mon-fri.",
        ),
        f"access.rules[{third.id}]": ("narrows", "Rule R2 is gone."),
        "access.break_glass.max_subjects": (
            "narrows", "Urgent access, people: was 6, is now 3.",
        ),
    }  # fmt: skip


def test_every_clause_has_a_name_for_people(pack: Any) -> None:
    """Between two agreements that share nothing, each difference is told, as data too."""
    agreements = list(pack.agreements.values())
    for old in agreements:
        for new in agreements:
            for change in compare(old, new):
                told = change.as_data()
                assert change.sentence.endswith(".")
                assert told["effect"] in set(Effect)
                assert (change.turn is Turn.ADDED) == (told["before"] is None)
