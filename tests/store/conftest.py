"""A place for a store, of each kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a new store can be opened."""
    if request.param == "sqlite":
        return tmp_path / "data"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url()
