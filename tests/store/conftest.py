"""A place for a store, of each kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from citus import missing_citus

if TYPE_CHECKING:
    from citus import CitusCluster
    from postgres import PostgresServer

KINDS = ["sqlite", "postgresql", *([] if missing_citus() else ["citus"])]


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a new store can be opened."""
    if request.param == "sqlite":
        return tmp_path / "data"
    server: PostgresServer | CitusCluster
    server = request.getfixturevalue("citus" if request.param == "citus" else "postgres")
    return server.url()
