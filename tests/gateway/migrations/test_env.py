"""Tests of the migrations: they end where the tables are, and lead back to nothing."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

import gateway.migrations
from gateway.database import reading, upgrade, writing
from gateway.registry.tables import Base


def test_the_migrated_schema_is_the_tables(registry_engine: Engine) -> None:
    """Alembic finds no difference between the newest schema and the tables' definition."""

    with reading(registry_engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_every_step_can_be_taken_back(registry_engine: Engine) -> None:
    """Going down from the newest schema leaves an empty database, and up again works."""
    config = Config()
    config.set_main_option("script_location", str(Path(gateway.migrations.__file__).parent))
    with writing(registry_engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")

    assert inspect(registry_engine).get_table_names() == ["alembic_version"]
    upgrade(registry_engine)
    assert set(Base.metadata.tables) < set(inspect(registry_engine).get_table_names())
