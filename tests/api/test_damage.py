"""A damaged cell costs what it held: no request answers 500, and everything beside it is as it was."""

from __future__ import annotations

import asyncio
import math
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from damage import DAMAGES, damage
from losswatch_server.alerts import row_codec
from losswatch_server.alerts.egress.signing import Secret, new_secret
from losswatch_server.alerts.grouping import GroupKey
from losswatch_server.alerts.policy import Rules
from losswatch_server.alerts.service_messages import sample
from losswatch_server.alerts.stages.compose import delivery_row
from losswatch_server.alerts.targets import Target
from losswatch_server.app import create_app
from losswatch_server.monitor.entries import Entry, EntryKind
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs import Runs
from losswatch_server.settings import Settings
from losswatch_server.store import SqliteStore, summaries
from losswatch_server.store.alerting import configuration, deliveries
from losswatch_server.store.summaries import Kept, Summary

SICK = [*DAMAGES]
POINTS = 700
NEVER = Rules(conditions=frozenset({"silent"}))
"""Nothing that happens here: nobody is called."""
FAR = 4_000_000_000.0


async def fill(folder: Path) -> None:
    store = SqliteStore.open(folder)
    runs = Runs(store)
    try:
        for name in ("well", *SICK):
            for start in range(0, POINTS, 100):
                points = [
                    Point(step, loss=math.nan if step > 650 else 1.0 + 1 / (step + 1), grad_norm=1.0)
                    for step in range(start, start + 100)
                ]
                context = Context(learning_rate=0.1, group="sweep", tags={"a": "b"}) if start == 0 else None
                await runs.record("default", name, points, context, f"writer-{name}")
            target = Target(id=f"tgt-{name}", project="default", kind="webhook", url="https://example.org/hook",
                            secrets=(Secret(new_secret()),), rules=NEVER)  # fmt: skip
            said = sample(target, f"msg-{name}", 1_800_000_000.0)
            key = GroupKey(project="default", incident_class="test", uid=target.id)
            row = delivery_row(said, target, key)._replace(next_at=FAR)

            def put(connection: sqlite3.Connection, target: Target = target, row: Any = row) -> None:
                configuration.put_target(connection, row_codec.target_row(target))
                deliveries.add(connection, row)

            await store.write(put)
        await runs.finish("default", "well", RunState.FINISHED)
    finally:
        await runs.close()
        store.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled") / "data"
    asyncio.run(fill(folder))
    return folder


def paths(name: str) -> list[str]:
    run = f"/v1/runs/{name}"
    return [
        run, f"{run}/report", f"{run}/findings", f"{run}/points", f"{run}/points?resolution=50", f"{run}/siblings",
        f"/v1/targets/tgt-{name}", f"/v1/targets/tgt-{name}/deliveries",
    ]  # fmt: skip


LISTS = [
    "/v1/runs",
    "/v1/runs?group=sweep",
    "/v1/runs?tag=a%3Db",
    "/v1/runs?status=critical",
    "/v1/targets",
    "/readyz",
    "/metrics",
]

CELLS = [
    ("snapshot", "body", "uid = (SELECT uid FROM run WHERE name = '{}')"),
    ("run", "context", "name = '{}'"),
    ("run", "state", "name = '{}'"),
    ("run", "status", "name = '{}'"),
    ("run", "action", "name = '{}'"),
    ("run", "headline", "name = '{}'"),
    ("run", "rhythm", "name = '{}'"),
    ("run", "report", "name = '{}'"),
    ("record", "body", "uid = (SELECT uid FROM run WHERE name = '{}') AND seq BETWEEN 100 AND 400"),
    ("record", "body", "uid = (SELECT uid FROM run WHERE name = '{}') AND kind = 5"),
    ("finding", "body", "uid = (SELECT uid FROM run WHERE name = '{}')"),
    ("finding", "condition", "uid = (SELECT uid FROM run WHERE name = '{}')"),
    ("event", "body", "run = '{}'"),
    ("target", "secret", "id = 'tgt-{}'"),
    ("target", "body", "id = 'tgt-{}'"),
    ("target", "state", "id = 'tgt-{}'"),
    ("delivery", "body", "id = 'msg-{}'"),
    ("delivery", "attempts", "id = 'msg-{}'"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("table", "column", "where"), CELLS, ids=[f"{t}.{c}-{i}" for i, (t, c, _) in enumerate(CELLS)])
def test_a_damaged_cell_hurts_one_thing(filled: Path, tmp_path: Path, table: str, column: str, where: str) -> None:
    folder = tmp_path / "data"
    shutil.copytree(filled, folder)
    before = answers(folder, "well")
    connection = sqlite3.connect(folder / "losswatch.sqlite3")
    if column == "report":
        connection.execute(
            "UPDATE run SET detection_version = 99, report = (SELECT report FROM run WHERE name = 'well')"
        )
    if (table, column) == ("finding", "body"):
        connection.execute("DELETE FROM snapshot")
    for kind in SICK:
        assert damage(connection, table, column, where.format(kind), kind) > 0
    connection.commit()
    connection.close()
    if column != "report":
        assert answers(folder, "well") == before
    with TestClient(create_app(Settings(data_dir=folder)), "http://localhost", raise_server_exceptions=False) as api:
        for path in LISTS:
            assert api.get(path).status_code == 200, path
        names = {run["run"] for run in api.get("/v1/runs").json()["runs"]}
        assert names == {"well", *SICK}
        assert {target["id"] for target in api.get("/v1/targets").json()["targets"]} == {f"tgt-{n}" for n in names}
        for name in SICK:
            for path in paths(name):
                answer = api.get(path)
                assert answer.status_code == 200, (path, answer.text)
            posted = api.post(f"/v1/runs/{name}/points", json={"points": [{"step": POINTS, "loss": 1.0}]})
            assert posted.status_code == 200, (name, posted.text)
            assert posted.json()["accepted"] == 1
            if column == "context":
                assert api.get(f"/v1/runs/{name}").json()["context"]["learning_rate"] == 0.1
            if (table, column) in (("snapshot", "body"), ("run", "state"), ("run", "status")):
                report = api.get(f"/v1/runs/{name}/report").json()
                assert (report["points"], report["status"]) == (POINTS + 1, "critical")
            assert api.post(f"/v1/runs/{name}/finish", json={"state": "failed"}).status_code == 200
        assert api.get("/readyz").json()["not_running"] == []


def answers(folder: Path, name: str) -> list[Any]:
    with TestClient(create_app(Settings(data_dir=folder)), "http://localhost") as api:
        return [api.get(path).json() for path in paths(name) if "siblings" not in path]  # those are the sick ones


def test_a_damaged_block_is_named_with_its_steps_and_the_rest_of_the_run_goes_on(
    filled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("losswatch_server.codec.damage._found", set())  # what other tests met in the same copies
    folder = tmp_path / "data"
    shutil.copytree(filled, folder)
    connection = sqlite3.connect(folder / "losswatch.sqlite3")
    connection.execute("DELETE FROM snapshot")
    where = "uid = (SELECT uid FROM run WHERE name = 'garbage') AND first_step = 200"
    assert damage(connection, "record", "body", where, "garbage") == 1
    connection.commit()
    connection.close()
    with TestClient(create_app(Settings(data_dir=folder)), "http://localhost") as api:
        report = api.get("/v1/runs/garbage/report").json()
        assert report["status"] == "critical"
        assert any("steps 200 to 299" in note for note in report["notes"]), report["notes"]
        steps = [point["step"] for point in api.get("/v1/runs/garbage/points").json()["points"]]
        assert steps == [step for step in range(POINTS) if not 200 <= step < 300]
        assert "losswatch_damaged_cells" in api.get("/metrics").text
    assert sum("steps 200 to 299" in record.getMessage() for record in caplog.records) == 1


def test_sealing_leaves_a_damaged_block_as_it_is(filled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(filled, folder)
    connection = sqlite3.connect(folder / "losswatch.sqlite3")
    uid = connection.execute("SELECT uid FROM run WHERE name = 'garbage'").fetchone()[0]
    assert damage(connection, "record", "body", f"uid = '{uid}' AND first_step = 200", "truncated") == 1
    connection.commit()
    query = "SELECT body FROM record WHERE uid = ? AND first_step = 200"
    before = connection.execute(query, (uid,)).fetchone()
    store = SqliteStore.open(folder)
    try:
        asyncio.run(store.seal("default", uid))
        assert connection.execute(query, (uid,)).fetchone() == before
        kinds = connection.execute("SELECT n, kind FROM record WHERE uid = ? AND kind != 5 ORDER BY seq", (uid,))
        assert kinds.fetchall() == [(200, 7), (100, 1), (400, 7)]
    finally:
        store.close()
        connection.close()


@pytest.mark.parametrize("kind", SICK)
def test_a_damaged_summary_is_missing_from_the_picture_alone(kind: str) -> None:
    point = Point(3, loss=1.0)
    whole = Summary(
        0, 0, 1, 1, 1, ((3, 3),), summaries._to_bytes([[Kept(Entry(0, EntryKind.POINTS, 1, point), False, False)]])
    )
    assert [kept.entry.point for one in summaries.buckets(whole) for kept in one] == [point]
    hurt = DAMAGES[kind](whole.body)
    assert summaries.buckets(whole._replace(body=hurt.encode() if isinstance(hurt, str) else hurt)) == []
