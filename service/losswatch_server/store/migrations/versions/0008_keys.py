"""API keys. What is stored of a key's secret is its digest."""

import sqlalchemy as sa
from alembic import op

from losswatch_server.store.migrations.columns import TEXT

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "api_key",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("scopes", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("revoked_at", sa.Float),
        sa.Column("last_used_at", sa.Float),
        sa.PrimaryKeyConstraint("project", "id"),
    )


def downgrade() -> None:
    """Drop it: the service then asks nobody for a key."""
    op.drop_table("api_key")
