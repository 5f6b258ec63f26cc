"""Rows inserted many to a statement: each run of a statement costs about as much as a row."""

from __future__ import annotations

from typing import Any, Final

ROWS_AT_ONCE: Final = (16, 8, 4, 2, 1)
"""How many rows go into one statement, the most first; few sizes, so that SQLite knows them all."""


class Insertion:
    """Inserts any number of rows into one table, with as few statements as there are sizes for."""

    def __init__(self, one: str) -> None:
        """Take the INSERT of one row, which ends with ``VALUES (?, …)``."""
        row = one.partition("VALUES ")[2]
        self._statements: Final = [
            (rows * row.count("?"), f"{one}{f', {row}' * (rows - 1)}") for rows in ROWS_AT_ONCE
        ]

    def run(self, db: Any, values: list[Any]) -> None:
        """Insert the rows whose values these are, one row after the other."""
        start, end = 0, len(values)
        for count, statement in self._statements:
            while end - start >= count:
                db.execute(statement, values[start : start + count])
                start += count
