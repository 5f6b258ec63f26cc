"""Findings say how a check came out, and what mends it."""

from __future__ import annotations

from gateway.cli.finding import State, failed, ok, unknown


def test_what_is_well_needs_no_mending() -> None:
    """What is not, or cannot be told, has a line that mends it."""
    assert (ok("disk", "room").state, ok("disk", "room").mend) == (State.OK, "")
    assert failed("disk", "full", "du").state is State.FAILED
    assert unknown("disk", "?", "ls").mend == "ls"
