"""The checksums of the record: what they find, what they mend, and databases that have none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from house import House
from losswatch_server.monitor.points import Context, Point

CELLS = {"n": 7, "kind": 3, "attempt": 9, "first_step": 1, "last_step": 10**9}
"""Values that a column may well hold, and that are wrong."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "data")
    for start in range(0, 4000, 250):
        points = [
            Point(step, loss=1 + 1 / (step + 1), grad_norm=1 + step % 7 / 10) for step in range(start, start + 250)
        ]
        house.record(points, Context(learning_rate=0.1) if start == 0 else None, "first")
    house.record([Point(step, loss=2.0) for step in range(3900, 4100)], None, "second")
    yield house
    house.close()


def said(house: House) -> list[Any]:
    return [house.report_bytes(), house.stored(), house.stored(resolution=50)]


def without_snapshots(house: House) -> None:
    house.sql("DELETE FROM snapshot")
    house.restart()


@pytest.mark.slow
def test_a_database_of_a_version_without_checksums_is_read_and_goes_on(house: House) -> None:
    before = said(house)
    house.sql("UPDATE record SET body = substr(body, 6)")
    house.sql("UPDATE summary SET zones = substr(zones, 1, length(zones) - 4)")
    without_snapshots(house)
    assert said(house) == before
    house.record([Point(4100, loss=1.0)], None, "second")
    assert house.report().run.points == 4001 + 100


@pytest.mark.slow
@pytest.mark.parametrize("column", CELLS)
def test_a_wrong_cell_that_might_be_right_is_made_again(house: House, column: str) -> None:
    before = said(house)
    house.sql(f"UPDATE record SET {column} = ? WHERE kind != 6 OR ? != 'n'", CELLS[column], column)
    without_snapshots(house)
    assert said(house)[1] == before[1]
    assert house.report().assessment.notes == ()


@pytest.mark.slow
def test_each_flipped_bit_of_a_block_is_named_and_never_served(house: House) -> None:
    rows = house.sql("SELECT seq, body, first_step, last_step FROM record WHERE kind IN (1, 7) ORDER BY seq")
    whole = {stored.point.step: stored.point for stored in house.stored() if not stored.superseded}
    for seq, body, first, last in rows[:2] + rows[-1:]:
        for place in range(0, len(body), max(1, len(body) // 6)):
            flipped = bytearray(body)
            flipped[place] ^= 1 << place % 8
            house.sql("UPDATE record SET body = ? WHERE seq = ?", bytes(flipped), seq)
            without_snapshots(house)
            served = {stored.point.step: stored.point for stored in house.stored() if not stored.superseded}
            assert served.items() <= whole.items(), "nothing else than was sent"
            assert not any(first <= step <= last and step < 3900 for step in served)
            assert any(f"steps {first} to {last}" in note for note in house.report().assessment.notes)
        house.sql("UPDATE record SET body = ? WHERE seq = ?", body, seq)


def test_a_block_of_another_run_is_no_block_of_this_one(house: House) -> None:
    house.record([Point(step, loss=5.0) for step in range(250)], None, "x", name="other")
    house.sql(
        "UPDATE record SET body = (SELECT body FROM record o WHERE o.uid != record.uid AND o.first_step = 0 AND n > 1) "
        "WHERE uid = 'uid0001' AND first_step = 250"
    )
    without_snapshots(house)
    assert not any(stored.point.loss == 5.0 for stored in house.stored())


def test_what_is_written_has_its_checksum(house: House) -> None:
    assert house.sql("SELECT count(*) FROM record WHERE substr(body, 1, 1) != x'02'") == [(0,)]
    assert house.sql("SELECT count(*) FROM summary WHERE length(zones) % 16 != 4") == [(0,)]
