"""What a sealed point costs on the disk, in a file that SQLite wrote: the figure that the documentation states."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from losswatch_server.monitor.entries import Entry, EntryKind
from losswatch_server.monitor.points import Point
from losswatch_server.runs.record import write
from losswatch_server.store import SqliteStore
from losswatch_server.store.changes import RECORD

POINTS = 30_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("per_request", "as_float32", "at_most"),
    [
        pytest.param(1, False, 16.0, id="one point a request"),
        pytest.param(100, False, 15.0, id="100 points a request"),
        pytest.param(1, True, 11.0, id="one point a request, values that were float32"),
    ],
)
def test_a_sealed_point_of_loss_and_gradient_norm_costs_at_most(
    tmp_path: Path, per_request: int, as_float32: bool, at_most: float
) -> None:
    random = np.random.default_rng(20261121)
    loss = 2 * np.exp(-np.arange(POINTS) / 20_000) * (1 + 0.05 * random.standard_normal(POINTS))
    norm = np.exp(0.3 * random.standard_normal(POINTS))
    if as_float32:
        loss, norm = loss.astype(np.float32).astype(float), norm.astype(np.float32).astype(float)
    received = 1_800_000_000_000 + np.cumsum(100 + 5 * random.standard_normal(POINTS)).astype(int)
    points = [
        Point(step, loss=a, grad_norm=b) for step, (a, b) in enumerate(zip(loss.tolist(), norm.tolist(), strict=True))
    ]
    rows = []
    for start in range(0, POINTS, per_request):
        entries = [
            Entry(seq, EntryKind.POINTS, 1, points[seq]) for seq in range(start, min(start + per_request, POINTS))
        ]
        rows += write(entries, "0123456789abcdef", int(received[start]))

    store = SqliteStore.open(tmp_path)
    empty = _used(store.path)
    key = ("default", "0123456789ab0123456789ab")

    async def fill() -> None:
        for start in range(0, len(rows), 1200):
            some = [(*key, *row) for row in rows[start : start + 1200]]
            await store.write(lambda connection, some=some: connection.executemany(RECORD, some))
            await store.seal(*key)

    async def read() -> int:
        return sum(row.n for row in await store.record_page(*key, 0, POINTS))

    try:
        asyncio.run(fill())
        assert asyncio.run(read()) == POINTS
    finally:
        store.close()
    each = (_used(store.path) - empty) / POINTS
    print(f"\n{each:.2f} bytes a point, {per_request} a request, float32 {as_float32}")  # noqa: T201
    assert each <= at_most


def _used(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        (pages,), (free,) = (
            connection.execute("PRAGMA page_count").fetchone(),
            connection.execute("PRAGMA freelist_count").fetchone(),
        )
    finally:
        connection.close()
    return int(pages - free) * 4096
