"""The stage on which runs fall silent."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from runs.liveness.stage import Stage


@pytest.fixture
def play() -> Iterator[Callable[[Callable[[Stage], Awaitable[None]]], None]]:
    fast = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=fast if fast.is_dir() else None) as folder:

        async def go(scene: Callable[[Stage], Awaitable[None]]) -> None:
            stage = Stage(Path(folder))
            stage.open()
            try:
                await scene(stage)
            finally:
                await stage.close()

        yield lambda scene: asyncio.run(go(scene))
