"""Types and options that are said differently by the databases, for the migrations."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that is compared byte by byte, as SQLite does: a language's order would give lists another order."""


def only_where(condition: str) -> dict[str, Any]:
    """The options of an index of some rows only."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
