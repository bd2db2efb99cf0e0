"""Silent runs leave the list of open findings: when they return or end, and when nobody waits for them any more."""

from __future__ import annotations

import pytest

from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.store.rows import FindingFilter
from runs.liveness.stage import Play, Stage


async def open_findings(stage: Stage) -> list[str]:
    page, _ = await stage.runs.project_findings("default", FindingFilter(is_open=True))
    return sorted(f"{found.run}: {found.stored.finding.condition}" for found in page)


def test_a_silent_run_leaves_the_list_of_open_findings_when_it_returns_or_ends(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        for step in range(6):
            for name in ("returns", "ends", "stays"):
                await stage.posts(name, step)
            await stage.passes(10)
        await stage.passes(400)
        assert await open_findings(stage) == ["ends: silent", "returns: silent", "stays: silent"]
        await stage.posts("returns", 6)
        await stage.runs.finish("default", "ends", RunState.FAILED, "killed")
        assert await open_findings(stage) == ["stays: silent"]

    play(scene)


@pytest.mark.parametrize("later_run", ["of its group", "of another group", "none"])
def test_nobody_waits_for_a_silent_run_for_ever(play: Play, later_run: str) -> None:
    async def scene(stage: Stage) -> None:
        for step in range(6):
            await stage.posts("lr-1", step, context=Context(group="scan"))
            await stage.passes(10)
        await stage.passes(400)
        assert await open_findings(stage) == ["lr-1: silent"]
        if later_run != "none":
            group = "scan" if later_run == "of its group" else "others"
            await stage.posts("later", 0, context=Context(group=group))
            await stage.runs.finish("default", "later", RunState.FINISHED)
        for hours, is_open in ((0.9, True), (0.3, later_run != "of its group"), (22.0, later_run != "of its group")):
            stage.now += 3600 * hours
            await stage.watch.tick()
            assert bool(await open_findings(stage)) is is_open
        stage.now += 3600
        await stage.watch.tick()
        assert await open_findings(stage) == []
        assert await stage.state("lr-1") is RunState.SILENT, "what is known of it has not changed"
        (stored,) = await stage.runs.findings("default", "lr-1")
        assert stored.finding.closed_by == "lapsed"
        await stage.posts("lr-1", 6)
        assert await stage.state("lr-1") is RunState.RUNNING

    play(scene)
