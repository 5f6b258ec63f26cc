"""What is not there yet is told from what a call uses."""

from __future__ import annotations

from dataclasses import replace

from gateway.demo.coverage import not_yet
from gateway.demo.packs import Pack
from gateway.demo.scenario import BreakGlass


def test_names_change_nothing(pack: Pack, renamed_pack: Pack) -> None:
    """Under other names and ids, the same calls are covered."""
    ours = [not_yet(call, pack) for call in pack.sheet.calls]
    theirs = [not_yet(call, renamed_pack) for call in renamed_pack.sheet.calls]
    assert ours == theirs
    assert any(ours)
    assert not all(ours)


def test_break_glass_is_told_by_its_use(pack: Pack) -> None:
    """Any call becomes one of those that are missing when it breaks the glass."""
    covered = next(call for call in pack.sheet.calls if not_yet(call, pack) is None)
    urgent = BreakGlass(
        reason="R", justification="because it is urgent, and long enough to be said"
    )
    moved = replace(covered, token=replace(covered.token, break_glass=urgent))
    assert not_yet(moved, pack) == "break-glass grants"


def test_a_decision_form_is_told_by_rule_and_reference(pack: Pack) -> None:
    """Only a call that names its form, under a rule that asks for one, needs forms."""
    calls = [call for call in pack.sheet.calls if "decision form" in (not_yet(call, pack) or "")]
    assert calls
    for call in calls:
        bare = replace(call, token=replace(call.token, context={}))
        assert not_yet(bare, pack) is None
