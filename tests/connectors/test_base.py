"""The words of a call: what a failure says, and what it must not."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from connectors.base import Call, CallFailed, Failure


def test_a_failure_says_how_and_whether_it_was_sent() -> None:
    """The message is the failure's stable code and its detail; `sent` stands beside it."""
    failed = CallFailed(Failure.TIMED_OUT, "no whole answer before the deadline", sent=True)
    assert str(failed) == "timed-out: no whole answer before the deadline"
    assert (failed.failure, failed.sent) == (Failure.TIMED_OUT, True)


def test_a_call_does_not_change_on_its_way() -> None:
    """What was decided on is what is sent."""
    call = Call(method="GET", target=b"/a")
    with pytest.raises(FrozenInstanceError):
        call.target = b"/b"  # type: ignore[misc]  # the assignment is the point
