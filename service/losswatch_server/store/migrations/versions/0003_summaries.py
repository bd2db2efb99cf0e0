"""Summaries of the records, so that neither a look-up nor a chart reads a run from end to end.

The tables begin empty: the summaries of runs that are there already are made in the background, or when one is
needed for the first time (see sealing and summary_tree).
"""

import sqlalchemy as sa
from alembic import op

from losswatch_server.store.migrations.columns import TEXT

revision = "0003"
down_revision = "0002"


def _key() -> tuple[sa.Column[str], sa.Column[str]]:
    return sa.Column("project", TEXT, nullable=False), sa.Column("uid", TEXT, nullable=False)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "summary",
        *_key(),
        sa.Column("level", sa.SmallInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("past", sa.BigInteger, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("kinds", sa.Integer, nullable=False),
        sa.Column("zones", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("project", "uid", "level", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(  # the last step of every other rank, as the summarised entries have it
        "rank_tail",
        *_key(),
        sa.Column("rank", sa.BigInteger, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", "uid", "rank"),
        sqlite_with_rowid=False,
    )
    op.create_table(  # the columns of a table of the run, as far as the summarised entries have values in them
        "series_name",
        *_key(),
        sa.Column("name", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("project", "uid", "name"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop the tables; the record has all that they say."""
    for table in ("series_name", "rank_tail", "summary"):
        op.drop_table(table)
