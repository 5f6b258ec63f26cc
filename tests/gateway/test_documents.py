"""Tests of the strict YAML reader."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.documents import DocumentUnreadable, load_document, read_document

FILE = Path("file.yaml")
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.text(st.characters(codec="ascii", min_codepoint=32)),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4)
    ),
    max_leaves=12,
)


def refusal(text: str) -> DocumentUnreadable:
    """Return the error of a text that must be refused."""
    with pytest.raises(DocumentUnreadable) as refused:
        read_document(text.encode(), FILE)
    return refused.value


@given(JSON_VALUES)
def test_json_means_what_it_means_in_json(value: object) -> None:
    """Every JSON text without fractions is read as the value it was written from."""
    assert read_document(json.dumps(value).encode(), FILE).value == value


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_a_value_or_the_readers_own_error(content: bytes) -> None:
    """The reader is total."""
    with suppress(DocumentUnreadable):
        read_document(content, FILE)


@pytest.mark.parametrize(
    "text", ["no", "yes", "on", "2026-01-01", "2026-01-01T00:00:00Z", "0x1f", "012", "1_0", "1.5",
             "12:30", ".inf", "Null", "TRUE", '"1"', "'true'", "=", "1e3"]
)  # fmt: skip
def test_what_json_does_not_know_stays_text(text: str) -> None:
    """A date, a Norwegian country code or an octal number is never turned into something else."""
    assert read_document(f"a: {text}".encode(), FILE).value == {"a": text.strip("\"'")}


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: 1\na: 2\n", 2, 1),
        ("a: &x 1\n", 1, 4),
        ("a: 1\nb: *x\n", 2, 4),
        ("a: !!str 1\n", 1, 4),
        ("a: 1\n<<: {b: 2}\n", 2, 1),
        ("? [a]\n: 1\n", 1, 3),
        ("a: 1\n---\nb: 2\n", 2, 1),
        ("a: [1\nb: 2\n", 2, 2),
        ("", 1, 1),
        ("[" * 70 + "]" * 70, 1, 66),
    ],
    ids=["twice", "anchor", "alias", "tag", "merge", "key", "second", "syntax", "empty", "deep"],
)
def test_what_is_not_strict_is_refused_at_its_place(text: str, line: int, column: int) -> None:
    """The error names line and column, counted from 1."""
    error = refusal(text)

    assert (error.line, error.column) == (line, column)


def test_places_are_found_by_pointer() -> None:
    """A value's place is its key's; for what is not there, that of the nearest thing around it."""
    document = read_document(b"a:\n  - b: 1\n  - c: 2\n", FILE)

    assert document.locate(("a", 1, "c")) == (3, 5)
    assert document.locate(("a", 0, "missing", 7)) == (2, 5)
    assert document.locate(()) == (1, 1)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file is an error like any other."""
    with pytest.raises(DocumentUnreadable, match=r"missing\.yaml"):
        load_document(tmp_path / "missing.yaml")


def test_a_character_that_yaml_has_not_is_told_with_its_place() -> None:
    """So that an editor finds what nobody can see."""
    refused = refusal("a: 1\nb: é\x00\n")
    assert (refused.line, refused.column) == (2, 5)
    assert "no YAML may hold" in refused.message


def test_no_more_is_read_than_a_document_may_have() -> None:
    """A file without end is refused, and not read to it."""
    with pytest.raises(DocumentUnreadable, match="is larger than"):
        load_document(Path("/dev/zero"))
