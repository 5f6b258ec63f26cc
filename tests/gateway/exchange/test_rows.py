"""Rows of a request body: what the decision sees is what the service will read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import rows
from gateway.exchange.rows import RowsUnreadable, read_rows

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=6)
ROW = st.dictionaries(st.text(max_size=4).filter(lambda name: name != "batch"), SCALARS, max_size=4)


@given(st.lists(ROW, max_size=5))
def test_a_batch_gives_its_rows(batch: list[dict[str, Any]]) -> None:
    """Rows come in order, values as they were sent, colons in texts or not."""
    assert read_rows(json.dumps({"batch": batch}).encode()) == tuple(batch)


@given(ROW)
def test_any_other_object_is_one_row(row: dict[str, Any]) -> None:
    """A single record is sent without a batch around it."""
    assert read_rows(json.dumps(row, ensure_ascii=False).encode()) == (row,)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'[{"a":1}]',
        b"null",
        b'"text"',
        b"{",
        b'{"a":1}{"a":2}',
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"a" :1,"a":2}',
        b'{"a":":","a":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"batch":[{"a":1,"a":2}]}',
        b'{"batch":[],"batch":[]}',
        b'{"batch":[],"other":1}',
        b'{"batch":{"a":1}}',
        b'{"batch":[1]}',
        b'{"batch":[[{"a":1}]]}',
        b'{"batch":null}',
        b'{"a":NaN}',
        b'{"a":1e}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"a":' + b"[" * 16 + b"]" * 16 + b"}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_what_a_service_might_read_differently_is_refused(body: bytes) -> None:
    """Members given twice, odd batches, bad encodings and bottomless nesting give no rows."""
    assert isinstance(read_rows(body), RowsUnreadable)


@given(st.binary(max_size=60))
def test_any_bytes_give_rows_or_a_refusal(body: bytes) -> None:
    """Nothing is ever raised, and a refusal quotes nothing of the body."""
    assert isinstance(read_rows(body), tuple | RowsUnreadable)


def test_the_number_of_rows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is far above any agreement's own limit, which the decision applies."""
    monkeypatch.setattr(rows, "ROWS_MAX", 2)

    assert read_rows(b'{"batch":[{},{}]}') == ({}, {})
    assert isinstance(read_rows(b'{"batch":[{},{},{}]}'), RowsUnreadable)
