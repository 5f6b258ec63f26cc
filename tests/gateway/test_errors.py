"""Tests of the gateway's own failures."""

from __future__ import annotations

import pytest

from gateway import errors
from gateway.errors import GatewayError
from gateway.problems import PROBLEMS

LEAVES = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, GatewayError)
]


@pytest.mark.parametrize("kind", LEAVES)
def test_every_error_names_a_problem_of_the_catalogue(kind: type[GatewayError]) -> None:
    """An error's code leads to a page that explains it."""
    assert kind.code in PROBLEMS


def test_an_error_keeps_what_it_tells_the_caller() -> None:
    """The detail is kept apart, for the problem document."""
    assert errors.NotFound("There is no such thing.").detail == "There is no such thing."
