"""The words of a decision."""

from __future__ import annotations

import pytest

from policies.decision import (
    ALERTING_REASONS,
    STATUS_OF_REASON,
    Decision,
    ReasonCode,
    Verdict,
    status_of,
)


def test_a_decision_has_no_truth_value() -> None:
    """``if decision:`` would be true for a denial, so it raises."""
    with pytest.raises(TypeError, match="permitted"):
        bool(Decision(verdict=Verdict.DENY, reason=ReasonCode.PURPOSE_MISSING))


@pytest.mark.parametrize("verdict", list(Verdict))
def test_only_a_denial_is_not_permitted(verdict: Verdict) -> None:
    """An urgent permit is a permit."""
    decision = Decision(verdict=verdict, reason=ReasonCode.OK)
    assert decision.permitted is (verdict is not Verdict.DENY)


def test_a_permit_can_be_turned_into_a_refusal() -> None:
    """What is found out after the decision still refuses."""
    decision = Decision(verdict=Verdict.PERMIT, reason=ReasonCode.OK, rule="R1")
    denied = decision.denied(ReasonCode.RATE_LIMITED)
    assert (denied.permitted, denied.status, denied.rule) == (False, 429, "R1")


def test_a_refusal_that_is_not_listed_is_forbidden() -> None:
    """403 is the standing status of a refusal."""
    assert status_of(ReasonCode.PURPOSE_NOT_PERMITTED) == 403
    assert status_of(ReasonCode.PURPOSE_MISSING) == 400


def test_everyday_mistakes_alert_nobody() -> None:
    """A missing token, a typing mistake, a full quota: the status says enough."""
    assert not ALERTING_REASONS & {
        reason for reason, status in STATUS_OF_REASON.items() if status < 500
    }
