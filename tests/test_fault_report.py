"""The report of failures: what counts as naming one, and what the table says."""

from __future__ import annotations

import pytest

from tests.fault_report import FAILURES, Tally, ids_in, table


def test_ids_are_whole_words() -> None:
    """An id in a longer word is none, nor is a number that no failure or invariant has."""
    assert ids_in(["F25, I10: as (I3)", "F26 I11 HF1 UTF8"]) == {"F25", "I10", "I3"}


def test_the_table_has_every_failure_and_its_worst_outcome() -> None:
    """One failed test of a failure is what the table says of it; none is told as not run."""
    lines = table({
        "F3": Tally({"I10", "I3"}, 2, 40, {"passed", "failed"}),
        "F5": Tally({"I1"}, 1, 1, {"passed", "skipped"}),
    })  # fmt: skip
    assert len(lines) == len(FAILURES) + 1
    assert lines[3].split()[:6] == ["F3", "failed", "2", "40", "I3,", "I10"]
    assert lines[5].split()[:2] == ["F5", "skipped"]
    assert lines[6].split()[:3] == ["F6", "not", "run"]


@pytest.mark.fault("I4")
def test_a_marker_alone_needs_a_failure(request: pytest.FixtureRequest) -> None:
    """A test that names invariants only is none of failures."""
    from tests import fault_report

    assert request.node.nodeid not in fault_report._named
