"""Tests of what the tables themselves refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from gateway.database import open_engine, upgrade, writing
from gateway.registry.tables import ConfigurationDocument, Revision

STATE = {"kind": "agreement", "key": "DSA-2026-0001", "digest": "", "content": "{}"}


def test_one_state_of_a_document_is_present_at_a_time(tmp_path: Path) -> None:
    """The database refuses a second present state, and takes it once the first has ended."""
    engine = open_engine(f"sqlite+pysqlite:///{tmp_path / 'registry.db'}")
    upgrade(engine)
    with writing(engine) as connection:
        connection.execute(insert(Revision).values(number=1, changed_at_us=0, changed_by="test"))
        connection.execute(insert(ConfigurationDocument).values(since=1, until=1, **STATE))
        connection.execute(insert(ConfigurationDocument).values(since=1, **STATE))

    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(insert(ConfigurationDocument).values(since=1, **STATE))


def test_a_state_belongs_to_a_revision(tmp_path: Path) -> None:
    """A document cannot be present since a revision that never was."""
    engine = open_engine(f"sqlite+pysqlite:///{tmp_path / 'registry.db'}")
    upgrade(engine)

    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(insert(ConfigurationDocument).values(since=7, **STATE))
