"""Tests of the catalogue of problems as a whole."""

from __future__ import annotations

import re

import pytest

from gateway.problems import PROBLEMS, Origin, Problem, problem_body


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=list(PROBLEMS))
def test_a_problem_is_told_in_whole_sentences(problem: Problem) -> None:
    """Titles are short and without a full stop; explanations and remedies are sentences."""
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", problem.code)
    assert 400 <= problem.status <= 599
    assert len(problem.title) <= 60
    assert not problem.title.endswith(".")
    assert problem.explanation.endswith(".")
    assert problem.mend.endswith(".")


def test_titles_are_different() -> None:
    """No two problems look alike in a list."""
    assert len({problem.title for problem in PROBLEMS.values()}) == len(PROBLEMS)


def test_problem_body_has_the_members_of_rfc_9457() -> None:
    """The document names its type, title, status, detail and instance, and whose turn it is."""
    body = problem_body("not-found", detail="There is no such agreement.", instance="urn:uuid:1")

    assert body == {
        "type": "/problems/not-found",
        "title": "There is nothing at this address",
        "status": 404,
        "detail": "There is no such agreement.",
        "instance": "urn:uuid:1",
        "origin": Origin.CLIENT,
    }
