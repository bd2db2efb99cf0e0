"""How many runs stay in memory: as many as a bounded part of it holds, or as a setting says."""

from __future__ import annotations

from typing import Any, cast

from losswatch_server.runs.faults import FaultLog
from losswatch_server.runs.live_run import LiveRun
from losswatch_server.runs.run_cache import KEPT, KEPT_KIB, CachedRun, RunCache, kib_of
from losswatch_server.store.rows import RunRow
from losswatch_server.workers import Elsewhere


def cache(kept: int | None) -> RunCache:
    return RunCache(cast("Any", None), kept, FaultLog(), Elsewhere(None, 1))


def use(runs: RunCache, name: str, points: int) -> CachedRun:
    cached = runs.enter(("p", name))
    row = RunRow(project="p", name=name, uid=name, created_at=0.0, last_seen_at=0.0)._replace(points=points)
    cached.live = LiveRun.new(row)
    runs.leave(("p", name), cached)
    return cached


def held(runs: RunCache) -> list[str]:
    return [name for _, name in runs._runs]


def test_long_runs_take_the_room_of_several_short_ones() -> None:
    runs = cache(None)
    for number in range(KEPT + 10):
        use(runs, f"short-{number}", 10)
    assert held(runs) == [f"short-{number}" for number in range(10, KEPT + 10)]
    for number in range(600):
        use(runs, f"long-{number}", 50_000)
    assert held(runs) == [f"long-{number}" for number in range(600 - 512, 600)]
    assert runs._held == 512 * kib_of(50_000) == KEPT_KIB


def test_a_run_that_grows_takes_the_room_of_those_not_heard_of_for_longest() -> None:
    runs = cache(None)
    for number in range(1280):
        use(runs, f"run-{number}", 1000)
    assert len(held(runs)) == 1280
    use(runs, "run-0", 5000)
    assert held(runs) == [*(f"run-{number}" for number in range(3, 1280)), "run-0"]


def test_who_names_a_number_gets_as_many_whatever_their_length() -> None:
    runs = cache(600)
    for number in range(700):
        use(runs, f"long-{number}", 50_000)
    assert held(runs) == [f"long-{number}" for number in range(100, 700)]


def test_a_run_in_use_is_never_given_up_and_one_whose_user_failed_takes_nothing() -> None:
    runs = cache(1)
    first = runs.enter(("p", "busy"))
    use(runs, "other", 50_000)
    assert held(runs) == ["busy"]
    first.live = None
    runs.leave(("p", "busy"), first)
    assert (held(runs), runs._held) == ([], 0)
