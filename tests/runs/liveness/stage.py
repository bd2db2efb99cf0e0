"""A store, its use cases and a watch, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs import Runs
from losswatch_server.runs.liveness.watcher import TICK_S, Watch
from losswatch_server.store.sqlite import SqliteStore


class Stage:
    """A store, its use cases and a watch on a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_800_000_000.0
        self.folder = folder

    def open(self) -> None:
        self.store = SqliteStore.open(self.folder)
        self.runs = Runs(self.store, lambda: self.now)
        self.watch = Watch(self.store, self.runs, lambda: self.now)

    async def close(self) -> None:
        await self.runs.close()
        self.store.close()

    async def posts(self, name: str, step: int, points: int = 1, context: Context | None = None) -> None:
        batch = [Point(step + i, loss=1.0 + 1 / (step + i + 1)) for i in range(points)]
        await self.runs.record("default", name, batch, context)

    async def passes(self, seconds: float) -> None:
        """Time goes by, and the watch looks as often as it does."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + TICK_S)
            await self.watch.tick()

    async def kinds(self) -> list[str]:
        return [
            e.kind
            for e in await self.runs.events(None, after=0)
            if e.kind.startswith("run.") and e.kind != "run.created"
        ]

    async def state(self, name: str) -> RunState:
        return (await self.runs.get("default", name)).state


Play = Callable[[Callable[[Stage], Awaitable[None]]], None]
