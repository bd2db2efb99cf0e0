"""A long run without a usable snapshot is folded once, in slices, however many wait for it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from house import House
from losswatch_server.codec import dumps, report_json
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Point
from losswatch_server.runs import fold, run_cache
from losswatch_server.runs.answers import Report

POINTS = 8000
WAITING = 12


@pytest.mark.slow
def test_many_who_wait_for_a_long_fold_share_it_and_others_have_their_turn(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.record([Point(step, loss=1.0 / (1 + step)) for step in range(POINTS)])
    house.record([Point(0, loss=1.0)], name="other")
    told = house.report_bytes()
    house.sql("UPDATE snapshot SET body = ?", b"of another format")
    house.restart()
    folds = 0

    async def counted(*arguments: Any, **named: Any) -> fold.Folded:
        nonlocal folds
        folds += arguments[2] == "uid0001"
        return await fold.refold(*arguments, **named)

    monkeypatch.setattr(run_cache, "refold", counted)
    since_turn, most = 0, 0
    see_all = Monitor.see_all

    def counting(monitor: Monitor, points: Any, *more: Any) -> None:
        nonlocal since_turn, most
        if threading.current_thread() is threading.main_thread():  # the event loop's; what is long is done elsewhere
            since_turn += len(points)
            most = max(most, since_turn)
        see_all(monitor, points, *more)

    monkeypatch.setattr(Monitor, "see_all", counting)

    async def scene() -> list[Any]:
        nonlocal since_turn
        waiting = [asyncio.create_task(house.runs.report("default", "run")) for _ in range(WAITING)]
        posts = [
            asyncio.create_task(house.runs.record("default", "run", [Point(POINTS, loss=0.1)], writer="w"))
            for _ in range(3)
        ]
        while not waiting[0].done():
            since_turn = 0
            await asyncio.sleep(0)
        return await asyncio.gather(*waiting, *posts)

    answers = house.do(scene())
    assert folds == 1
    assert 0 < most <= fold.SLICE, "points between two turns of the others"
    assert [answer.run.points for answer in answers if isinstance(answer, Report)] == [POINTS] * WAITING
    assert sorted(answer.accepted for answer in answers[WAITING:]) == [0, 0, 1]
    assert dumps(report_json(answers[0])) == told
