"""Strict reading and exact writing of CSV (RFC 4180): every cell leaves as it arrived."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

BYTE_ORDER_MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"

_CONTROL: Final = bytes({*range(0x20), 0x7F} - set(b"\t\n\r"))
_CELL: Final = re.compile(r'"[^"]*+(?:""[^"]*+)*+"|[^",\r\n]*+')


class CsvUnreadable(Exception):
    """The bytes are not one unambiguous table; the message holds nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table: column names, and cells in raw form, quoted or not as they arrived.

    `mark` is the byte order mark, if there is one; `end` the line ending of every row, `ended`
    tells whether the last row has it too.
    """

    names: tuple[str, ...]
    header: tuple[str, ...]
    rows: list[list[str]]
    mark: str
    end: str
    ended: bool


def read_table(body: bytes) -> Table:
    """Read a table whose first row names its columns; raises `CsvUnreadable`.

    Refused: other encodings than UTF-8, a name given twice, rows of different lengths, quotes
    inside an unquoted cell or text after a quoted one, line endings that differ, control
    characters. A byte order mark is kept.
    """
    check_octets(body)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CsvUnreadable("not UTF-8") from error
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    end = line_ending(text)
    rows = list(read_rows(text, len(mark), end))
    if not rows:
        raise CsvUnreadable("no header row")
    header = rows.pop(0)
    names = column_names(header)
    if any(len(row) != len(names) for row in rows):
        raise CsvUnreadable("rows of different lengths")
    return Table(
        names=names,
        header=tuple(header),
        rows=rows,
        mark=mark,
        end=end,
        ended=text.endswith(end),
    )


def write_rows(table: Table, rows: Sequence[Sequence[str]]) -> bytes:
    """Write `rows` of raw cells, the header among them, in the manner of `table`."""
    text = table.end.join(map(_COMMA_JOIN, rows))
    return (table.mark + text + (table.end if table.ended else "")).encode()


def cell_value(cell: str) -> str:
    """Return the value of a raw cell."""
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


_COMMA_JOIN: Final = ",".join


def check_octets(body: bytes) -> None:
    """Refuse control characters other than tab and line ends; raises `CsvUnreadable`.

    In UTF-8 their octets are part of no other character.
    """
    if len(body.translate(None, _CONTROL)) != len(body):
        raise CsvUnreadable("a control character")


def column_names(header: Sequence[str]) -> tuple[str, ...]:
    """Return the names that a header row gives; raises `CsvUnreadable`."""
    names = tuple(map(cell_value, header))
    if len(set(names)) != len(names):
        raise CsvUnreadable("a column name is given twice")
    return names


def line_ending(text: str) -> str:
    """Return the ending of the first line; a table with another one further down is refused."""
    at = text.find("\n")
    return "\r\n" if at > 0 and text[at - 1] == "\r" else "\n"


def read_rows(text: str, position: int, end: str) -> Iterator[list[str]]:
    """Yield the raw cells of each row; a row without quotes takes the fast way."""
    quote = text.find('"', position)
    while position < len(text):
        stop = text.find(end, position)
        stop = len(text) if stop < 0 else stop
        if 0 <= quote < stop:
            cells, stop = _quoted_row(text, position, end)
            quote = text.find('"', stop)
        else:
            line = text[position:stop]
            if "\r" in line or "\n" in line:
                raise CsvUnreadable("line endings that differ")
            cells = line.split(",")
        yield cells
        position = stop + len(end)


def _quoted_row(text: str, position: int, end: str) -> tuple[list[str], int]:
    """Read one row cell by cell; returns its cells and where it stops."""
    cells: list[str] = []
    while True:
        cell = _CELL.match(text, position)
        assert cell is not None, "the empty cell always matches"  # noqa: S101 - programmer's error
        cells.append(cell.group())
        position = cell.end()
        if position == len(text) or text.startswith(end, position):
            return cells, position
        if text[position] != ",":
            raise CsvUnreadable("a quote or a line ending out of place")
        position += 1
