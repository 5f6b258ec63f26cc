"""Documents are read strictly, with every fault at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.reading import DocumentInvalid, Fault, Section, nearest, place

MEMBERS = ("text", "word", "texts", "number", "flag", "instant", "day", "duration", "free")
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def read_everything(value: object) -> list[Fault]:
    """Read every kind of member, and return the faults."""
    faults: list[Fault] = []
    one = Section(value, (), faults, required=MEMBERS, optional=("lists", "section", "sections"))
    one.text("text")
    one.word("word", ("a", "b"))
    one.texts("texts")
    one.integer("number", minimum=1)
    one.flag("flag")
    one.instant("instant")
    one.day("day")
    one.duration("duration")
    one.free("free")
    one.lists("lists")
    one.section("section", required=("x",)).text("x")
    one.sections("sections", required=("x",))
    return faults


GOOD: dict[str, Any] = {
    "text": "t",
    "word": "a",
    "texts": ["x", "y"],
    "number": 1,
    "flag": True,
    "instant": "2026-09-01T00:00:00+01:00",
    "day": "2026-09-01",
    "duration": "P30D",
    "free": {"x": 1},
}


def test_a_good_object_has_no_faults() -> None:
    """Every kind of member is read."""
    assert not read_everything(GOOD)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("text", 1, "wrong-type"),
        ("text", None, "wrong-type"),
        ("word", "c", "not-one-of"),
        ("texts", "x", "wrong-type"),
        ("texts", ["x", "x"], "duplicate"),
        ("texts", [1], "wrong-type"),
        ("number", True, "wrong-type"),
        ("number", 0, "too-small"),
        ("number", 1.0, "wrong-type"),
        ("flag", "yes", "wrong-type"),
        ("instant", "2026-09-01T00:00:00", "malformed"),
        ("instant", "2026-09-31T00:00:00Z", "malformed"),
        ("instant", "0001-01-01T00:00:00+01:00", "malformed"),
        ("day", "20260901", "malformed"),
        ("duration", "30 days", "malformed"),
        ("free", [], "wrong-type"),
    ],
)
def test_each_fault_is_told_with_its_place_and_code(name: str, value: object, code: str) -> None:
    """One wrong member gives one fault, at that member."""
    (fault,) = read_everything({**GOOD, name: value})
    assert (fault.pointer[0], fault.code) == (name, code)


def test_faults_are_told_together_with_the_nearest_word() -> None:
    """Unknown keys and missing keys come at once; a misspelling gets its neighbour."""
    document = {**GOOD, "nubmer": 3, "word": "A"}
    del document["number"]
    faults = read_everything(document)
    assert [fault.code for fault in faults] == ["unknown-key", "missing-key", "not-one-of"]
    assert "did you mean 'number'?" in faults[0].message


@given(ANY_VALUE | st.fixed_dictionaries(dict.fromkeys(MEMBERS, ANY_VALUE)))
def test_any_value_gives_faults_and_never_an_error(value: object) -> None:
    """Reading is total."""
    assert isinstance(read_everything(value), list)


def test_places_are_written_as_people_read_them() -> None:
    """The message of the exception names places and faults."""
    fault = Fault(pointer=("access", "rules", 0, "path"), code="malformed", message="is odd")
    assert place(fault.pointer) == "access.rules[0].path"
    assert str(DocumentInvalid([fault])) == "access.rules[0].path: is odd"
    assert place(()) == "the document"
    assert nearest("zzz", ["abc"]) == ""
