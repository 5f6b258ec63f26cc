"""Runs migrations on the connection that `gateway.database.upgrade` hands over."""

from __future__ import annotations

from alembic import context

from gateway.registry.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
context.run_migrations()
