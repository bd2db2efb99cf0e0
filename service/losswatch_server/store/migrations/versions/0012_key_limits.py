"""What one key may send in a minute, where that differs from the service's own setting."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

COLUMNS = ("requests_per_minute", "points_per_minute")


def upgrade() -> None:
    """Add the columns; older programs hold every key to the service's setting."""
    for column in COLUMNS:
        op.add_column("api_key", sa.Column(column, sa.BigInteger))


def downgrade() -> None:
    """Drop them."""
    for column in COLUMNS:
        op.drop_column("api_key", column)
