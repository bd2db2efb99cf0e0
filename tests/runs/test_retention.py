"""What is deleted, and when; and that a wrong clock, a damaged cell or a run that goes on costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from house import House
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs.retention import FIRST_AFTER_S, MIB, Retention
from losswatch_server.store.retention import Policy, StoredRetention, sizes

DAY = 86_400.0
MONTH = Policy(delete_after_days=30)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "data")
    yield house
    house.close()


class Clock:
    """Of the wall, that of the house, and one that only time moves."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.real = 0.0

    def pass_by(self, seconds: float) -> None:
        self.real += seconds
        self.house.now += seconds


def keeper(house: House, otherwise: Policy, clock: Clock | None = None) -> Retention:
    stored = StoredRetention(house.store)
    monotonic = (lambda: clock.real) if clock else (lambda: house.now)
    return Retention(house.runs, house.store, stored, otherwise, clock=lambda: house.now, monotonic=monotonic)


def names(house: House, project: str = "default") -> set[str]:
    return {row.name for row in house.do(house.runs.list(project))[0]}


def post(house: House, name: str, count: int = 3, *, over: bool = True) -> None:
    for start in range(0, count, 500):
        points = [Point(n, loss=1.0 + (n % 7) / 10) for n in range(start, min(count, start + 500))]
        house.record(points, Context(), f"writer of {name}", name)
    if over:
        house.do(house.runs.finish("default", name, RunState.FINISHED))


def test_runs_of_which_nothing_is_heard_are_deleted_whatever_their_state(house: House) -> None:
    post(house, "ended")
    post(house, "left", over=False)
    house.now += 20 * DAY
    post(house, "recent")
    clock = Clock(house)
    retention = keeper(house, MONTH, clock)
    assert house.do(retention.look()) == FIRST_AFTER_S
    house.do(retention.look())
    assert names(house) == {"ended", "left", "recent"}
    clock.pass_by(11 * DAY)
    house.do(retention.look())
    assert names(house) == {"recent"}
    assert house.kinds().count("run.deleted") == 2
    assert retention.counts["deleted"] == 2


def test_without_a_policy_everything_is_kept(house: House) -> None:
    post(house, "ended")
    house.now += 4000 * DAY
    retention = keeper(house, Policy())
    house.do(retention.look())
    house.do(retention.look())
    assert names(house) == {"ended"}


def test_nothing_is_deleted_because_the_clock_jumped(house: House) -> None:
    post(house, "ended")
    clock = Clock(house)
    retention = keeper(house, MONTH, clock)
    house.do(retention.look())
    house.now += 400 * DAY
    house.do(retention.look())
    assert names(house) == {"ended"}
    house.now -= 400 * DAY
    house.do(retention.look())
    house.do(retention.look())
    assert names(house) == {"ended"}


@pytest.mark.parametrize("damage", ["last_seen_at = 0.0", "last_seen_at = 0.0, created_at = 0.0", "last_seen_at = 'x'"])
def test_a_damaged_time_does_not_delete_a_run(house: House, damage: str) -> None:
    post(house, "run")
    house.sql(f"UPDATE run SET {damage}")
    retention = keeper(house, MONTH)
    house.do(retention.apply("default", MONTH))
    assert house.sql("SELECT name FROM run") == [("run",)]


def test_a_run_that_goes_on_while_it_is_looked_at_stays(house: House) -> None:
    post(house, "run")
    house.now += 40 * DAY
    post(house, "run", 9, over=False)
    assert not house.do(house.runs.delete("default", "run", unheard_since=house.now - 30 * DAY))
    assert names(house) == {"run"}


@pytest.mark.slow
def test_a_project_beyond_its_size_loses_its_oldest_runs_points_first(house: House) -> None:
    for name in ("a", "b", "c"):
        post(house, name, 6000)
        house.do(house.runs.close())
        house.now += DAY
    post(house, "running", 6000, over=False)
    house.do(house.runs.close())
    whole = sum(house.do(house.store.read(lambda one: sizes(one, "default"))).values())
    most = 0.8 * whole / MIB
    retention = keeper(house, Policy(max_mib=most, thin_to_points=400))
    house.do(retention.apply("default", Policy(max_mib=most, thin_to_points=400)))
    assert names(house) == {"a", "b", "c", "running"}
    assert len(house.stored("a")) < 2000
    assert len(house.stored("running")) == 6000
    assert sum(house.do(house.store.read(lambda one: sizes(one, "default"))).values()) <= most * MIB
    house.do(retention.apply("default", Policy(max_mib=0.0, thin_to_points=400)))
    assert names(house) == {"running"}, "what runs is never taken"
    assert len(house.stored("running")) == 6000


def test_a_project_has_its_own_policy_and_loses_it_again(house: House) -> None:
    retention = keeper(house, MONTH)
    own = Policy(thin_after_days=1.0)
    house.do(retention.put_policy("default", own))
    assert house.do(retention.policy("default")) == (own, True)
    assert house.do(retention.policy("other")) == (MONTH, False)
    house.restart()
    retention = keeper(house, MONTH)
    assert house.do(retention.policy("default")) == (own, True)
    house.sql("UPDATE retention SET thin_to_points = 'many'")
    assert house.do(retention.policy("default")) == (Policy(), True), "a damaged one deletes nothing"
    house.do(retention.put_policy("default", None))
    assert house.do(retention.policy("default")) == (MONTH, False)


def test_nothing_of_an_erased_project_is_left_in_the_files(house: House) -> None:
    secret = "a-name-that-nobody-else-has"
    for n in range(3):
        house.record(
            [Point(0, loss=1.0, metrics={f"{secret}-metric": 1.0})],
            Context(tags={"t": secret}),
            f"w{n}",
            f"{secret}-{n}",
        )
    house.do(house.runs.delete("default", f"{secret}-2"))
    house.do(house.runs.record("other", "stays", [Point(0, loss=1.0)], None, "w"))
    put = "INSERT INTO target VALUES ('default', 't', 'webhook', 'api', ?, '{}', 'ok', NULL, NULL, 1.0, 1.0)"
    house.sql(put, secret)
    columns = "project, id, digest, scopes, name, created_at"
    house.sql(f"INSERT INTO api_key ({columns}) VALUES ('default', 'k', 'd', 'read', ?, 1.0)", secret)
    house.do(keeper(house, MONTH).put_policy("default", MONTH))
    assert secret.encode() in files(house)
    assert house.do(keeper(house, MONTH).erase("default")) == 2
    tables = [name for (name,) in house.sql("SELECT name FROM sqlite_master WHERE type = 'table'")]
    left = {
        table: house.sql(f"SELECT * FROM {table} WHERE project = 'default'")
        for table in tables
        if "project" in {row[1] for row in house.sql(f"PRAGMA table_info({table})")}
    }
    assert {table for table, rows in left.items() if rows} == {"gone_writer", "api_key"}
    assert left["api_key"][0][7] == house.now, "the key is over"
    assert secret.encode() not in files(house)
    assert names(house, "other") == {"stays"}
    with pytest.raises(Exception, match="was deleted"):
        house.record([Point(1, loss=1.0)], writer="w0", name="a-new-name")
    house.record([Point(1, loss=1.0)], writer="new", name="a-new-name")
    assert names(house) == {"a-new-name"}


def files(house: House) -> bytes:
    return b"".join(path.read_bytes() for path in house.path.iterdir())
