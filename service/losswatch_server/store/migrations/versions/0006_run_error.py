"""What a client says of the failure that ended its run."""

import sqlalchemy as sa
from alembic import op

from losswatch_server.store.migrations.columns import TEXT

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column."""
    op.add_column("run", sa.Column("error", TEXT))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("run", "error")
