"""Runs, their record, snapshots, findings and events.

Every key starts with the project, then the run's uid, so that the tables can be distributed by project.
"""

import sqlalchemy as sa
from alembic import op

from losswatch_server.store.migrations.columns import TEXT, only_where

revision = "0001"
down_revision = None


def _key() -> tuple[sa.Column[str], sa.Column[str]]:
    return sa.Column("project", TEXT, nullable=False), sa.Column("uid", TEXT, nullable=False)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "run",
        *_key(),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("step", sa.BigInteger),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("detection_version", sa.Integer, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("headline", TEXT, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("last_seen_at", sa.Double, nullable=False),
        sa.Column("finished_at", sa.Double),
        sa.Column("paused_until", sa.Double),
        sa.Column("next_seq", sa.BigInteger, nullable=False),
        sa.Column("unsealed", sa.Integer, nullable=False),
        sa.Column("alert_after", sa.Double),
        sa.Column("rhythm", sa.LargeBinary, nullable=False),
        sa.Column("context", TEXT, nullable=False),
        sa.Column("report", sa.LargeBinary),
        sa.PrimaryKeyConstraint("project", "uid"),
    )
    op.create_index("run_newest", "run", ["project", "created_at", "uid"])
    op.create_index("run_alert_after", "run", ["alert_after"], **only_where("alert_after IS NOT NULL"))
    op.create_table(
        "run_name",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("project", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(  # the writers of deleted runs: what they still send must not create a ghost
        "gone_writer",
        *_key(),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("writer", TEXT, nullable=False),
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
        sa.Column("writer", TEXT, nullable=False),
        sa.Column("attempt", sa.Integer),
        sa.Column("ordinal", sa.Integer),
        sa.Column("rival", TEXT),
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
        sa.Column("writer", TEXT),
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
        sa.Column("id", TEXT, nullable=False),
        sa.Column("condition", TEXT, nullable=False),
        sa.Column("severity", TEXT, nullable=False),
        sa.Column("opened_step", sa.BigInteger, nullable=False),
        sa.Column("closed_by", TEXT),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.Column("closed_at", sa.Double),
        sa.Column("acknowledged_at", sa.Double),
        sa.Column("muted_until", sa.Double),
        sa.Column("body", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("project", "uid", "id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        *_key(),
        sa.Column("run", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("finding_id", TEXT),
        sa.Column("body", sa.LargeBinary, nullable=False),
        # SQLite gives its numbers by itself, for which they must be the whole key.
        sa.PrimaryKeyConstraint(*(("id",) if op.get_bind().dialect.name == "sqlite" else ("project", "id"))),
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
