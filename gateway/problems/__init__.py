"""The catalogue of problems: what each code means, whose turn it is, and what helps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.problems.failures import FAILURES
from gateway.problems.problem import Origin, Problem
from gateway.problems.reasons import REASONS, code_of

__all__ = ["MEDIA_TYPE", "PROBLEMS", "Origin", "Problem", "code_of", "problem_body"]

MEDIA_TYPE: Final = "application/problem+json"
"""Media type of a problem document (RFC 9457, section 6.1)."""

PROBLEMS: Final[Mapping[str, Problem]] = {
    problem.code: problem for problem in (*REASONS, *FAILURES)
}
"""Every problem that any listener of the gateway can answer with, by its code."""


def problem_body(code: str, *, detail: str, instance: str) -> dict[str, object]:
    """Return the members that every problem document has (RFC 9457, section 3).

    `instance` identifies this occurrence; `code` must be in the catalogue.
    """
    problem = PROBLEMS[code]
    return {
        "type": f"/problems/{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "instance": instance,
        "origin": problem.origin,
    }
