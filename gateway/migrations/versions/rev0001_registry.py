"""The first schema: revisions, configuration documents, stops and secrets."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None


def upgrade() -> None:
    """Make the tables of an empty registry."""
    op.create_table(
        "revision",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("changed_at_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_revision"),
    )
    op.create_table(
        "configuration_document",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.Column("until", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_configuration_document"),
        sa.ForeignKeyConstraint(
            ["since"], ["revision.number"], name="fk_configuration_document_since"
        ),
        sa.ForeignKeyConstraint(
            ["until"], ["revision.number"], name="fk_configuration_document_until"
        ),
    )
    op.create_index(
        "ix_configuration_document_present",
        "configuration_document",
        ["kind", "key"],
        unique=True,
        sqlite_where=sa.text("until IS NULL"),
        postgresql_where=sa.text("until IS NULL"),
    )
    op.create_table(
        "stop",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("stopped_by", sa.String(), nullable=False),
        sa.Column("stopped_at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name="pk_stop"),
    )
    op.create_table(
        "secret",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("made_at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_secret"),
    )


def downgrade() -> None:
    """Remove the tables, and all that the registry knows."""
    for table in ("secret", "stop", "configuration_document", "revision"):
        op.drop_table(table)
