"""Runs that fall silent, return, slow down: decided from receive times, on an injected clock, with real use cases."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from losswatch_server.codec import finding_json
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs.liveness.rhythm import Rhythm
from losswatch_server.runs.liveness.silence_rule import grace_s, silent_at
from losswatch_server.runs.liveness.speed import Pace
from losswatch_server.runs.liveness.watcher import LONGEST_PAUSE_S, Watch
from losswatch_server.supervision import Supervisor
from runs.liveness.stage import Play, Stage

GRACES = [
    ("four requests are no rhythm", 4, [10.0] * 3, None, None),
    ("five are, and the first evaluation may take five minutes", 5, [1.0] * 4, None, 300.0),
    ("five usual gaps", 30, [90.0] * 29, None, 450.0),
    ("twice the longest gap: validation comes again", 30, [10.0] * 28 + [240.0], None, 480.0),
    ("what the client expects counts more than what was seen", 30, [10.0] * 29, 600.0, 1200.0),
    ("and needs no rhythm: an import may say when it is continued", 1, [], 40.0, 80.0),
    ("but nobody is silent before a minute", 1, [], 1.0, 60.0),
]


@pytest.mark.parametrize(("why", "requests", "gaps", "expected", "grace"), GRACES, ids=[row[0] for row in GRACES])
def test_the_grace_fits_the_rhythm(
    why: str, requests: int, gaps: list[float], expected: float | None, grace: float | None
) -> None:
    assert grace_s(requests, gaps, expected) == grace


@pytest.mark.parametrize(
    ("grace", "paused_until", "listening_since", "at"),
    [(60.0, None, 0.0, 160.0), (60.0, 500.0, 0.0, 560.0), (60.0, 50.0, 0.0, 160.0), (60.0, None, 300.0, 360.0),
     (None, None, 0.0, None)],
)  # fmt: skip
def test_pauses_and_our_own_absence_extend_the_grace(
    grace: float | None, paused_until: float | None, listening_since: float, at: float | None
) -> None:
    assert silent_at(100.0, grace, paused_until, listening_since) == at


def test_a_run_that_stops_reporting_is_silent_after_its_grace_and_returns_with_its_next_point(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        for step in range(10):
            await stage.posts("lr-1", step)
            await stage.passes(80)
        await stage.passes(315)  # 395 of 400 s
        assert await stage.state("lr-1") is RunState.RUNNING
        await stage.passes(10)
        assert await stage.state("lr-1") is RunState.SILENT
        report = await stage.runs.report("default", "lr-1")
        assert [f.condition for f in report.assessment.findings if f.is_open] == ["silent"]
        await stage.passes(3600)
        await stage.posts("lr-1", 10)
        assert await stage.state("lr-1") is RunState.RUNNING
        assert await stage.kinds() == ["run.silent", "run.returned"]
        (stored,) = [f for f in await stage.runs.findings("default", "lr-1") if f.finding.condition == "silent"]
        assert stored.finding.summary == "The run reports again, after 67 minutes without a word."
        told = finding_json(stored.finding)["evidence"]
        last_seen = datetime.fromtimestamp(1_800_000_000 + 720, UTC)
        assert datetime.fromisoformat(told["last_seen_at"]) == last_seen, "a time is never rounded as a measurement"
        assert datetime.fromisoformat(told["returned_at"]) > last_seen

    play(scene)


def test_an_import_is_never_silent_and_neither_is_a_run_that_ended(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await stage.posts("imported", 0, points=2_000)
        for step in range(10):
            await stage.posts("done", step)
            await stage.passes(5)
        await stage.runs.finish("default", "done", RunState.FINISHED)
        await stage.passes(24 * 60)
        assert await stage.kinds() == ["run.finished"]

    play(scene)


def test_a_declared_pause_is_respected(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        for step in range(10):
            await stage.posts("lr-1", step)
            await stage.passes(5)
        await stage.runs.pause("default", "lr-1", 600)
        await stage.passes(880)
        assert await stage.state("lr-1") is RunState.RUNNING
        await stage.passes(30)
        assert await stage.state("lr-1") is RunState.SILENT

    play(scene)


def test_a_restart_of_the_service_gives_every_run_its_whole_grace_again(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        for step in range(6):
            for run in range(20):
                await stage.posts(f"lr-{run}", step)
            await stage.passes(10)
        await stage.close()
        stage.now += 7_200
        stage.open()
        await stage.passes(295)
        assert await stage.kinds() == []
        for run in range(1, 20):
            await stage.posts(f"lr-{run}", 6)
        await stage.passes(10)
        assert await stage.kinds() == ["run.silent"], "the one that did not come back"

    play(scene)


@pytest.mark.parametrize("every", [40, 500])
def test_an_evaluation_that_comes_again_is_learned_after_the_second_one(every: int) -> None:
    """The rule alone, over ninety evaluations of ten minutes, however many requests lie between two of them."""
    rhythm, now, alarms = Rhythm(), 1_800_000_000.0, 0
    for request in range(90 * every):
        gap = 600.0 if request % every == every - 1 else 2.0
        grace = grace_s(rhythm.requests, rhythm.gaps, None, rhythm.habit)
        alarms += grace is not None and gap > grace
        now += gap
        rhythm = Rhythm.unpack(rhythm.heard(now, [Point(request, loss=1.0)]).pack())
    assert alarms == 2


def test_one_long_absence_is_no_habit_and_neither_is_a_resume() -> None:
    rhythm, now = Rhythm(), 1_800_000_000.0
    for request in range(200):
        now += 10_000.0 if request in (50, 90) else 2.0
        rhythm = rhythm.heard(now, [Point(request, loss=1.0)], resumed=request == 90)
    assert grace_s(rhythm.requests, rhythm.gaps, None, rhythm.habit) == 300.0


def test_looks_that_take_long_find_a_silent_run_late_and_not_never(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        clock = lambda: stage.now  # noqa: E731

        watch = Watch(stage.store, stage.runs, clock, stopwatch=clock)
        real = stage.store.read

        async def slow(work: Callable[[sqlite3.Connection], object]) -> object:
            stage.now += 2.0
            return await real(work)

        for step in range(6):
            await stage.posts("lr-1", step)
            await stage.passes(10)
        stopped = stage.now
        stage.store.read = slow  # type: ignore[method-assign]
        while await stage.state("lr-1") is RunState.RUNNING:
            stage.now += await watch.look()
            assert stage.now < stopped + 300 + 2 * LONGEST_PAUSE_S

    play(scene)


def test_a_machine_that_slept_is_not_a_flood_of_silent_runs(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        for step in range(6):
            await stage.posts("lr-1", step)
            await stage.passes(10)
        stage.now += 7_200  # no tick meanwhile: the process was stopped
        await stage.watch.tick()
        assert await stage.state("lr-1") is RunState.RUNNING
        await stage.passes(310)
        assert await stage.state("lr-1") is RunState.SILENT

    play(scene)


def test_two_watches_say_it_once(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        for step in range(6):
            await stage.posts("lr-1", step)
            await stage.passes(10)
        other = Watch(stage.store, stage.runs, lambda: stage.now)
        for _ in range(80):
            stage.now += 5
            await asyncio.gather(stage.watch.tick(), other.tick())
        assert await stage.kinds() == ["run.silent"]

    play(scene)


def test_a_run_at_less_than_half_its_speed_for_a_quarter_of_an_hour_is_slow_once(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        step = 0
        for minute in range(120):
            step += 60 if minute < 60 else 20
            await stage.posts("lr-1", step)
            await stage.passes(60)
        assert await stage.kinds() == ["run.slow"]
        slow = next(e for e in await stage.runs.events(None, after=0) if e.kind == "run.slow")
        assert b"20 steps a minute; before it made 1 steps a second" in slow.body
        assert slow.at == pytest.approx(1_800_000_000 + 75 * 60, abs=400)

    play(scene)


def test_reads_that_fail_for_a_while_delay_the_watch_and_do_not_end_it(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        for step in range(6):
            await stage.posts("lr-1", step)
            await stage.passes(10)
        looks = 0

        async def sleeps(seconds: float) -> None:
            nonlocal looks
            looks += 1
            stage.now += seconds
            await asyncio.sleep(0)

        def broken(connection: sqlite3.Connection) -> list[object]:
            raise sqlite3.OperationalError("disk I/O error")

        supervisor = Supervisor(clock=lambda: stage.now, sleep=sleeps)
        with monkeypatch.context() as patch:
            patch.setattr("losswatch_server.runs.liveness.watcher.running", broken)
            supervisor.start("watch", stage.watch.look, longest_pause_s=15.0)
            async with asyncio.timeout(60):
                while looks < 10:  # noqa: ASYNC110 - a clock of its own
                    await asyncio.sleep(0)
            assert [found.name for found in supervisor.not_running()] == ["watch"]
        async with asyncio.timeout(60):
            while await stage.state("lr-1") is RunState.RUNNING:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert supervisor.not_running() == []
        await supervisor.stop()
        assert await stage.kinds() == ["run.silent"]

    play(scene)


def test_a_run_that_cannot_be_judged_costs_no_other_run_its_watch(
    play: Play, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(stage: Stage) -> None:
        for step in range(6):
            for name in ("a", "b", "c"):
                await stage.posts(name, step)
            await stage.passes(10)
        uid = (await stage.runs.get("default", "a")).uid
        real = stage.runs.mark_silent

        async def fails(project: str, of: str, *rest: float) -> bool:
            if of == uid:
                raise KeyError("damaged")
            return await real(project, of, *rest)

        monkeypatch.setattr(stage.runs, "mark_silent", fails)
        await stage.passes(320)
        states = [await stage.state(name) for name in ("a", "b", "c")]
        assert states == [RunState.RUNNING, RunState.SILENT, RunState.SILENT]
        assert len(caplog.records) == 1, "said once"

    play(scene)


def test_a_clock_that_was_ahead_for_a_moment_hides_no_silence(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        for step in range(8):
            await stage.posts("posts-on", step)
            await stage.posts("stops", step)
            await stage.passes(10)
        stage.now += 3600
        await stage.posts("posts-on", 8)
        await stage.posts("stops", 8)
        await stage.watch.tick()
        stage.now -= 3600
        for step in range(9, 12):
            await stage.posts("posts-on", step)
            await stage.passes(10)
        assert (await stage.runs.get("default", "posts-on")).last_seen_at <= stage.now
        assert await stage.kinds() == []
        await stage.passes(280)
        assert await stage.state("posts-on") is RunState.RUNNING
        await stage.passes(25)
        assert await stage.state("posts-on") is RunState.SILENT
        await stage.passes(7200)  # twice the gap of an hour that it seems to have made
        assert await stage.state("stops") is RunState.SILENT
        silent = next(f for f in await stage.runs.findings("default", "stops") if f.finding.condition == "silent")
        assert silent.finding.evidence["last_seen_at"] <= stage.now

    play(scene)


def test_a_pace_recovers_and_may_slow_down_again() -> None:
    pace, at, step, turns = Pace(), 0.0, 0, []
    for speed in [1.0] * 10 + [0.4] * 6 + [0.9] * 12 + [0.3] * 6:
        at, step = at + 300, step + int(300 * speed)
        after = pace.seen(at, step)
        if after.is_slow != pace.is_slow:
            turns.append(after.is_slow)
        pace = after
    assert turns == [True, False, True]


def test_a_short_dip_or_a_step_back_is_not_slow() -> None:
    pace, at, step = Pace(), 0.0, 0
    for number, speed in enumerate([1.0] * 10 + [0.1, 0.1] + [1.0] * 10):
        at, step = at + 300, (0 if number == 15 else step + int(300 * speed))
        pace = pace.seen(at, step)
        assert not pace.is_slow
