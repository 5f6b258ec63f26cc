"""Strict JSON: one reading, or none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.duties.json_document import JsonUnreadable, read_json


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a":1,"a":1}',
        b'[{"b":{"a":1,"\\u0061":2}}]',
        b"NaN",
        b'{"a":-Infinity}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\xff"}',
        b'"\xed\xa0\x80"',
        b"{} {}",
        b"[1,]",
        b"01",
        b"'a'",
        b"9" * 5000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_ambiguous_bytes_are_unreadable(body: bytes) -> None:
    """What two readers could take differently, or one could choke on, is refused."""
    with pytest.raises(JsonUnreadable):
        read_json(body)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_the_one_error(body: bytes) -> None:
    """Nothing but `JsonUnreadable` is ever raised."""
    try:
        read_json(body)
    except JsonUnreadable:
        return


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_what_json_writes_is_read(value: object) -> None:
    """A document that has one reading is read as it was written."""
    assert read_json(json.dumps(value).encode()) == value
