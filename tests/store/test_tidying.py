"""What the store forgets, and what a stop left uncompressed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from house import House
from losswatch_server.monitor.points import Point
from losswatch_server.store.alerting import outbox
from losswatch_server.store.alerting.outbox import AT_ONCE, Before
from losswatch_server.store.changes import add_event
from losswatch_server.store.rows import NewEvent
from losswatch_server.store.sealing import SEAL_POINTS

NOW = 1_800_000_000.0
DAY = 86_400.0


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "data")
    yield house
    house.close()


def happen(house: House, *ages_d: float) -> None:
    def insert(connection: sqlite3.Connection) -> None:
        for age in ages_d:
            add_event(connection, "p", "u", "r", NewEvent("run.created", NOW - age * DAY, None, b"{}"))

    house.do(house.store.write(insert))


def read_up_to(house: House, event: int) -> None:
    house.sql("UPDATE alert_cursor SET event_id = ?", event)


def tidy(house: House) -> bool:
    before = Before(incident=NOW - DAY, delivery=NOW - 30 * DAY, event=NOW - 7 * DAY)
    return house.do(house.store.write(lambda connection: outbox.tidy(connection, before)))


def left(house: House) -> list[int]:
    return [event.id for event in house.do(house.store.events(None, 0, None, 10_000))]


def test_events_are_kept_for_a_week_and_until_they_were_read(house: House) -> None:
    happen(house, 30, 20, 8, 6, 1)
    read_up_to(house, 0)
    assert tidy(house)
    assert left(house) == [1, 2, 3, 4, 5], "nobody has read any"
    read_up_to(house, 2)
    assert tidy(house)
    assert left(house) == [3, 4, 5], "the third is old, and unread"
    read_up_to(house, 5)
    assert tidy(house)
    assert left(house) == [4, 5]
    happen(house, 0)
    assert left(house) == [4, 5, 6], "an id is never given twice"


@pytest.mark.slow
def test_an_id_is_not_given_again_where_all_events_were_forgotten(house: House) -> None:
    happen(house, 30, 30)
    read_up_to(house, 2)
    assert tidy(house)
    assert left(house) == []
    happen(house, 0)
    assert left(house) == [3]


def test_a_long_neglected_outbox_is_emptied_a_little_at_a_time(house: House) -> None:
    happen(house, *([30.0] * (AT_ONCE + 10)))
    read_up_to(house, AT_ONCE + 10)
    assert not tidy(house)
    assert len(left(house)) == 10
    assert tidy(house)
    assert left(house) == []


def test_what_a_crash_left_unsealed_is_sealed_later(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(project: str, uid: str) -> None:
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(house.store, "seal", crash)
        for name in ("a", "b"):
            for start in range(0, SEAL_POINTS + 200, 400):
                house.record([Point(step, loss=1.0) for step in range(start, start + 400)], name=name)
        with pytest.raises(OSError, match="no space"):
            house.do(house.runs.seal_leftovers())
    rows = "SELECT count(*) FROM record WHERE kind = 7"
    assert house.sql(rows) == [(0,)]
    points = house.stored("a")
    assert house.do(house.runs.seal_leftovers()) > 0
    assert house.sql(rows)[0][0] >= 2
    assert house.stored("a") == points
    assert house.sql("SELECT count(DISTINCT uid) FROM record WHERE kind = 7") == [(2,)]


def test_a_start_seals_what_the_process_before_it_left(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def killed(project: str, uid: str) -> None:
        """It was about to begin."""

    with monkeypatch.context() as patch:
        patch.setattr(house.store, "seal", killed)
        for start in range(0, SEAL_POINTS, 400):
            house.record([Point(step, loss=1.0) for step in range(start, start + 400)])
        house.do(house.runs.close())
    assert house.do(house.store.runs_to_seal()) == [("default", "uid0001")]
    house.restart()
    house.do(house.runs.seal_leftovers())
    assert house.sql("SELECT count(*) FROM record WHERE kind = 7")[0][0] >= 1


def test_the_writers_of_a_deleted_run_are_remembered_for_three_months(house: House) -> None:
    def remembered() -> set[str]:
        return {writer for (writer,) in house.sql("SELECT writer FROM gone_writer")}

    for name, later_d in (("a", 0), ("b", 80), ("c", 11)):
        house.now += later_d * DAY
        house.record([Point(0, loss=1.0)], writer=name, name=name)
        house.do(house.runs.delete("default", name))
        assert name in remembered()
    assert remembered() == {"b", "c"}


@pytest.mark.parametrize(
    ("forget", "index"),
    [
        ("SELECT rowid FROM delivery WHERE finished_at < 1 LIMIT 1000", "delivery_finished"),
        ("DELETE FROM gone_writer WHERE gone_at < 1", "gone_writer_gone_at"),
        ("SELECT id FROM concern WHERE closed_at < 1 LIMIT 1000", "concern_closed"),
    ],
)
def test_what_is_forgotten_is_found_by_an_index(house: House, forget: str, index: str) -> None:
    plan = " ".join(str(step) for step in house.sql(f"EXPLAIN QUERY PLAN {forget}"))
    assert f"INDEX {index}" in plan
