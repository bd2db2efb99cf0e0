"""What several services on one database need: a revision of each run, and on PostgreSQL events that are numbered in
the order in which they are committed, and leases for work that one service at a time does.
"""

import sqlalchemy as sa
from alembic import op

from losswatch_server.store.migrations.columns import TEXT

revision = "0009"
down_revision = "0008"

_COMPRESSED = ("record", "snapshot", "summary")


def upgrade() -> None:
    """Add the column, and on PostgreSQL the tables."""
    op.add_column("run", sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"))
    if op.get_bind().dialect.name != "postgresql":
        return  # one service at a time has the file
    op.create_table(
        "event_number",
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO event_number SELECT 'event', coalesce(max(id), 0) FROM event")
    op.create_table(
        "lease",
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
    )
    op.create_index("event_by_id", "event", ["id"])  # for those who follow all projects
    for table in _COMPRESSED:  # already: PostgreSQL need not try
        op.execute(f"ALTER TABLE {table} ALTER COLUMN body SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE run SET (fillfactor = 50)")  # room beside each row for what every post makes of it


def downgrade() -> None:
    """Drop them."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("event_by_id", "event")
        op.drop_table("lease")
        op.drop_table("event_number")
    op.drop_column("run", "revision")
