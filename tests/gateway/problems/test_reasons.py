"""Tests of the problems that stand for reason codes."""

from __future__ import annotations

import pytest

from gateway.problems import PROBLEMS, Origin
from gateway.problems.reasons import REASONS, code_of
from policies.decision import ReasonCode, status_of

REFUSALS = [reason for reason in ReasonCode if reason is not ReasonCode.OK]


def test_every_reason_for_a_refusal_is_explained_once() -> None:
    """The catalogue has exactly one problem for each reason but OK."""
    assert [problem.code for problem in REASONS] == [code_of(reason) for reason in REFUSALS]


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_reason_keeps_its_status(reason: ReasonCode) -> None:
    """The page says the status that the vocabulary gives the reason."""
    assert PROBLEMS[code_of(reason)].status == status_of(reason)


def test_what_the_caller_cannot_mend_is_not_laid_on_the_caller() -> None:
    """A withheld answer is the service's turn, a log that cannot be written the gateway's."""
    assert PROBLEMS["small-numbers-withheld"].origin is Origin.SERVICE
    assert PROBLEMS["audit-unavailable"].origin is Origin.GATEWAY
    assert PROBLEMS["purpose-not-permitted"].origin is Origin.CLIENT
