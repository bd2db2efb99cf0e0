"""Targets, silences, what they were told, and the deliveries.

Every key starts with the project. ``alert_cursor`` alone is one row for the database: how far the outbox was read,
and the revision by which several workers take turns.
"""

import sqlalchemy as sa
from alembic import op

from losswatch_server.store.migrations.columns import TEXT, only_where

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "target",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("secret", TEXT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("failing_since", sa.Double),
        sa.Column("disabled_reason", TEXT),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("project", "id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "silence",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("starts_at", sa.Double, nullable=False),
        sa.Column("ends_at", sa.Double, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("project", "id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "concern",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("sweep", TEXT, nullable=False),
        sa.Column("story", TEXT, nullable=False),
        sa.Column("closed_at", sa.Double),
        sa.Column("body", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("project", "uid", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("concern_of_group", "concern", ["project", "sweep", "story"])
    op.create_index("concern_closed", "concern", ["closed_at"], **only_where("closed_at IS NOT NULL"))
    op.create_table(
        "target_group",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("target", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("due_at", sa.Double),
        sa.Column("body", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("project", "target", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("target_group_due", "target_group", ["due_at"], **only_where("due_at IS NOT NULL"))
    op.create_table(
        "delivery",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("target", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("lane", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("claim", TEXT),
        sa.Column("claimed_until", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("status", sa.Integer),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("attempts", TEXT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("project", "id"),
    )
    op.create_index("delivery_of_target", "delivery", ["project", "target", "number"], unique=True)
    op.create_index("delivery_waiting", "delivery", ["next_at"], **only_where("state IN ('pending', 'sending')"))
    op.create_table(
        "alert_cursor",
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("event_id", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_index("run_running", "run", ["project", "uid"], **only_where("state = 'running'"))
    op.execute("INSERT INTO alert_cursor SELECT 'dispatch', coalesce(max(id), 0), 0 FROM event")


def downgrade() -> None:
    """Drop the tables, and with them every target."""
    op.drop_index("run_running", "run")
    for table in ("alert_cursor", "delivery", "target_group", "concern", "silence", "target"):
        op.drop_table(table)
