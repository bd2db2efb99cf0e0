"""What is thinned, carried elsewhere or erased, on both databases and between them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from house import House
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs.portability import Importer, export, put
from losswatch_server.runs.retention import Retention
from losswatch_server.store.health import health
from losswatch_server.store.retention import Policy, StoredRetention, sizes

POLICY = Policy(thin_after_days=7, thin_to_points=200)
DAY = 86_400.0


def post(house: House, name: str) -> None:
    for start in range(0, 3000, 500):
        points = [Point(n, loss=2.0 / (1 + n) + (n % 7) / 100, metrics={"a": n}) for n in range(start, start + 500)]
        house.record(points, Context(learning_rate=0.1), "first", name)
    house.record([Point(n, loss=0.5 + n / 1000) for n in range(2000, 2600)], writer="second", name=name)
    house.record([Point(2599, validation_loss=1.0)], writer="second", name=name)
    house.do(house.runs.finish("default", name, RunState.FINISHED))
    house.do(house.runs.close())


def lines(house: House, name: str) -> bytes:
    file = io.BytesIO()
    house.do(export(house.store, "default", name, file))
    return file.getvalue()


def take_in(house: House, told: bytes, name: str) -> None:
    importer = Importer("default", name, lambda size: None)
    for line in told.splitlines():
        importer.line(line)
    house.do(put(house.store, importer.finish()))


def told(house: House, name: str) -> Any:
    return house.report_bytes(name), repr(house.stored(name)), repr(house.do(house.runs.findings("default", name)))


@pytest.mark.slow
def test_a_thinned_run_is_judged_as_before_and_goes_on_at_another_database(place: Path | str, tmp_path: Path) -> None:
    house, other = House(place), House(tmp_path / "other")
    post(house, "run")
    report, count = house.report_bytes("run"), len(house.stored("run"))
    take_in(other, lines(house, "run"), "run")
    assert told(other, "run") == told(house, "run")
    before = sum(house.do(house.store.read(lambda one: sizes(one, "default"))).values())
    house.now += 8 * DAY
    retention = Retention(house.runs, house.store, StoredRetention(house.store), POLICY, clock=lambda: house.now)
    house.do(retention.apply("default", POLICY))
    assert retention.counts["thinned"] == 1
    assert house.report_bytes("run") == report
    assert len(house.stored("run")) < count / 2
    assert sum(house.do(house.store.read(lambda one: sizes(one, "default"))).values()) < before
    other.do(other.runs.delete("default", "run"))
    thinned = lines(house, "run")
    take_in(other, thinned, "again")
    assert repr(other.stored("again")) == repr(house.stored("run"))
    house_points = house.report("run").run.points
    house.do(house.runs.delete("default", "run"))
    take_in(house, thinned, "back")
    house.record([Point(n, loss=0.5) for n in range(2600, 2620)], writer="second", name="back")
    assert house.report("back").run.points == house_points + 20
    for one in (house, other):
        one.close()


def test_a_project_keeps_what_it_says_and_is_erased(place: Path | str) -> None:
    house = House(place)
    stored = StoredRetention(house.store)
    retention = Retention(house.runs, house.store, stored, Policy(), clock=lambda: house.now)
    house.record([Point(0, loss=1.0)], writer="w", name="old")
    own = Policy(delete_after_days=30.0, max_mib=1.5)
    house.do(retention.put_policy("default", own))
    house.do(retention.put_policy("default", own))
    assert house.do(retention.policy("default")) == (own, True)
    house.now += 40 * DAY
    house.record([Point(0, loss=1.0)], writer="v", name="new")
    house.do(retention.apply("default", own))
    assert [row.name for row in house.do(house.runs.list("default"))[0]] == ["new"]
    seen = house.do(house.store.read(lambda one: health(one, house.now)))
    assert (seen.runs, seen.targets, seen.active_keys) == (1, {}, 0)
    assert house.do(retention.erase("default")) == 1
    for table in ("run", "run_name", "record", "event", "retention", "writer"):
        assert house.sql(f"SELECT count(*) FROM {table} WHERE project = 'default'") == [(0,)], table
    assert house.sql("SELECT count(*) FROM gone_writer WHERE project = 'default' AND name = ''") == [(2,)]
    house.close()
