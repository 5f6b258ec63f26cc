"""Hot values behave like the frozen values that they are to the type checker."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policies.hot import hot_value


@hot_value(frozen=True, slots=True, kw_only=True)
class Point:
    """A value."""

    x: int
    y: int = 0


def test_a_hot_value_compares_hashes_and_is_replaced_by_its_members() -> None:
    """What holds of a frozen dataclass holds of it, but for the exception on assignment."""
    point = Point(x=1)
    assert point == Point(x=1, y=0)
    assert hash(point) == hash(Point(x=1))
    assert replace(point, y=2) == Point(x=1, y=2)
    assert repr(point) == "Point(x=1, y=0)"
    assert not hasattr(point, "__dict__")


def test_a_hot_value_says_that_it_is_frozen() -> None:
    """The word `frozen` stands above the class, where its reader looks for it."""
    with pytest.raises(AssertionError):
        hot_value(frozen=False, slots=True, kw_only=True)
