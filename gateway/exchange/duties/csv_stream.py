"""Duties on CSV answers that are longer than memory: row after row, in blocks of whole rows."""

from __future__ import annotations

import codecs
from typing import Final

from gateway.exchange.duties.applied import Applied, Shape, withheld_names
from gateway.exchange.duties.csv_duties import (
    NO_COLUMN,
    UNREADABLE,
    judge_rows,
    kept_cells,
    kept_columns,
)
from gateway.exchange.duties.csv_table import (
    BYTE_ORDER_MARK,
    CsvUnreadable,
    check_octets,
    column_names,
    line_ending,
    read_rows,
)
from gateway.exchange.duties.row_rules import people, row_rules
from gateway.exchange.duties.streamed import Unfit
from policies.decision import Duties

ROW_CHARACTERS_MAX: Final = 1024 * 1024
"""The longest row that is waited for; a quote that is never closed would make one of everything."""


class CsvStream:
    """Applies per-row duties to a table that arrives in pieces (`StreamedDuties`).

    The verdict on each row is that of `apply_to_csv`, and so are the octets that leave, wherever
    the table was cut in pieces. What is found unfit has had fit rows before it.
    """

    def __init__(self, duties: Duties, shape: Shape) -> None:
        """Apply `duties`, none of which is over the whole body."""
        self._duties = duties
        self._shape = shape
        self._rules = row_rules(duties, shape)
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._rest = ""
        self._end = ""
        self._names: tuple[str, ...] = ()
        self._kept: list[int] = []
        self._records = self._dropped = self._redacted = 0

    def feed(self, piece: bytes) -> bytes:
        """Return what may leave of the rows that `piece` completes; raises `Unfit`."""
        try:
            check_octets(piece)
            return self._take(self._rest + self._decode(piece))
        except (CsvUnreadable, UnicodeDecodeError) as error:
            raise Unfit(UNREADABLE) from error

    def finish(self) -> bytes:
        """Return the last line end, or what may leave of a last row without; raises `Unfit`."""
        try:
            self._decode(b"", final=True)
            # Without a header there is one to be missed in the rest.
            if self._rest or not self._names:
                return self._apply(self._rest)
        except (CsvUnreadable, UnicodeDecodeError) as error:
            raise Unfit(UNREADABLE) from error
        return self._end.encode()

    def applied(self) -> Applied:
        """Return what the record says about the rows so far; the body is not in it."""
        duties, known = self._duties, self._shape.known_subjects
        withheld, leaked = withheld_names(duties, frozenset(self._names), self._rules.columns)
        sent = () if duties.allowed is None else tuple(sorted(self._names[at] for at in self._kept))
        return Applied(
            body=b"",
            records=self._records,
            records_dropped=self._dropped,
            subjects=known,
            subjects_counted=len(known),
            redacted_subjects=self._redacted,
            fields_sent=sent,
            fields_withheld=withheld,
            leaked=leaked,
        )

    def _take(self, text: str) -> bytes:
        """Apply the duties to the whole rows of `text`, and keep what comes after them."""
        at = self._after_last_row(text)
        self._rest = text[at:]
        if len(self._rest) > ROW_CHARACTERS_MAX:
            raise CsvUnreadable("a row without end")
        return self._apply(text[:at]) if at else b""

    def _after_last_row(self, text: str) -> int:
        """Return where the last row ends: at a line end with as many quotes before it as pair."""
        end = self._end or line_ending(text)
        at = text.rfind(end)
        odd = at >= 0 and text.count('"', 0, at) % 2 == 1
        while odd:
            # Inside a cell that opened at the last quote: the row began before that.
            opened = text.rfind('"', 0, at)
            before = text.rfind(end, 0, opened)
            odd = before >= 0 and text.count('"', before, opened) % 2 == 1
            at = before
        return at + len(end) if at >= 0 else 0

    def _apply(self, text: str) -> bytes:
        """Return the rows of `text` that may leave; each goes behind the line end of the last."""
        before, start = self._end, 0
        header: list[list[str]] = []
        if not self._names:
            self._end = line_ending(text)
            before = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
            start = len(before)
        rows = list(read_rows(text, start, self._end))
        if not self._names:
            header, rows = rows[:1], rows[1:]
            self._begin(header)
        if any(len(row) != len(self._names) for row in rows):
            raise CsvUnreadable("rows of different lengths")
        released = rows
        if self._rules.judges:
            judged = judge_rows(self._names, rows, self._rules)
            released = judged.rows
            self._redacted += people(judged.redacted, frozenset())[1]
        self._records += len(released)
        self._dropped += len(rows) - len(released)
        lines = kept_cells(self._kept, (*header, *released))
        return (before + self._end.join(map(",".join, lines))).encode() if lines else b""

    def _begin(self, header: list[list[str]]) -> None:
        if not header:
            raise CsvUnreadable("no header row")
        self._names = column_names(header[0])
        self._kept = kept_columns(self._duties, self._names)
        if not self._kept:
            raise Unfit(NO_COLUMN)
