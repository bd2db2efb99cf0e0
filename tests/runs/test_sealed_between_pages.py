"""Whoever reads a record a page at a time reads the same where its rows are sealed between any two of the pages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from house import House
from losswatch_server.monitor.entries import WITHOUT_POINT
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.snapshot import freeze
from losswatch_server.monitor.vocabulary import Condition
from losswatch_server.runs import explaining, series, siblings
from losswatch_server.runs.fold import refold
from losswatch_server.runs.lookup import said_at
from losswatch_server.runs.record import standing
from losswatch_server.runs.thinning import thin
from losswatch_server.runs.walk import walk
from losswatch_server.store import changes
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.rows import RecordRow, StoredRun
from losswatch_server.store.sealing import seal
from losswatch_server.workers import Elsewhere

if TYPE_CHECKING:
    from postgres import PostgresServer

POINTS = 2400
PER_REQUEST = 20
PER_PAGE = 90
"""No multiple of what a request brings, so that a page ends within what is sealed next."""


class SealedBetween:
    """A store of which each read is one small page; then the rows around its end, two requests on each side, become
    one block, and what is settled is summed up."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._far = 0
        self.reads = self.sealed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def record_page(self, project: str, uid: str, first_seq: int, max_points: int) -> list[RecordRow]:
        rows = await self._store.record_page(project, uid, first_seq, min(max_points, PER_PAGE))
        return await self._then_sealed(rows, (project, uid))

    async def standing_page(
        self, project: str, uid: str, cuts: Any, first_seq: int, max_points: int
    ) -> list[RecordRow]:
        rows = await self._store.standing_page(project, uid, cuts, first_seq, min(max_points, PER_PAGE))
        return await self._then_sealed(rows, (project, uid))

    async def record_at(
        self, project: str, uid: str, steps: Sequence[int], first_seq: int, max_points: int
    ) -> list[RecordRow]:
        rows = await self._store.record_at(project, uid, steps, first_seq, min(max_points, PER_PAGE))
        return await self._then_sealed(rows, (project, uid))

    async def next_window(self, project: str, uid: str, sources: Any, low: int, high: int, points: int) -> Any:
        window = await self._store.next_window(project, uid, sources, low, high, min(points, PER_PAGE))
        self._far += PER_PAGE
        await self._seal(self._far, (project, uid))
        return window

    async def last_main_step(self, project: str, uid: str, before: int) -> int | None:
        step: int | None = await self._store.last_main_step(project, uid, before)
        await self._seal(before, (project, uid))
        return step

    async def _then_sealed(self, rows: list[RecordRow], key: tuple[str, str]) -> list[RecordRow]:
        if rows:
            await self._seal(rows[-1].seq + rows[-1].n, key)
        return rows

    async def _seal(self, around: int, key: tuple[str, str]) -> None:
        self.reads += 1
        reach = 2 * PER_REQUEST
        stretch: list[RecordRow] = []
        for row in await self._store.record_page(*key, max(0, around - reach), 2 * reach):
            if row.kind not in WITHOUT_POINT:
                stretch.append(row)
            elif row.seq < around:
                stretch = []
            else:
                break
        if len(stretch) > 1:
            swap = partial(changes.swap_sealed, project=key[0], uid=key[1], old=stretch, new=seal(stretch))
            self.sealed += await self._store.write(swap)
        await self._store.summarise(*key)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """With the run ``run``: contexts, two attempts, other ranks, merged and late fields, NaN, a spike, a silence; and
    its sibling ``other``."""
    place: Path | str = tmp_path_factory.mktemp("pages") / "data"
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        place = server.url()
    house = House(place)
    for name in ("other", "run"):
        _post(house, name)
    yield house
    house.close()


def _post(house: House, name: str) -> None:
    noise = np.random.default_rng(5).normal(size=POINTS).tolist()

    def loss(step: int) -> float:
        level = 2 * math.exp(-step / 400) + 0.3
        return math.nan if step == 700 else 9.0 if 2000 <= step < 2003 else level * math.exp(0.02 * noise[step])

    def post(low: int, high: int, writer: str) -> None:
        for start in range(low, high, PER_REQUEST):
            house.now += 30 + start % 7
            steps = range(start, start + PER_REQUEST)
            points = [Point(s, loss=loss(s), grad_norm=1 + abs(noise[s]), learning_rate=0.1) for s in steps]
            points += [Point(s, loss=loss(s) + 0.1, rank=1) for s in steps if s % 10 == 0]
            house.record(points, Context(learning_rate=0.1, group="sweep", warmup_steps=start // 1000), writer, name)
            if start % 100 == 0:
                house.record([Point(steps[-1], validation_loss=0.5 + 0.01 * noise[start])], writer=writer, name=name)
                house.record([Point(steps[5], validation_loss=0.6)], writer=writer, name=name)

    post(0, 1200, "first")
    post(1000, POINTS, "second")
    row = house.do(house.runs.get("default", name))
    house.now += 50_000
    assert house.do(house.runs.mark_silent("default", row.uid, house.now, row.last_seen_at))
    assert house.sql("SELECT count(*) FROM record WHERE kind = 7") == [(0,)], "nothing is sealed yet"


@pytest.fixture
def untouched(house: House) -> Iterator[House]:
    """The house, with its records put back after the test as they were before it."""
    tables = ("record", "summary", "rank_tail", "series_name")
    kept = {table: house.sql(f"SELECT * FROM {table}") for table in tables}

    def put_back(connection: DatabaseConnection) -> None:
        for table, rows in kept.items():
            connection.execute(f"DELETE FROM {table}")
            if rows:
                connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)

    yield house
    house.do(house.store.write(put_back))


async def _explained(condition: Condition, store: Any, run: StoredRun) -> Any:
    stored = await store.findings(run.row.project, run.row.uid)
    finding = next(one.finding for one in stored if one.finding.condition is condition)
    return await explaining.explain(store, run, finding, Elsewhere(None, 1))


async def _refolded(store: Any, run: StoredRun) -> Any:
    folded = await refold(store, run.row.project, run.row.uid, run.attempts, (), elsewhere=Elsewhere(None, 1))
    return freeze(folded.monitor), folded.last, folded.highest_step, folded.since, folded.changes, folded.damage


async def _thinned(store: Any, run: StoredRun) -> Any:
    stored = await store.findings(run.row.project, run.row.uid)
    return await thin(store, run, [one.finding for one in stored], 100, 0.0)


async def _said(store: Any, run: StoredRun) -> Any:
    wanted = [(step, rank) for step in range(0, POINTS, 7) for rank in (0, 1)]
    return await said_at(store, run.row, wanted, standing(run.attempts))


async def _walked(store: Any, run: StoredRun) -> Any:
    return [stored async for some in walk(store, run) for stored in some]


async def _drawn(store: Any, run: StoredRun) -> Any:
    return await series.picture(store, run, 200)


READERS = {
    "a spike explained": partial(_explained, Condition.LOSS_SPIKE),
    "a silence explained": partial(_explained, Condition.SILENT),
    "refolded": _refolded,
    "thinned": _thinned,
    "looked up": _said,
    "walked": _walked,
    "drawn": _drawn,
    "among its siblings": siblings.stand,
}


@pytest.mark.slow
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_record_that_is_sealed_between_two_pages_is_read_as_it_is(untouched: House, read: Any) -> None:
    _read_undisturbed_and_disturbed(untouched, read)


@pytest.mark.slow
@pytest.mark.parametrize("condition", [Condition.LOSS_SPIKE, Condition.SILENT])
def test_so_is_a_stretch_of_it_that_begins_and_ends_within_blocks(
    untouched: House, condition: Condition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "FROM_SNAPSHOT", 0)
    monkeypatch.setattr(explaining, "PAGE", 10)
    monkeypatch.setattr(explaining, "MOST_AFTER", 101)
    monkeypatch.setattr(explaining, "BEFORE_SILENCE", 707)
    _read_undisturbed_and_disturbed(untouched, partial(_explained, condition))


def _read_undisturbed_and_disturbed(house: House, read: Any) -> None:
    run = house.do(house.store.find_run("default", "run"))
    assert run is not None
    undisturbed = house.do(read(house.store, run))
    store = SealedBetween(house.store)
    assert repr(house.do(read(store, run))) == repr(undisturbed)
    assert store.reads > 1
    assert store.sealed > 1
