"""Indexes by which what is forgotten is found: without them each pass over finished deliveries reads all of them."""

from alembic import op

from losswatch_server.store.migrations.columns import only_where

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the indexes."""
    op.create_index("delivery_finished", "delivery", ["finished_at"], **only_where("finished_at IS NOT NULL"))
    op.create_index("gone_writer_gone_at", "gone_writer", ["gone_at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("gone_writer_gone_at", "gone_writer")
    op.drop_index("delivery_finished", "delivery")
