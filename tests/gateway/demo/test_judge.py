"""Expected against observed."""

from __future__ import annotations

from dataclasses import fields, replace

from gateway.demo.judge import AttemptResult, Observed, Results, Standing, judge, unplayed
from gateway.demo.packs import Pack
from gateway.demo.scenario import AuditExpectation, Expectation, ScenarioCall

AS_EXPECTED = Observed(
    decision="permit", status=200, reason="OK", rule="R1", records=2,
    fields=frozenset({"a", "b"}), fields_withheld=frozenset({"c", "d"}),
    action="disclosure", subjects=2, instrument="I@1", alert=True,
)  # fmt: skip


def _call(pack: Pack) -> ScenarioCall:
    return replace(
        pack.sheet.calls[0],
        expect=Expectation(
            decision="permit", status=200, reason="OK", rule="R1", records=2,
            fields=frozenset({"a", "b"}), fields_withheld=frozenset({"c"}),
        ),
        audit=AuditExpectation(action="disclosure", subjects=2, instrument="I@1", alert=True),
    )  # fmt: skip


def test_what_is_as_expected_passes(pack: Pack) -> None:
    """Withheld fields need only include the expected ones; all else is equal."""
    result = judge(_call(pack), AS_EXPECTED)
    assert result.standing is Standing.PASSED
    assert result.differences == ()


def test_every_difference_is_told(pack: Pack) -> None:
    """Each fact that differs is one sentence; what was not seen shows as nothing."""
    seen = replace(
        AS_EXPECTED, status=403, fields=frozenset({"a"}), fields_withheld=None, instrument=None,
        alert=False,
    )  # fmt: skip
    result = judge(_call(pack), seen)
    assert result.standing is Standing.FAILED
    assert result.differences == (
        "status: expected 200, got 403",
        "fields: expected a, b, got a",
        "fields_withheld: expected c, got none",
        "alert: expected True, got False",
        "instrument: expected I@1, got nothing",
    )


def test_an_alert_that_nobody_expects_is_not_checked(pack: Pack) -> None:
    """Only a stated alert is compared."""
    call = replace(_call(pack), audit=AuditExpectation())
    assert judge(call, AS_EXPECTED).standing is Standing.PASSED


def test_an_action_is_compared_only_where_a_rule_matched(pack: Pack) -> None:
    """Without a rule there is no action to compare."""
    call = replace(_call(pack), expect=replace(_call(pack).expect, rule=None))
    seen = replace(AS_EXPECTED, rule=None, action=None)
    assert judge(call, seen).standing is Standing.PASSED


def test_a_call_that_cannot_be_judged_at_all_does_not_pass(pack: Pack) -> None:
    """Where everything is live only, the standing says so."""
    names = frozenset(fact.name for fact in fields(Observed))
    result = judge(_call(pack), Observed(rule="R1"), live_only=names)
    assert result.standing is Standing.LIVE_ONLY


def test_nothing_judged_is_no_success(pack: Pack) -> None:
    """A pack of which nothing can be tried does not pass; what is live only differs in nothing."""
    refusal = pack.sheet.authoring_refusals[0]
    waiting = AttemptResult(refusal=refusal, standing=Standing.NOT_YET, missing="a feature")
    assert not Results(results=(), authoring=(waiting,)).passed
    both = Results(results=(judge(_call(pack), AS_EXPECTED),), authoring=(waiting,))
    assert both.passed
    names = frozenset(fact.name for fact in fields(Observed))
    unseen = judge(_call(pack), Observed(rule="R1"), live_only=names)
    assert Results(results=(unseen,)).passed
    assert (both.count(Standing.PASSED), both.count(Standing.NOT_YET)) == (1, 1)


def test_what_cannot_be_played_has_failed(pack: Pack) -> None:
    """Nothing was seen of it, and why is told in its place."""
    result = unplayed(_call(pack), "there is no such thing")
    assert result.standing is Standing.FAILED
    assert result.observed == Observed()
    assert result.differences == ("it cannot be played: there is no such thing",)
