"""What a client says of the failure that ended its run."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column."""
    op.add_column("run", sa.Column("error", sa.Text))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("run", "error")
