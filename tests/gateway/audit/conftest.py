"""The store in which a test's log is: both, for what both promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit.place import PostgresLog
from tests.gateway.audit.records import (
    STORES,
    forget_shards,
    place_in,
    provisioned,
    use_postgres,
)  # fmt: skip
from tests.postgres import new_database


@pytest.fixture(scope="session")
def shared_database(postgres_server: str) -> Iterator[str]:
    """Give the URL of a database that tests use one after the other."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture(params=STORES)
def store_of_test(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Have the log in `tmp_path` in each of the stores; see `records.each_store`."""
    store: str = request.param
    if store == "sqlite":
        yield store
        return
    use_postgres(tmp_path, request.getfixturevalue("shared_database"))
    yield store
    forget_shards(tmp_path)


@pytest.fixture
def empty_place(tmp_path: Path, shared_database: str) -> Iterator[PostgresLog]:
    """Give a place in PostgreSQL for the log of `tmp_path`, where nothing is yet."""
    use_postgres(tmp_path, shared_database)
    place = place_in(tmp_path)
    assert isinstance(place, PostgresLog)
    yield place
    forget_shards(tmp_path)


@pytest.fixture
def place(tmp_path: Path, empty_place: PostgresLog) -> PostgresLog:
    """Return the place of a log in PostgreSQL, in `tmp_path`, that holds its first record."""
    provisioned(tmp_path)
    return empty_place
