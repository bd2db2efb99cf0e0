"""How many points a project and its keys sent on a day, counted over all services; what a key may send on one."""

import sqlalchemy as sa
from alembic import op

from losswatch_server.store.migrations.columns import TEXT

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the table and the column; older programs count nothing and hold nobody to it."""
    op.create_table(
        "points_of_day",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("caller", TEXT, nullable=False),
        sa.Column("day", sa.BigInteger, nullable=False),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", "caller", "day"),
    )
    op.add_column("api_key", sa.Column("points_per_day", sa.BigInteger))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("api_key", "points_per_day")
    op.drop_table("points_of_day")
