"""Sessions with PostgreSQL: the statements of the SQLite store, and servers that will not do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.audit.place import PostgresFailed
from gateway.audit.postgresql.session import (
    FETCH_ROWS_MAX,
    PostgresSession,
    is_in_doubt,
    quoted,
    translated,
    unsuitable,
)

ROWS = 3 * FETCH_ROWS_MAX


@pytest.fixture
def session(shared_database: str) -> Iterator[PostgresSession]:
    """A session with a table of many rows."""
    session = PostgresSession(shared_database, "pg_temp", reads=False)
    session.execute("CREATE TABLE pg_temp.many (n bigint, b bytea, t text)")
    values = "SELECT g, '\\x00ff', '%?' FROM generate_series(1, ?) AS g"
    session.execute(f"INSERT INTO many {values}", (ROWS,))
    yield session
    session.close()


def test_values_stand_where_sqlite_has_them(session: PostgresSession) -> None:
    """`?` is a value outside of quotes alone, and None needs no type."""
    sql = "SELECT n, b, t FROM many WHERE t = '%?' AND n % 7 = ? AND (? IS NULL OR n < ?) AND b = ?"
    rows = session.execute(sql, (1, None, None, b"\x00\xff")).fetchall()

    assert len(rows) == len(range(1, ROWS + 1, 7))
    assert rows[0] == (1, b"\x00\xff", "%?")
    assert translated("a = 'it''s ?' AND b = ?") == "a = 'it''s ?' AND b = %s"


def test_sums_of_integers_are_integers(session: PostgresSession) -> None:
    """As in SQLite: nobody reckons with Decimal."""
    (total,) = session.execute("SELECT sum(n) FROM many").fetchone()
    assert (type(total), total) == (int, ROWS * (ROWS + 1) // 2)


def test_a_reader_gets_many_rows_piece_by_piece(shared_database: str) -> None:
    """Two results can be read at once, and neither is held whole in memory."""
    reader = PostgresSession(shared_database, "pg_catalog", reads=True)
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    numbers = "SELECT g, sum(g) OVER (ORDER BY g) FROM generate_series(1, ?) AS g"
    one, other = (reader.execute(numbers, (ROWS,)) for _ in range(2))

    assert next(one) == next(other) == (1, 1)
    assert [row[0] for row in one] == [row[0] for row in other] == list(range(2, ROWS + 1))
    assert next(one, None) is None
    reader.close()


def test_failures_quote_no_value(session: PostgresSession) -> None:
    """What a statement carried may be personal, and errors are logged."""
    session.execute("CREATE UNIQUE INDEX ON many (n)")
    with pytest.raises(PostgresFailed) as failure:
        session.execute("INSERT INTO many VALUES (1, ?, ?)", (b"x", "SYNTHETIC NAME"))

    assert failure.value.sqlstate == "23505"
    assert "SYNTHETIC" not in str(failure.value)
    assert failure.value.__cause__ is None


def test_a_server_that_is_not_there_is_a_failure() -> None:
    """Nothing of the URL but its address is told."""
    with pytest.raises(PostgresFailed) as failure:
        PostgresSession("postgresql://u:secret@127.0.0.1:1/none", "public", reads=True)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    "url", ["postgresql://u:secret%zz@127.0.0.1:1/none", "postgresql:/u:secret@127.0.0.1/none"]
)
def test_a_malformed_url_is_a_failure_and_not_told(url: str) -> None:
    """libpq quotes it, password and all."""
    with pytest.raises(PostgresFailed, match="malformed") as failure:
        PostgresSession(url, "public", reads=True)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (("on", "on", False, 180_000), None),
        (("on", "on", False, 130_012), "too old"),
        (("off", "on", False, 180_000), "fsync"),
        (("on", "off", False, 180_000), "full_page_writes"),
        (("on", "on", True, 180_000), "standby"),
    ],
)
def test_a_server_that_may_lose_records_is_refused(
    facts: tuple[str, str, bool, int], says: str | None
) -> None:
    """What is acknowledged must survive a crash (I3)."""
    why = unsuitable(*facts)
    assert why is None if says is None else why is not None and says in why


def test_only_a_warning_of_its_class_casts_doubt() -> None:
    """A notice that a table exists says nothing about replication (F8)."""
    assert is_in_doubt("01000", "WARNING")
    assert not is_in_doubt("42P07", "NOTICE")
    assert not is_in_doubt(None, None)


def test_names_are_quoted() -> None:
    """Whatever stands in a name, it is one name."""
    assert quoted('a"b') == '"a""b"'
