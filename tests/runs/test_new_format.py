"""Snapshots of a format that is read no more: a run that is over is folded whole once, not at every load."""

from __future__ import annotations

from pathlib import Path

import pytest

from house import House
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs import fold
from losswatch_server.store import StoreFailedError

POINTS = [Point(step, loss=2.0 * 0.999**step + 0.1 * (step % 7 == 0), grad_norm=1.0) for step in range(3000)]


class Counted(House):
    """Counts the entries that are folded."""

    def report_anew(self, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, int]:
        """The report after a restart, and how many entries were folded for it."""
        self.restart()
        folded = 0
        take = fold._Folding.take

        async def counting(folding: fold._Folding, entries: object) -> None:
            nonlocal folded
            listed = list(entries)  # type: ignore[call-overload]
            folded += len(listed)
            await take(folding, listed)

        with monkeypatch.context() as counted:
            counted.setattr(fold._Folding, "take", counting)
            return self.report_bytes(), folded


@pytest.fixture
def over(tmp_path: Path) -> Counted:
    house = Counted(tmp_path / "data")
    for first in range(0, len(POINTS), 500):
        house.record(POINTS[first : first + 500], writer="w")
    house.do(house.runs.finish("default", "run", RunState.FINISHED))
    return house


def change_the_format(house: House) -> None:
    house.sql("UPDATE snapshot SET body = ?", b"of another format")


def test_it_is_folded_whole_once_and_goes_on_as_if_nothing_had_been(
    over: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, few = over.report_anew(monkeypatch)
    assert few < fold.MUCH
    change_the_format(over)
    try:
        told = [over.report_anew(monkeypatch) for _ in range(3)]
        assert [report for report, _ in told] == [before] * 3
        assert told[0][1] == len(POINTS)
        assert [folded for _, folded in told[1:]] == [1, 1], "from before the last point, into which may be merged"
        after: list[bytes] = []
        plain = Counted(tmp_path / "plain")
        try:
            plain.uids = 0
            for first in range(0, len(POINTS), 500):
                plain.record(POINTS[first : first + 500], writer="w")
            plain.do(plain.runs.finish("default", "run", RunState.FINISHED))
            for house in (over, plain):
                house.record([Point(2999, validation_loss=0.5)], writer="w")
                house.record([Point(step, loss=9.0 + step) for step in range(3000, 3040)], writer="w")
                house.record([Point(2999, loss=0.3)], writer="another")
                after.append(house.report_bytes())
        finally:
            plain.close()
        assert after[0] == after[1]
    finally:
        over.close()


def test_a_report_is_answered_also_where_its_snapshot_cannot_be_kept_or_the_run_went_on(
    over: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_room(*_: object) -> bool:
        raise StoreFailedError("No room.")

    async def by_another(run: object, snapshot: object) -> bool:
        await over.store.write(lambda one: one.execute("UPDATE run SET revision = revision + 1"))
        kept = await keep(run, snapshot)
        assert not kept
        return kept

    try:
        before = over.report_bytes()
        change_the_format(over)
        for instead in (no_room, by_another):
            over.restart()
            keep = over.store.keep_snapshot
            over.store.keep_snapshot = instead  # type: ignore[method-assign, assignment]
            assert over.report_bytes() == before
            assert over.sql("SELECT DISTINCT body FROM snapshot") == [(b"of another format",)]
    finally:
        over.close()
