"""A store that cannot keep points says so, also where it can keep something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from house import House
from losswatch_server.monitor.points import Point
from losswatch_server.store import StoreFailedError, changes, probe, writer
from losswatch_server.store.errors import DatabaseError

Place = Path | str


@pytest.mark.parametrize("again", [True, False], ids=["until points are kept", "until time has passed"])
def test_points_that_cannot_be_kept_make_a_store_fail_whatever_else_is(
    place: Place, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where there is room for one row, or where the record lies on a disk of its own."""
    house = House(place)

    def is_failing() -> bool:
        try:
            house.do(house.store.check())
        except StoreFailedError as error:
            return "No space" in str(error)
        assert house.store.failing_since is None
        return False

    def other(connection: Any) -> None:
        connection.execute("INSERT INTO run_name (project, name, uid) VALUES ('p', 'other', 'u')")

    def no_room(*_: Any, **__: Any) -> None:
        raise DatabaseError("No space left on device")

    try:
        house.record([Point(0, loss=1.0)])
        monkeypatch.setattr(probe, "PROBE_S", 0.0)
        with monkeypatch.context() as full:
            full.setattr(changes, "apply", no_room)
            full.setattr(changes, "append_together", no_room)
            with pytest.raises(StoreFailedError, match="No space"):
                house.record([Point(1, loss=0.5)])
        house.do(house.store.write(other))
        assert is_failing()
        assert is_failing(), "nor does what it finds out by writing a little"
        if again:
            house.record([Point(1, loss=0.5)])
        else:
            monkeypatch.setattr(writer, "HELD_AGAINST_S", 0.0)
        assert not is_failing()
    finally:
        house.close()
