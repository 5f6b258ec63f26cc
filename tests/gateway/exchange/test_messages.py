"""The values that front and pipeline hand each other."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from gateway.errors import ProblemCode
from gateway.exchange.messages import FrontRefusal, Response
from gateway.problems import PROBLEMS


def test_a_response_cannot_be_changed_on_its_way() -> None:
    """What the record was written about is what the caller gets."""
    response = Response(status=200, headers=())
    with pytest.raises(FrozenInstanceError):
        response.status = 500  # type: ignore[misc]  # the test is that it cannot be set
    assert (response.body, response.close) == (b"", False)


@pytest.mark.parametrize("code", ProblemCode)
def test_every_refusal_has_a_page(code: ProblemCode) -> None:
    """Whatever code a refusal carries, the catalogue knows its status and title."""
    refusal = FrontRefusal(code=code, detail="")
    assert PROBLEMS[refusal.code].status >= 400
