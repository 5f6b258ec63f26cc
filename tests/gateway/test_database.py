"""Tests of the registry's database: its engine, its transactions and its schema."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from gateway.database import (
    DatabaseUnsuitable,
    check_sqlite_version,
    open_engine,
    reading,
    upgrade,
    writing,
)


def url_in(directory: Path) -> str:
    """Return the URL of a database file."""
    return f"sqlite+pysqlite:///{directory / 'registry.db'}"


@pytest.mark.parametrize(
    "version", [(3, 40, 1), (3, 44, 5), (3, 50, 6), (3, 51, 2), (3, 52, 0)], ids=str
)
def test_a_sqlite_that_can_lose_commits_is_refused(version: tuple[int, int, int]) -> None:
    """The WAL-reset bug was mended in 3.51.3, 3.50.7 and 3.44.6; 3.52.0 was withdrawn."""
    with pytest.raises(DatabaseUnsuitable):
        check_sqlite_version(version)


@pytest.mark.parametrize("version", [(3, 44, 6), (3, 50, 7), (3, 51, 3), (3, 53, 0)], ids=str)
def test_a_mended_sqlite_is_accepted(version: tuple[int, int, int]) -> None:
    """The repaired versions and their successors are fit."""
    check_sqlite_version(version)


def test_another_kind_of_database_is_refused() -> None:
    """The error says what is expected."""
    with pytest.raises(DatabaseUnsuitable, match="sqlite"):
        open_engine("sqlite:///x.db")


def test_connections_are_durable_and_checked(tmp_path: Path) -> None:
    """WAL with full synchronisation, foreign keys, and patience with other writers."""
    with reading(open_engine(url_in(tmp_path))) as connection:
        pragmas = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }

    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 5000,
    }


def test_a_file_that_is_gone_is_not_read_on_nor_made_anew(tmp_path: Path) -> None:
    """What was moved away is missed at once, and read again where it comes back or is replaced."""
    path, away = tmp_path / "registry.db", tmp_path / "away.db"
    engine = open_engine(url_in(tmp_path))
    for value, file in ((1, path), (2, tmp_path / "other.db")):
        writer = open_engine(f"sqlite+pysqlite:///{file}")
        with writing(writer) as connection:
            connection.execute(text("CREATE TABLE t (a INTEGER)"))
            connection.execute(text("INSERT INTO t VALUES (:value)"), {"value": value})
        writer.dispose()

    def read() -> object:
        with reading(engine) as connection:
            return connection.execute(text("SELECT a FROM t")).scalar()

    assert read() == 1
    path.rename(away)
    for _ in range(2):
        with pytest.raises(OperationalError):
            read()
    assert not path.exists()
    away.rename(path)
    assert read() == 1
    (tmp_path / "other.db").replace(path)
    assert read() == 2


def test_a_file_is_made_only_where_it_may_be(tmp_path: Path) -> None:
    """Whoever only looks leaves nothing behind."""
    with (
        pytest.raises(OperationalError),
        reading(open_engine(url_in(tmp_path), create=False)),
    ):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    """What a transaction wrote before it failed is not there, tables included."""
    engine = open_engine(url_in(tmp_path))

    def fail() -> None:
        with writing(engine) as connection:
            connection.execute(text("CREATE TABLE t (a INTEGER)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == 0


def test_writers_take_turns(tmp_path: Path) -> None:
    """Two threads that read and then write lose no update, because the lock comes first."""
    engine = open_engine(url_in(tmp_path))
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE t (a INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (0)"))

    def add() -> None:
        for _ in range(25):
            with writing(engine) as connection:
                value = connection.execute(text("SELECT a FROM t")).scalar_one()
                connection.execute(text("UPDATE t SET a = :a"), {"a": value + 1})

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with reading(engine) as connection:
        assert connection.execute(text("SELECT a FROM t")).scalar() == 50


def test_upgrading_again_changes_nothing(tmp_path: Path) -> None:
    """An upgrade of a database with the newest schema is harmless."""
    engine = open_engine(url_in(tmp_path))
    upgrade(engine)
    upgrade(engine)

    with reading(engine) as connection:
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
        assert version.all() == ["0001"]


def test_what_is_no_url_is_refused_without_telling_it() -> None:
    """A password with an unescaped colon or @ does not come out in the message."""
    for url in (
        "postgresql+psycopg://u:se@cret:pass@h:port/db",
        "secret",
        "postgresql://u:secret@h/d",
    ):
        with pytest.raises(DatabaseUnsuitable, match="postgresql\\+psycopg://user@host") as refused:
            open_engine(url)
        assert "secret" not in str(refused.value)
        assert "cret" not in str(refused.value)
