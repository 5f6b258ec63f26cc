"""Strict CSV: one reading, or none; cells leave as they came."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.exchange.duties.csv_table import CsvUnreadable, cell_value, read_table, write_rows

CELLS = st.text(alphabet='ab ,"\r\né=\u2028', max_size=5)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xef\xbb\xbf",
        b"a,b\n1\n",
        b"a,b\n1,2,3\n",
        b"a,b\n1,2\n\n",
        b"a,a\n1,2\n",
        b'a,"a"\n1,2\n',
        b'a\n"1\n',
        b'a\n1"2\n',
        b'a\n"1"2\n',
        b'a\n"1""\n',
        b'a\n "1"\n',
        b"a\r\n1\n",
        b"a\n1\r\n",
        b"a\r1\r",
        b"a\n1\x00\n",
        b"a\n1\x0b\n",
        b"a\n\xff\n",
        "a\n1\n".encode("utf-16"),
        b'"' * 100_001,
        b'a\n"' + b'""' * 100_000,
    ],
)
def test_ambiguous_tables_are_unreadable(body: bytes) -> None:
    """What RFC 4180 does not allow, and readers take differently, is refused."""
    with pytest.raises(CsvUnreadable):
        read_table(body)


@pytest.mark.parametrize(
    ("body", "names", "rows"),
    [
        (b"a,b\n1,2", ("a", "b"), [["1", "2"]]),
        (b"a,b\r\n1,2\r\n", ("a", "b"), [["1", "2"]]),
        (b'"a","b,c"\n"1\n2","3""4"\n,\n', ("a", "b,c"), [['"1\n2"', '"3""4"'], ["", ""]]),
        (b"\xef\xbb\xbfa\n1\n", ("a",), [["1"]]),
        (b'\xef\xbb\xbf"a"\n1\n', ("a",), [["1"]]),
        (b"a\n\n1\n", ("a",), [[""], ["1"]]),
        (b"a,b\n", ("a", "b"), []),
        (b"a\n=1+1\n\ttab\n", ("a",), [["=1+1"], ["\ttab"]]),
    ],
)
def test_a_table_is_read_and_written_back(
    body: bytes, names: tuple[str, ...], rows: list[list[str]]
) -> None:
    """Line endings, byte order mark and quotes all come out as they went in."""
    table = read_table(body)

    assert (table.names, table.rows) == (names, rows)
    assert write_rows(table, [table.header, *table.rows]) == body


@given(
    st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=5),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_standard_library_writes_is_read(rows: list[list[str]], end: str) -> None:
    """Any table that is written by the book has the values that were written."""
    assume(len(set(rows[0])) == 2)
    # Where a quoted name holds the first line ending, it is taken for that of the table.
    assume(not any("\n" in name for name in rows[0]))
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)

    table = read_table(text.getvalue().encode())

    assert [list(table.names), *([*map(cell_value, row)] for row in table.rows)] == rows


@given(st.binary(max_size=60))
def test_any_bytes_give_a_table_or_the_one_error(body: bytes) -> None:
    """A table that is read is written back byte for byte; nothing else is raised."""
    try:
        table = read_table(body)
    except CsvUnreadable:
        return
    assert write_rows(table, [table.header, *table.rows]) == body
