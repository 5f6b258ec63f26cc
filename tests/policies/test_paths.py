"""Path templates match decoded segments, whole and non-empty."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.paths import Template

SEGMENTS = st.lists(st.sampled_from(["a", "b", "{x}", "{y}"]), min_size=1, max_size=4, unique=True)


def test_a_parameter_takes_one_whole_segment() -> None:
    """The values of the parameters are the decoded segments at their places."""
    template = Template.parse("/children/{nhs_number}/known")
    found = template.match(("children", "9992000015", "known"))
    assert found == {"nhs_number": "9992000015"}


@pytest.mark.parametrize(
    "path", [("children",), ("children", "", "known"), ("children", "1", "other"), ("a", "1", "b")]
)
def test_other_paths_do_not_match(path: tuple[str, ...]) -> None:
    """Length, literals and emptiness all count."""
    assert Template.parse("/children/{nhs_number}/known").match(path) is None


def test_a_literal_template_matches_only_itself() -> None:
    """A literal template has no parameters to give."""
    template = Template.parse("/open/v1/admissions-monthly.csv")
    assert template.match(("open", "v1", "admissions-monthly.csv")) == {}
    assert template.match(("open", "v1", "admissions-monthly.CSV")) is None


@pytest.mark.parametrize(
    "text", ["", "a", "/", "//a", "/a/", "/a/../b", "/{a}/{a}", "/a{b}", "/{A}", "/a b", "/a%2Fb"]
)
def test_a_malformed_template_is_refused(text: str) -> None:
    """Empty and dot segments, half parameters and repeated names are refused."""
    with pytest.raises(ValueError, match=r"."):
        Template.parse(text)


@given(SEGMENTS, SEGMENTS)
def test_templates_overlap_exactly_when_some_path_matches_both(
    first: list[str], second: list[str]
) -> None:
    """`overlaps` agrees with a search for a path, and is symmetric."""
    one, other = Template.parse("/" + "/".join(first)), Template.parse("/" + "/".join(second))
    longest = zip(one.literals, other.literals, strict=False)
    path = tuple(mine or theirs or "z" for mine, theirs in longest)
    both = one.match(path) is not None and other.match(path) is not None
    assert one.overlaps(other) is both
    assert one.overlaps(other) is other.overlaps(one)


def test_a_literal_ranks_before_a_parameter() -> None:
    """Where two templates match, the more literal one comes first."""
    literal, parameter = Template.parse("/a/known"), Template.parse("/a/{b}")
    assert literal.rank < parameter.rank
    assert pickle.loads(pickle.dumps(literal)) == literal  # noqa: S301 - our own bytes
