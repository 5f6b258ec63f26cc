"""Tests of what the tables themselves refuse."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, insert
from sqlalchemy.exc import IntegrityError

from gateway.database import writing
from gateway.registry.tables import ConfigurationDocument, Revision

STATE = {"kind": "agreement", "key": "DSA-2026-0001", "digest": "", "content": "{}"}


def test_one_state_of_a_document_is_present_at_a_time(registry_engine: Engine) -> None:
    """The database refuses a second present state, and takes it once the first has ended."""
    with writing(registry_engine) as connection:
        connection.execute(insert(Revision).values(number=1, changed_at_us=0, changed_by="test"))
        connection.execute(insert(ConfigurationDocument).values(since=1, until=1, **STATE))
        connection.execute(insert(ConfigurationDocument).values(since=1, **STATE))

    with pytest.raises(IntegrityError), writing(registry_engine) as connection:
        connection.execute(insert(ConfigurationDocument).values(since=1, **STATE))


def test_a_state_belongs_to_a_revision(registry_engine: Engine) -> None:
    """A document cannot be present since a revision that never was."""
    with pytest.raises(IntegrityError), writing(registry_engine) as connection:
        connection.execute(insert(ConfigurationDocument).values(since=7, **STATE))
