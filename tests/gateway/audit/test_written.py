"""Sections written around their values, against the canonical form they must equal."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.entry import INTEGER_MAX, SECTION_BYTES_MAX, EntryInvalid, canonical
from gateway.audit.written import SectionForm, WrittenSection

NAMES: Final = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), max_size=12)
TEXTS: Final = st.from_regex(r"[A-Za-z0-9+/=:_-]{0,43}", fullmatch=True)
CONSTANTS: Final = st.one_of(
    st.text(max_size=20), st.integers(-INTEGER_MAX, INTEGER_MAX), st.booleans(), st.none()
)
MEMBERS: Final = st.one_of(CONSTANTS, st.lists(CONSTANTS, max_size=3))


@given(
    constant=st.dictionaries(NAMES, MEMBERS, max_size=6),
    numbers=st.dictionaries(NAMES, st.integers(-INTEGER_MAX, INTEGER_MAX), max_size=4),
    texts=st.dictionaries(NAMES, TEXTS, max_size=4),
)
def test_what_is_filled_in_has_the_bytes_of_the_whole_written_anew(
    constant: dict[str, object], numbers: dict[str, int], texts: dict[str, str]
) -> None:
    """A form filled in is byte for byte the canonical form of the whole."""
    texts = {name: text for name, text in texts.items() if name not in numbers}
    form = SectionForm(constant, numbers=tuple(numbers), texts=tuple(texts))
    variable: dict[str, int | bytes] = {
        **numbers,
        **{name: text.encode() for name, text in texts.items()},
    }
    written = form.fill(*[variable[name] for name in sorted(variable)])
    whole = {**constant, **numbers, **texts}
    assert written.body() == canonical(whole)
    assert dict(written) == whole
    assert len(written) == len(whole)


def test_a_number_that_json_cannot_carry_everywhere_is_refused() -> None:
    """Numbers beyond 2^53-1 are refused, as in any other section."""
    form = SectionForm({}, numbers=("at",), texts=())
    with pytest.raises(EntryInvalid, match="2\\^53-1"):
        form.fill(INTEGER_MAX + 1)


def test_a_section_that_grows_too_long_is_refused() -> None:
    """A form takes what fits into a section, and not a byte more."""
    form = SectionForm({"a": "x" * (SECTION_BYTES_MAX - 20)}, numbers=(), texts=("b",))
    form.fill(b"y")
    with pytest.raises(EntryInvalid, match="longer than"):
        form.fill(b"y" * 40)


def test_a_constant_that_no_section_may_hold_is_refused() -> None:
    """What is constant is judged when the form is made."""
    with pytest.raises(EntryInvalid):
        SectionForm({"share": 0.5}, numbers=(), texts=())


def test_its_members_are_read_by_name() -> None:
    """A written section reads like any other mapping."""
    written = WrittenSection(b'{"a":1,"b":["c"]}')
    assert written["b"] == ["c"]
    with pytest.raises(KeyError):
        written["c"]
