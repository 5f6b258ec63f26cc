"""URLs of PostgreSQL: read in one way, or refused."""

from __future__ import annotations

from gateway.postgres_url import is_postgres_url


def test_a_url_that_reads_in_two_ways_is_refused() -> None:
    """An `@`, `/` or `?` of a password is written as %XX."""
    assert is_postgres_url("postgresql://gw:p%40%2F%3F@db:5432/audit")
    for password in ("p@p", "5432/p", "p?p", "p#p", "p[p", "p%zz"):
        assert not is_postgres_url(f"postgresql://gw:{password}@db/audit")
