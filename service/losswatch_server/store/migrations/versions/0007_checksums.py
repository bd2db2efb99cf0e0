"""From here on rows of the record and summaries carry checksums, which older versions would take for damage.

Nothing is changed: what is there already is read as it is.
"""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Mark the database, so that older versions leave it alone."""


def downgrade() -> None:
    """There is no way back: older versions cannot read what was written since."""
    raise NotImplementedError("a database with checksums cannot be read by older versions")
