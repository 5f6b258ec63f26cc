"""Differences between documents are told where they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.registry.comparison import ABSENT, Difference, differences

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)


def test_each_place_is_told_once_as_deep_as_it_lies() -> None:
    """Objects are entered, and lists of one length; others are told whole."""
    was = {"a": {"b": 1, "gone": None}, "list": [1, {"c": 2}], "short": [1], "same": [1, 2]}
    will_be = {"a": {"b": 2}, "list": [1, {"c": 3}], "short": [1, 2], "same": [1, 2], "new": 0}

    assert list(differences(was, will_be)) == [
        Difference(pointer=("a", "b"), was=1, will_be=2),
        Difference(pointer=("a", "gone"), was=None, will_be=ABSENT),
        Difference(pointer=("list", 1, "c"), was=2, will_be=3),
        Difference(pointer=("new",), was=ABSENT, will_be=0),
        Difference(pointer=("short",), was=[1], will_be=[1, 2]),
    ]


def test_true_is_not_one() -> None:
    """Python takes them for equal; a document does not."""
    assert list(differences({"a": True}, {"a": 1}))


@given(one=JSON, other=JSON)
def test_nothing_differs_exactly_where_all_is_equal(one: object, other: object) -> None:
    """Told both ways round alike."""
    assert not list(differences(one, one))
    assert bool(list(differences(one, other))) == bool(list(differences(other, one)))
