"""Layouts: how one JSON record is read, and what of it can be sent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.exchange.duties.record_layouts import Layout, layout_of, read_members

RECORD = msgspec.Raw(b'{"id":"1","\\u0061rea":"E06","size":1.50,"extra":{"deep":[1]}}')


def sent(layout: Layout, record: msgspec.Raw = RECORD) -> bytes:
    """Read and finish one record, and write what is left."""
    row = layout.read(record)
    layout.finish([row])
    return msgspec.json.encode(row)


@pytest.mark.parametrize(
    ("allowed", "columns", "expected"),
    [
        ({"id", "size"}, (), b'{"id":"1","size":1.50}'),
        ({"id"}, ("area",), b'{"id":"1"}'),
        ({"area", "id"}, ("area",), b'{"area":"E06","id":"1"}'),
        ({"ID", "other"}, (), b"{}"),
        (set(), ("id",), b"{}"),
        ({"id", 'a"b'}, ("area",), b'{"id":"1"}'),
    ],
)
def test_only_allowed_members_are_sent(
    allowed: set[str], columns: tuple[str, ...], expected: bytes
) -> None:
    """Members read for a check are sent only if they are allowed; names match exactly."""
    assert sent(layout_of(frozenset(allowed), columns)) == expected


def test_without_an_allow_list_all_members_are_sent() -> None:
    """The record is written anew, so a member given twice is sent once."""
    layout = layout_of(None, ("a",))

    assert sent(layout, msgspec.Raw(b'{"a":1,"b":2, "a":3}')) == b'{"a":3,"b":2}'


@pytest.mark.parametrize("allowed", [frozenset({"v"}), frozenset({"v", "\\"}), None])
@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (b'"text"', "text"),
        (b'"\\u00e9\\n"', "é\n"),
        (b"1.50", "1.50"),
        (b"true", "true"),
        (b"null", None),
        (b"[1]", None),
        (b'{"a":1}', None),
    ],
)
def test_values_are_read_as_text(
    allowed: frozenset[str] | None, token: bytes, expected: str | None
) -> None:
    """Scalars are compared as text with a number's own digits; anything else is no value."""
    layout = layout_of(allowed, ("v", "gone"))
    row = layout.read(msgspec.Raw(b'{"v": ' + token + b"}"))

    assert list(layout.values(row)) == [expected, None]


@pytest.mark.parametrize("allowed", [frozenset({"a", "b"}), frozenset({"a", "b", '"'}), None])
def test_redacted_members_are_absent(allowed: frozenset[str] | None) -> None:
    """A redacted member leaves no trace, and a name that is not there does no harm."""
    layout = layout_of(allowed, ())
    row = layout.read(msgspec.Raw(b'{"a":1,"b":2}'))

    layout.redact(row, frozenset({"b", "c"}))

    assert msgspec.json.encode(row) == b'{"a":1}'


@pytest.mark.parametrize("allowed", [frozenset({"b", "a", "c"}), frozenset({"b", "a", "c", '"'})])
def test_names_sent_are_those_of_any_row(allowed: frozenset[str]) -> None:
    """A name counts as sent if a single row has it, even where its value is null."""
    layout = layout_of(allowed, ())
    rows = [layout.read(msgspec.Raw(text)) for text in (b'{"b":1}', b'{"a":null}')]

    assert layout.names_in(rows) == ("a", "b")
    assert layout.names_in([]) == ()


@pytest.mark.parametrize("allowed", [frozenset({"a"}), None])
@pytest.mark.parametrize("record", [b"[1]", b'"a"', b"1", b"null"])
def test_a_record_is_an_object(allowed: frozenset[str] | None, record: bytes) -> None:
    """Anything else in the list of records is an error, not an empty record."""
    with pytest.raises(msgspec.DecodeError):
        layout_of(allowed, ()).read(msgspec.Raw(record))


def test_all_members_can_be_read() -> None:
    """The names that a service returned are known whether or not they may leave."""
    assert set(read_members(RECORD)) == {"id", "area", "size", "extra"}


def test_an_exact_type_reads_allowed_members_and_no_others() -> None:
    """It is there where all that is read may leave; a row of it is like one that was read."""
    layout = layout_of(frozenset({"id", "area"}), ("area",))
    exact = layout.exact()
    assert exact is not None

    row: Any = msgspec.json.decode(b'{"\\u0061rea":"E06"}', type=exact)

    assert list(layout.values(row)) == ["E06"]
    assert layout.names_in([row]) == ("area",)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(RECORD, type=exact)
    assert layout_of(frozenset({"id"}), ("area",)).exact() is None
    assert layout_of(None, ()).exact() is None
