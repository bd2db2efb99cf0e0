"""Every column of every table, damaged in many ways: what is hurt is the one row, and nobody is answered 500 or 503."""

from __future__ import annotations

import asyncio
import math
import random
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from losswatch_server.alerts import row_codec
from losswatch_server.alerts.dispatcher import Dispatcher
from losswatch_server.alerts.egress.signing import Secret, new_secret
from losswatch_server.alerts.mute_rules import Matcher, MuteRule
from losswatch_server.alerts.policy import Rules
from losswatch_server.alerts.targets import Target
from losswatch_server.app import create_app
from losswatch_server.monitor.points import Context, Point
from losswatch_server.runs import Runs
from losswatch_server.settings import Settings
from losswatch_server.store import SqliteStore
from losswatch_server.store.alerting import configuration

UID = "0199aabbccdd0123456789ab"
NAME = "template-run"
TARGET = f"tgt-{UID}"
LATE = 4_000_000_000.0
LAST = 3999

VALUES: list[Any] = ["abc", "", b"\xff\x00\xfe", -1, 99, 10**18, -1e18, math.inf, 0.5, None]
IN_A_TEST = 2
"""Damages done to each table; ``--all-damages`` (make soak) does every one: each value, in each column."""

TABLES = [
    "run", "run_name", "gone_writer", "attempt", "writer", "record", "snapshot", "finding", "event", "summary",
    "rank_tail", "series_name", "target", "silence", "concern", "target_group", "delivery",
]  # fmt: skip
WHICH = {
    "record": ["seq = 0", "seq = (SELECT max(seq) FROM record r WHERE r.uid = record.uid)", "kind = 6", "kind = 7"],
    "summary": ["level = 0 AND seq = 0", "level = (SELECT max(level) FROM summary s WHERE s.uid = summary.uid)"],
}
"""Rows of a run to damage; elsewhere all of them."""


async def fill(folder: Path) -> None:
    """One run with all that there can be of it: attempts, writers, ranks, findings, summaries, notifications."""
    store = SqliteStore.open(folder)
    now = 1_800_000_000.0
    runs = Runs(store, lambda: now, uid=lambda: UID)
    rules = Rules(group_by=frozenset({"run"}))
    target = Target(id=TARGET, project="default", kind="webhook", url="https://example.org/hook",
                    secrets=(Secret(new_secret()),), rules=rules)  # fmt: skip
    silence = MuteRule(id=f"sil-{UID}", project="default", matchers=(Matcher(field="run", value="nobody"),),
                       starts_at=now, ends_at=LATE, comment="", created_at=now)  # fmt: skip

    def configured(connection: sqlite3.Connection) -> None:
        configuration.put_target(connection, row_codec.target_row(target))
        connection.execute(
            "INSERT INTO gone_writer VALUES ('default', ?, ?, ?, ?)", (UID, NAME, f"gone-{UID}", now - 1.0)
        )

    try:
        await store.write(configured)
        for start in range(0, 3600, 300):
            now += 5.0
            points = [
                Point(step, loss=math.nan if step in (700, 701) else 1 + 1 / (step + 1), grad_norm=1 + step % 7 / 10)
                for step in range(start, start + 300)
            ]
            ranks = [Point(start, grad_norm=math.nan, rank=1), Point(start, metrics={"accuracy": 0.5}, rank=0)]
            context = Context(learning_rate=0.1, group="sweep", tags={"a": "b"}) if start == 0 else None
            await runs.record("default", NAME, points, context, f"first-{UID}")
            await runs.record("default", NAME, ranks, None, f"other-{UID}")
        await runs.close()
        for start in range(3500, LAST + 1, 100):
            points = [Point(step, loss=math.nan if step > 3980 else 2.0, grad_norm=1.0)
                      for step in range(start, start + 100)]  # fmt: skip
            await runs.record("default", NAME, points, None, f"second-{UID}")
        dispatcher = Dispatcher(store, lambda: now, iter(f"msg-{n}-{UID}" for n in range(1000)).__next__)
        for _ in range(3):
            while await dispatcher.run_once():
                pass
            now += 3_600.0
        await runs.pause("default", NAME, LATE)  # not silent, however long the test takes
        quiet = replace(
            target, rules=Rules(conditions=frozenset({"converged"}))
        )  # nobody is called while damages are done
        await store.write(lambda connection: configuration.put_target(connection, row_codec.target_row(quiet)))
        await store.write(lambda connection: configuration.put_mute_rule(connection, row_codec.mute_rule_row(silence)))
        await store.write(lambda connection: connection.execute("UPDATE delivery SET next_at = ?", (LATE,)))
    finally:
        await runs.close()
        store.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled") / "data"
    asyncio.run(fill(folder))
    connection = sqlite3.connect(folder / "losswatch.sqlite3")
    empty = [table for table in TABLES if not connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]]
    connection.close()
    assert not empty, empty
    return folder


MINE = {"delivery": "target", "target_group": "target", "target": "id", "silence": "id"}
"""The column that ends with the uid of the run; elsewhere uid itself."""


def copies(connection: sqlite3.Connection, count: int) -> Iterator[tuple[str, str]]:
    """So many runs (name, uid) like the one there is, each with all it has and in a group of its own."""
    for n in range(count):
        name, uid = f"sick-{n:04d}", f"{int(UID[:12], 16) + n:012x}{n:012x}"
        for table in TABLES:
            columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
            columns = [column for column in columns if (table, column[1]) != ("event", "id")]
            values = [_renamed(column[1], name, uid, n) if column[2] == "TEXT" else column[1] for column in columns]
            connection.execute(
                f"INSERT INTO {table} ({', '.join(column[1] for column in columns)}) SELECT {', '.join(values)} "
                f"FROM {table} WHERE {MINE.get(table, 'uid')} LIKE '%{UID}'"
            )
        yield name, uid


def _renamed(column: str, name: str, uid: str, n: int) -> str:
    return f"replace(replace(replace({column}, '{UID}', '{uid}'), '{NAME}', '{name}'), '\"sweep\"', '\"sweep-{n}\"')"


def damages(connection: sqlite3.Connection, table: str, most: int | None) -> list[tuple[str, str, Any]]:
    """Column, condition on the row and new value: all that there can be, or so many of them."""
    every = [
        (column[1], where, value)
        for column in connection.execute(f"PRAGMA table_info({table})").fetchall()
        for where in WHICH.get(table, ["true"])
        for value in VALUES
        if value is not None or not column[3]
    ]
    return every if most is None or most >= len(every) else random.Random(table).sample(every, most)


def paths(name: str, uid: str) -> list[str]:
    run = f"/v1/runs/{name}"
    return [
        run, f"{run}/report", f"{run}/findings", f"{run}/points?limit=50", f"{run}/points?resolution=50",
        f"{run}/points?from=3400&to=3600", f"{run}/siblings", f"{run}/chart.svg", f"{run}/badge.svg", f"/runs/{name}",
        f"/v1/targets/tgt-{uid}",
        f"/v1/targets/tgt-{uid}/deliveries",
    ]  # fmt: skip


LISTS = [
    "/", "/findings", "/notifications", f"/runs/{NAME}", "/v1/projects", "/v1/runs?order=seen", "/v1/runs?order=status",
    "/v1/runs", "/v1/runs?group=sweep&limit=200", "/v1/runs?tag=a%3Db", "/v1/runs?status=critical", "/v1/targets",
    "/v1/silences", "/v1/findings", "/v1/findings?state=open&limit=200", "/readyz", "/metrics",
]  # fmt: skip


def every(api: TestClient, path: str, what: str) -> list[Any]:
    """All pages of a list."""
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = api.get(path, params={"limit": 50, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page[what] or not found
        found += page[what]
        cursor = page["next_cursor"]
    return found


class Asking:
    """Requests, and those of them that are answered 500 or above."""

    def __init__(self, api: TestClient) -> None:
        self.api = api
        self.wrong: list[str] = []

    def ask(self, method: str, path: str, what: str, **more: Any) -> Any:
        answer = self.api.request(method, path, **more)
        if answer.status_code >= 500:
            self.wrong.append(f"{what}: {method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer

    def lists(self, what: str) -> None:
        for path in LISTS:
            self.ask("GET", path, what)
        if NAME not in {run["run"] for run in every(self.api, "/v1/runs", "runs")}:
            self.wrong.append("the run that is well is not listed")
        every(self.api, "/v1/findings", "findings")

    def run(self, name: str, uid: str, what: str) -> None:
        for path in paths(name, uid):
            self.ask("GET", path, what)
        body = {"points": [{"step": 10**6, "loss": 1.0}], "writer": f"second-{uid}"}
        posted = self.ask("POST", f"/v1/runs/{name}/points", what, json=body)
        if posted.status_code == 200 and posted.json()["accepted"] != 1:
            self.wrong.append(f"{what}: {posted.text[:300]}")
        self.ask("POST", f"/v1/runs/{name}/points", what, json={"points": [{"step": 3600, "loss": 3.0}]})
        self.ask("POST", f"/v1/runs/{name}/pause", what, json={"seconds": 5})
        self.ask("POST", f"/v1/runs/{name}/finish", what, json={"state": "failed"})
        self.ask("GET", f"/v1/runs/{name}/points", what)
        self.ask("PATCH", f"/v1/targets/tgt-{uid}", what, json={"min_severity": "critical"})

    def background(self) -> None:
        """Everything that runs beside requests, once."""
        assert self.api.portal is not None
        alerts = self.api.app.state.alerts  # type: ignore[attr-defined]
        for work in (alerts.run_once, alerts.watch.tick, alerts._pause, alerts._tidy):
            self.api.portal.call(work)

    def well(self) -> list[str]:
        return [self.api.get(path).text for path in paths(NAME, UID) if "siblings" not in path]


def damaged(folder: Path, tables: Sequence[str], most: int | None) -> dict[str, tuple[str, str]]:
    """Damages one copy of the run after another; their uids by name, and what was done."""
    connection = sqlite3.connect(folder / "losswatch.sqlite3", isolation_level=None)
    connection.execute("BEGIN")
    sick: dict[str, tuple[str, str]] = {}
    wanted = [(table, *damage) for table in tables for damage in damages(connection, table, most)]
    for (name, uid), (table, column, where, value) in zip(copies(connection, len(wanted)), wanted, strict=True):
        query = f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {MINE.get(table, 'uid')} LIKE ? AND {where}"
        try:
            done = connection.execute(query, (value, f"%{uid}"))
        except sqlite3.IntegrityError:  # the database itself takes no such value here
            continue
        assert done.rowcount >= 1, (table, column, where)
        sick[name] = (uid, f"{table}.{column} = {value!r} where {where}")
    connection.execute("COMMIT")
    connection.close()
    return sick


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All tables in one database, or each in one of its own."""
    if "tables" in metafunc.fixturenames:
        is_soak = metafunc.config.getoption("--all-damages", False)
        metafunc.parametrize("tables", [[table] for table in TABLES] if is_soak else [TABLES], ids=",".join)


@pytest.mark.slow
def test_a_damaged_column_hurts_its_row_alone(
    filled: Path, tmp_path: Path, tables: list[str], request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(filled, folder)
    sick = damaged(folder, tables, None if request.config.getoption("--all-damages", False) else IN_A_TEST)
    app = create_app(Settings(data_dir=folder))
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as api:
        asking = Asking(api)
        before = asking.well()
        asking.lists("at first")
        for name, (uid, what) in sick.items():
            asking.run(name, uid, what)
        asking.background()
        asking.lists("in the end")
        asking.wrong += [f"well: {a} != {b}"[:600] for a, b in zip(before, asking.well(), strict=True) if a != b]
        for name, (_, what) in sick.items():
            asking.ask("DELETE", f"/v1/runs/{name}", what)
        asking.background()
        asking.wrong += map(str, api.get("/readyz").json()["not_running"])
    assert not asking.wrong, f"{len(asking.wrong)} of {len(sick)}\n" + "\n".join(asking.wrong[:40])
