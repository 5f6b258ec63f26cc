"""Tests of the problems that are no decision."""

from __future__ import annotations

from gateway.errors import ProblemCode
from gateway.problems.failures import FAILURES
from gateway.problems.problem import Origin


def test_every_problem_code_is_explained_once() -> None:
    """The catalogue has exactly one problem for each code, under its own name."""
    assert [problem.code for problem in FAILURES] == [code.value for code in ProblemCode]


def test_what_a_service_did_is_the_services_turn() -> None:
    """Problems named after the service point at it, and at nobody else."""
    for problem in FAILURES:
        assert problem.code.startswith("service-") == (problem.origin is Origin.SERVICE)
