"""Hot values behave like the frozen values that they are to the type checker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

import pytest

from policies.hot import hot_value, maker


@hot_value(frozen=True, slots=True, kw_only=True)
class Point:
    """A value."""

    x: int
    y: int = 0


@hot_value(frozen=True, slots=True, kw_only=True)
class Named(Point):
    """A value with a member of each kind."""

    names: Mapping[str, str] = field(default_factory=dict)
    new: str = "kind"


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


def test_what_a_maker_makes_is_what_the_class_makes() -> None:
    """Defaults and their factories included, whatever the members are called."""
    new_named = maker(Named)
    assert new_named(x=1) == Named(x=1)
    assert new_named(x=1, y=2, names={"a": "b"}, new="") == Named(
        x=1, y=2, names={"a": "b"}, new=""
    )
    assert type(new_named(x=1)) is Named
    assert new_named(x=1).names is not new_named(x=1).names


def test_a_maker_takes_what_the_class_takes() -> None:
    """A member that is left out, unknown or has no name is refused."""
    new_point = maker(Point)
    with pytest.raises(TypeError):
        new_point()  # type: ignore[call-arg]  # this is what is refused
    with pytest.raises(TypeError):
        new_point(x=1, z=2)  # type: ignore[call-arg]  # as above
    with pytest.raises(TypeError):
        new_point(1)  # type: ignore[call-arg]  # as above
