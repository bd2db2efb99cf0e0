"""The oldest schema whose programs can work with this database: they may start on it, also after an upgrade.

A migration that takes something away from older programs raises it, and no other does (see CONTRIBUTING.md).
"""

import sqlalchemy as sa
from alembic import op

from losswatch_server.store.migrations.columns import TEXT

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the table, of one row."""
    op.create_table(
        "works_with",
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("oldest", TEXT, nullable=False),
    )
    op.execute("INSERT INTO works_with (name, oldest) VALUES ('schema', '0011')")


def downgrade() -> None:
    """Drop it: only this very version starts on the database then."""
    op.drop_table("works_with")
