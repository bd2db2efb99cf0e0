"""Indexes for the findings of all runs of a project, newest first: every one, and those that are open."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_PLACE = ["project", "opened_at", "uid", "id"]


def upgrade() -> None:
    """Create the indexes."""
    op.create_index("finding_by_time", "finding", _PLACE)
    is_open = sa.text("closed_by IS NULL")
    op.create_index("open_finding_by_time", "finding", _PLACE, sqlite_where=is_open, postgresql_where=is_open)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("open_finding_by_time", "finding")
    op.drop_index("finding_by_time", "finding")
