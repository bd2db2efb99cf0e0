"""How long a project keeps what, where that differs from the service's own setting; and which runs were thinned."""

import sqlalchemy as sa
from alembic import op

from losswatch_server.store.migrations.columns import TEXT

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "retention",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("thin_after_days", sa.Double),
        sa.Column("thin_to_points", sa.BigInteger, nullable=False),
        sa.Column("delete_after_days", sa.Double),
        sa.Column("max_mib", sa.Double),
        sa.PrimaryKeyConstraint("project"),
    )
    op.create_table(
        "thinned",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("entries", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", "uid"),
    )


def downgrade() -> None:
    """Drop them: everything is kept from then on."""
    op.drop_table("thinned")
    op.drop_table("retention")
