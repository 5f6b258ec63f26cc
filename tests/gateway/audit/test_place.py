"""Where shards are, and that no password shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.place import PostgresHome, PostgresLog, directory_of, place_of

URL = "postgresql://gateway:secret@db.example/audit"


def test_a_shard_is_a_file_or_a_schema() -> None:
    """The last part of an origin names both; the files of this host are beside it."""
    file = place_of(Path("/home/audit"), "2026")
    schema = place_of(PostgresHome(URL, Path("/home/audit")), "2026-2")

    assert file == Path("/home/audit/audit-2026.db")
    assert schema == PostgresLog(URL, "audit_2026-2", Path("/home/audit"))
    assert directory_of(file) == directory_of(schema) == Path("/home/audit")


@pytest.mark.parametrize("name", ["", "../up", 'a"b', "-2026", "2026/x"])
def test_what_is_no_name_names_no_shard(name: str) -> None:
    """Neither a path nor SQL can be made of it."""
    with pytest.raises(ValueError, match="no name"):
        place_of(PostgresHome(URL, Path("/home")), name)


def test_no_password_is_shown() -> None:
    """A place may stand in an error or a log."""
    home = PostgresHome(URL, Path("/home"))
    assert "secret" not in f"{home!r} {place_of(home, '2026')!r}"
