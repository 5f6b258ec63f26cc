"""Rows inserted many to a statement."""

from __future__ import annotations

from typing import Final

import pytest
from pysqlite3 import dbapi2 as sqlite

from gateway.audit.disk.inserts import ROWS_AT_ONCE, Insertion

PAIR: Final = Insertion("INSERT INTO pair VALUES (?, ?)")


@pytest.mark.parametrize("count", [0, 1, 2, 3, ROWS_AT_ONCE[0], 2 * ROWS_AT_ONCE[0] + 7, 256])
def test_every_row_is_inserted_once(count: int) -> None:
    """However many there are, and each with its own values."""
    db = sqlite.connect(":memory:")
    db.execute("CREATE TABLE pair (one INTEGER PRIMARY KEY, other BLOB)")
    rows = [(number, b"%d" % number) for number in range(count)]
    PAIR.run(db, [value for row in rows for value in row])
    assert db.execute("SELECT * FROM pair ORDER BY one").fetchall() == rows
    db.close()


def test_a_row_that_is_there_already_is_refused() -> None:
    """Wherever it stands among the others, and none of its statement is left."""
    db = sqlite.connect(":memory:", isolation_level=None)
    db.execute("CREATE TABLE pair (one INTEGER PRIMARY KEY, other BLOB)")
    with pytest.raises(sqlite.IntegrityError):
        PAIR.run(db, [1, b"a", 2, b"b", 3, b"c", 1, b"d"])
    assert db.execute("SELECT count(*) FROM pair").fetchone() == (0,)
    db.close()
