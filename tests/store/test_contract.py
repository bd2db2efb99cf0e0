"""What every store promises, asked of both: what is kept comes back, and a group of writes keeps each apart."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from house import House
from losswatch_server.codec.explanations import explanation_json
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs import RunGoneError
from losswatch_server.store import (
    RunMovedError,
    SchemaTooNewError,
    StoreBusyError,
    StoreClosedError,
    StoreConflictError,
    changes,
    places,
    schema,
)
from losswatch_server.store.rows import Change, FindingFilter, RunFilter, RunOrder
from losswatch_server.store.sql_store import SqlStore

Place = Path | str


@pytest.fixture
def store(place: Place) -> Iterator[SqlStore]:
    store = places.open_store(place)
    yield store
    store.close()


def put(name: str) -> Callable[[Any], int]:
    return lambda connection: (
        connection.execute("INSERT INTO run_name (project, name, uid) VALUES ('p', ?, 'u')", (name,)).rowcount
    )


async def names(store: SqlStore) -> list[str]:
    found = await store.read(
        lambda connection: connection.execute("SELECT name FROM run_name ORDER BY name").fetchall()
    )
    return [name for (name,) in found]


@pytest.mark.slow
def test_a_story_is_told_the_same_by_both_stores(tmp_path: Path, postgres: Any) -> None:
    told = [_story(tmp_path / "data"), _story(postgres.url())]
    for (what, by_sqlite), (_, by_postgres) in zip(*told, strict=True):
        assert by_postgres == by_sqlite, what


@pytest.mark.slow
def test_a_story_is_told_the_same_where_tables_are_spread_over_nodes(tmp_path: Path, citus: Any) -> None:
    told = [_story(tmp_path / "data"), _story(citus.url())]
    for (what, by_sqlite), (_, by_citus) in zip(*told, strict=True):
        assert by_citus == by_sqlite, what


def _story(place: Place) -> list[tuple[str, Any]]:
    """Everything that can be asked of runs of many kinds, before and after they are sealed and opened anew."""
    house = House(place)
    try:
        _happens(house)
        before = _listed(house)
        for name in ("long", "odd", "Été 100%_a"):
            house.do(house.store.seal("default", house.do(house.runs.get("default", name)).uid))
        house.restart()
        return [*before, *_listed(house), *_told(house)]
    finally:
        house.close()


def _happens(house: House) -> None:
    runs = house.runs
    house.record(
        [
            Point(0, loss=0.1 + 0.2, layers={"a": 5e-324, "b": math.nan}, metrics={"acc": math.inf}),
            Point(1, loss_is_null=True, grad_norm=-0.0),
            Point(2, loss=-math.inf, metrics={"Straße \U0001f600": 1.5}),
            Point(2**53 - 1, loss=1e308, rank=0),
        ],
        Context(
            group="Gruppe 'ä'", tags={"team": "a", "quote": 'it\'s "so" \\'}, expected_gap_s=12.5, learning_rate=0.1
        ),
        name="odd",
    )
    for start in range(0, 4000, 500):
        house.now += 5.0
        points = [Point(s, loss=3 * 0.999**s + 0.01 * math.sin(s), grad_norm=1.0) for s in range(start, start + 500)]
        house.record(points, name="long", writer="first")
    house.record([Point(s, validation_loss=1.0 + s / 1000) for s in range(0, 4000, 250)], name="long", writer="first")
    house.record([Point(s, loss=2.0, rank=3) for s in range(100, 900, 10)], name="long", writer="rank 3")
    house.record([Point(s, loss=0.5 * 1.01 ** (s - 3000)) for s in range(3000, 4200)], name="long", writer="second")
    house.record([Point(4200, loss=math.nan)], name="long", writer="second")
    house.record([Point(s, loss=1.0) for s in range(40)], Context(group="g", tags={"team": "b"}), name="Été 100%_a")
    house.record([Point(s, loss=2.0) for s in range(40)], Context(group="g", tags={"team": "b"}), name="été 100%ba")
    house.now += 1.0
    house.do(runs.finish("default", "Été 100%_a", RunState.FAILED, "a\0b \n c"))
    house.do(runs.pause("default", "odd", 30.0))
    found = house.do(runs.findings("default", "long"))
    house.do(runs.acknowledge("default", "long", found[-1].finding.id))
    house.do(runs.mute("default", "long", found[0].finding.id, None))
    house.record([Point(0, loss=1.0)], name="gone", writer="ghost")
    house.do(runs.delete("default", "gone"))
    with pytest.raises(RunGoneError):
        house.record([Point(1, loss=1.0)], name="gone", writer="ghost")
    house.record([Point(1, loss=1.0)], name="gone", writer="another")


def _listed(house: House) -> list[tuple[str, Any]]:
    runs, store = house.runs, house.store
    told: list[tuple[str, Any]] = [("projects", house.do(runs.projects()))]
    for order in RunOrder:
        cursor: str | None = None
        for _ in range(5):
            rows, cursor = house.do(runs.list("default", order=order, cursor=cursor, limit=2))
            told.append((f"list by {order}", [row._replace(context=repr(row.context)) for row in rows]))
            if cursor is None:
                break
    for wanted in (
        RunFilter(group="Gruppe 'ä'"), RunFilter(group="none"), RunFilter(tag=("team", None)),
        RunFilter(tag=("team", "b")),
        RunFilter(tag=("quote", 'it\'s "so" \\')), RunFilter(text="%"), RunFilter(text="É"), RunFilter(text="LO"),
        RunFilter(text="_"), RunFilter(state="failed"), RunFilter(status="critical"),
    ):  # fmt: skip
        names = [row.name for row in house.do(runs.list("default", wanted))[0]]
        told.append((f"list {wanted}", names))
    for finding in (FindingFilter(), FindingFilter(is_open=True), FindingFilter(severity="critical")):
        page = repr(house.do(runs.project_findings("default", finding, limit=3)))
        told.append((f"findings {finding}", page))
    told.append(("events", [(e.id, e.kind, e.run, e.body) for e in house.do(runs.events(None, after=0))]))
    told.append(("newest event", house.do(store.newest_event())))
    return told


def _told(house: House) -> list[tuple[str, Any]]:
    runs, store = house.runs, house.store
    told: list[tuple[str, Any]] = []
    for name in ("odd", "long", "Été 100%_a", "été 100%ba", "gone"):
        uid = house.do(runs.get("default", name)).uid
        told.append((f"report of {name}", house.report_bytes(name)))
        told.append((f"points of {name}", repr(house.stored(name))))
        told.append((f"some points of {name}", repr(house.stored(name, from_step=150, to_step=3200, limit=700))))
        told.append((f"picture of {name}", repr(house.stored(name, resolution=100))))
        told.append((f"columns of {name}", house.columns(name)))
        told.append((f"findings of {name}", repr(house.do(runs.findings("default", name)))))
        told.append((f"siblings of {name}", repr(house.do(runs.siblings("default", name)))))
        told.append((f"count of {name}", house.do(store.count_between("default", uid, 100, 5000))))
        told.append((f"last step of {name}", house.do(store.last_main_step("default", uid, 5000))))
        for stored in house.do(runs.findings("default", name))[:2]:
            explained = house.do(runs.explain("default", name, stored.finding.id))
            told.append((f"explanation of {name}", repr(explanation_json(explained))))
    return told


def test_a_write_that_fails_is_undone_alone_and_the_others_of_its_group_are_kept(store: SqlStore) -> None:
    def fails(connection: Any) -> None:
        put("undone")(connection)
        raise KeyError("mine")

    async def scenario() -> list[Any]:
        hold, held = threading.Event(), threading.Event()

        def block(_: Any) -> None:
            held.set()
            assert hold.wait(30)

        blocked = asyncio.create_task(store.write(block))
        await asyncio.to_thread(held.wait, 30)
        waiting = [asyncio.create_task(store.write(work)) for work in (put("a"), fails, put("b"), put("a"))]
        await asyncio.sleep(0)
        hold.set()
        await blocked
        return [*await asyncio.gather(*waiting, return_exceptions=True), await names(store)]

    first, failed, second, repeated, kept = asyncio.run(scenario())

    assert (first, second) == (1, 1)
    assert isinstance(failed, KeyError)
    assert isinstance(repeated, StoreConflictError)
    assert kept == ["a", "b"]


def test_a_reader_sees_one_state_throughout(store: SqlStore) -> None:
    written = threading.Event()

    def twice(connection: Any) -> tuple[int, int]:
        query = "SELECT count(*) FROM run_name"
        (before,) = connection.execute(query).fetchone()
        assert written.wait(30)
        (after,) = connection.execute(query).fetchone()
        return before, after

    async def scenario() -> tuple[int, int]:
        reading = asyncio.create_task(store.read(twice))
        await store.read(lambda connection: None)  # of another thread; the first is under way or about to be
        await store.write(put("a"))
        written.set()
        return await reading

    before, after = asyncio.run(scenario())
    assert before == after


@pytest.mark.slow
def test_a_store_with_too_many_waiting_writes_is_busy_and_a_closed_one_says_so(store: SqlStore) -> None:
    async def scenario() -> tuple[list[Any], type[Exception]]:
        hold, held = threading.Event(), threading.Event()

        def block(_: Any) -> None:
            held.set()
            assert hold.wait(30)

        blocked = asyncio.create_task(store.write(block))
        await asyncio.to_thread(held.wait, 30)
        waiting = [asyncio.create_task(store.write(put(f"n{n}"))) for n in range(2049)]
        await asyncio.sleep(0)
        hold.set()
        await blocked
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        store.close()
        with pytest.raises(StoreClosedError):
            await store.read(names)  # type: ignore[arg-type]
        with pytest.raises(StoreClosedError) as closed:
            await store.write(put("late"))
        return [type(answer) for answer in answers], closed.type

    answers, _ = asyncio.run(scenario())
    assert answers == [int] * 2048 + [StoreBusyError]


def test_a_change_to_a_run_that_others_moved_is_refused(place: Place) -> None:
    house = House(place)
    try:
        house.record([Point(0, loss=1.0)])
        run = house.do(house.store.find_run("default", "run"))
        assert run is not None
        stale = Change(run=run, expected_seq=run.next_seq, expected_revision=run.revision, at=house.now)
        house.record([Point(1, loss=1.0)])
        with pytest.raises(RunMovedError):
            house.do(house.store.apply(stale))
        with pytest.raises(RunMovedError):
            house.do(house.store.apply(stale._replace(expected_seq=None)))
        assert house.do(house.store.place_of("default", "run")) == (run.row.uid, 2, run.revision + 1)
    finally:
        house.close()


@pytest.mark.slow
def test_points_of_many_runs_that_come_at_once_are_kept_for_each_of_them(place: Place) -> None:
    house = House(place)
    try:

        async def post(step: int, runs: int) -> None:
            records = (house.runs.record("default", f"run{n}", [Point(step, loss=float(n))]) for n in range(runs))
            await asyncio.gather(*records)

        house.do(post(1, 140))
        before = house.store.work[0]
        sizes = (1, 2, 3, 7, 129, 140)
        for step, runs in enumerate(sizes, 2):
            house.do(post(step, runs))
        assert house.store.work[0] - before == len(sizes)  # all that one turn of the loop brought in one commit
        for n in (0, 1, 2, 6, 7, 128, 139):
            kept = [(stored.point.step, stored.point.loss) for stored in house.stored(f"run{n}")]
            assert kept == [(1, n), *((step, n) for step, runs in enumerate(sizes, 2) if n < runs)]
    finally:
        house.close()


def test_changes_of_several_runs_are_written_by_one_statement_and_none_where_one_is_not_as_expected(
    place: Place,
) -> None:
    house = House(place)
    try:
        names = ("a", "b", "c")
        for name in names:
            house.record([Point(0, loss=1.0)], name=name)
        found = [house.do(house.store.find_run("default", name)) for name in names]
        moves = [
            Change(
                run=run._replace(row=run.row._replace(points=7), revision=run.revision + 1),
                expected_seq=run.next_seq,
                expected_revision=run.revision,
                at=house.now,
            )
            for run in found
            if run is not None
        ]
        assert house.do(house.store.write(lambda one: changes.append_together(one, moves)))
        kept = [house.do(house.store.find_run("default", name)) for name in names]
        assert [run.row.points for run in kept if run is not None] == [7, 7, 7]
        assert not house.do(house.store.write(lambda one: changes.append_together(one, moves)))
    finally:
        house.close()


def test_only_a_commit_with_events_is_told_as_one(place: Place) -> None:
    house = House(place)
    told: list[int] = []
    try:
        house.store.on_events = lambda: told.append(1)
        house.record([Point(1, loss=1.0)])
        assert len(told) == 1
        house.record([Point(2, loss=1.0)])
        assert len(told) == 1
        house.do(house.runs.finish("default", "run", RunState.FINISHED))
        assert len(told) == 2
        house.do(house.runs.delete("default", "run"))
        assert len(told) == 3
    finally:
        house.close()


def test_a_database_of_a_newer_version_is_left_alone(place: Place) -> None:
    places.migrate(place)

    def grow(connection: Any) -> None:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("UPDATE works_with SET oldest = '9999'")

    places.change(place, "0001", grow)
    with pytest.raises(SchemaTooNewError):
        places.open_store(place)
    found = places.look(place, "0001", lambda one: one.execute("SELECT version_num FROM alembic_version").fetchone())
    assert found == ("9999",)


def test_a_database_of_a_newer_version_that_took_nothing_away_is_used(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    places.migrate(place)
    places.change(place, "0001", lambda one: one.execute("UPDATE alembic_version SET version_num = '9999'"))
    house = House(place)
    try:
        house.record([Point(0, loss=1.0)])
        assert "newer version (9999)" in caplog.text
        assert house.sql("SELECT version_num FROM alembic_version") == [("9999",)], "it stays as new as it was"
    finally:
        house.close()


def test_an_empty_database_is_brought_up_to_date_by_one_of_many_services(postgres: Any) -> None:
    url = postgres.empty_url()

    async def scenario() -> list[SqlStore]:
        return await asyncio.gather(*(asyncio.to_thread(places.open_store, url) for _ in range(3)))

    for store in asyncio.run(scenario()):
        store.close()
    found = places.look(url, "0001", lambda one: one.execute("SELECT version_num FROM alembic_version").fetchone())
    assert found == (schema.head(),)
