"""Runs, their record, snapshots, findings and events.

Every key starts with the project, then the run's uid, so that the tables can be distributed by project.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _key() -> tuple[sa.Column[str], sa.Column[str]]:
    return sa.Column("project", sa.Text, nullable=False), sa.Column("uid", sa.Text, nullable=False)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "run",
        *_key(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("step", sa.BigInteger),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("detection_version", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("headline", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("last_seen_at", sa.Double, nullable=False),
        sa.Column("finished_at", sa.Double),
        sa.Column("paused_until", sa.Double),
        sa.Column("next_seq", sa.BigInteger, nullable=False),
        sa.Column("unsealed", sa.Integer, nullable=False),
        sa.Column("alert_after", sa.Double),
        sa.Column("rhythm", sa.LargeBinary, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
        sa.Column("report", sa.LargeBinary),
        sa.PrimaryKeyConstraint("project", "uid"),
    )
    op.create_index("run_newest", "run", ["project", "created_at", "uid"])
    op.create_index("run_alert_after", "run", ["alert_after"], sqlite_where=sa.text("alert_after IS NOT NULL"))
    op.create_table(
        "run_name",
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("uid", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("project", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(  # the writers of deleted runs: what they still send must not create a ghost
        "gone_writer",
        *_key(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("writer", sa.Text, nullable=False),
        sa.Column("gone_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("project", "name", "writer"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "attempt",
        *_key(),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", "uid", "number"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "writer",
        *_key(),
        sa.Column("writer", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer),
        sa.Column("ordinal", sa.Integer),
        sa.Column("rival", sa.Text),
        sa.PrimaryKeyConstraint("project", "uid", "writer"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "record",
        *_key(),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("writer", sa.Text),
        sa.Column("received_ms", sa.BigInteger, nullable=False),
        sa.Column("first_step", sa.BigInteger, nullable=False),
        sa.Column("last_step", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("project", "uid", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "snapshot",
        *_key(),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("detection_version", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("project", "uid", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "finding",
        *_key(),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("condition", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("opened_step", sa.BigInteger, nullable=False),
        sa.Column("closed_by", sa.Text),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.Column("closed_at", sa.Double),
        sa.Column("acknowledged_at", sa.Double),
        sa.Column("muted_until", sa.Double),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("project", "uid", "id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "event",
        sa.Column("id", sa.Integer, primary_key=True),
        *_key(),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("finding_id", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("event_of_project", "event", ["project", "id"])
    op.create_index("event_of_run", "event", ["project", "uid", "id"])


def downgrade() -> None:
    """Drop the tables, and with them everything."""
    for table in (
        "event", "finding", "snapshot", "record", "writer", "attempt", "gone_writer", "run_name", "run",
    ):  # fmt: skip
        op.drop_table(table)
