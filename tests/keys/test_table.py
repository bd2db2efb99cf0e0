"""Keys as rows: a damaged one opens nothing, and costs no other key anything."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from losswatch_server.keys import KeyRing, Scope
from losswatch_server.keys.table import StoredKeys, create, keys, revoke
from losswatch_server.store import SqliteStore

COLUMNS = [
    "id", "project", "digest", "scopes", "name", "created_at", "expires_at", "revoked_at", "last_used_at",
    "requests_per_minute", "points_per_minute",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", ["", "abc", "\ufffd", b"\xff\x00", -1.0, math.inf])
def test_a_damaged_key_opens_nothing_and_the_others_stay(tmp_path: Path, column: str, value: Any) -> None:
    store = SqliteStore.open(tmp_path)
    try:

        def made(connection: sqlite3.Connection) -> tuple[str, str]:
            damaged, well = (create(connection, "p", Scope, now=1_800_000_000.0) for _ in range(2))
            revoke(connection, damaged.id, 1_800_000_001.0)
            connection.execute(f"UPDATE api_key SET {column} = ? WHERE id = ?", (value, damaged.id))
            return damaged.text, well.id

        token, well = asyncio.run(store.write(made))
        found = {key.id: key for key in asyncio.run(store.read(keys))}
        assert well in found
        assert found[well].scopes == frozenset(Scope)
        assert {key.state(1_800_000_002.0) for key in found.values() if key.id != well} == {"revoked"}
        ring = KeyRing(StoredKeys(store))
        asyncio.run(store.write(lambda connection: connection.execute("DELETE FROM api_key WHERE id = ?", (well,))))
        asyncio.run(ring.reload())
        assert ring.is_on, "a service none of whose keys can be read is closed"
        assert ring.find(token) is None
    finally:
        store.close()
