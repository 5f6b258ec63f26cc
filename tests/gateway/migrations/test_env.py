"""Tests of the migrations: they end where the tables are, and lead back to nothing."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect

import gateway.migrations
from gateway.database import open_engine, reading, upgrade, writing
from gateway.registry.tables import Base


def test_the_migrated_schema_is_the_tables(tmp_path: Path) -> None:
    """Alembic finds no difference between the newest schema and the tables' definition."""
    engine = open_engine(f"sqlite+pysqlite:///{tmp_path / 'registry.db'}")
    upgrade(engine)

    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_every_step_can_be_taken_back(tmp_path: Path) -> None:
    """Going down from the newest schema leaves an empty database, and up again works."""
    engine = open_engine(f"sqlite+pysqlite:///{tmp_path / 'registry.db'}")
    upgrade(engine)
    config = Config()
    config.set_main_option("script_location", str(Path(gateway.migrations.__file__).parent))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")

    assert inspect(engine).get_table_names() == ["alembic_version"]
    upgrade(engine)
    assert set(Base.metadata.tables) < set(inspect(engine).get_table_names())
