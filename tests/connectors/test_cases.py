"""The cases of the conformance suite are data that a framework can show and choose from."""

from __future__ import annotations

from connectors.base import Failure
from connectors.cases import Answered, Case, conformance_cases


def test_a_case_is_shown_by_its_id() -> None:
    """A failing one is found by it."""
    case = Case(id="U-01-x", script=(), verdict=Failure.UNREACHABLE)
    assert str(case) == "U-01-x"


def test_both_directions_are_streamed() -> None:
    """Bodies in pieces are refused, taken and broken off, either way."""
    cases = conformance_cases()
    assert {isinstance(case.verdict, Answered) for case in cases if case.sent} == {True, False}
    assert {case.sized for case in cases if case.sent} == {True, False}
    assert any(case.in_pieces for case in cases)
