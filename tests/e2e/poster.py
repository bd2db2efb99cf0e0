"""Posts points to one run and says after each answer what was acknowledged; its test kills it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from losswatch_server.monitor.points import Point
from losswatch_server.runs import Runs
from losswatch_server.store import SqliteStore

SIZES = (1, 1, 3, 1, 40, 1, 2, 300)


async def main(directory: Path) -> None:
    store = SqliteStore.open(directory)
    runs = Runs(store)
    found = (await runs.points("default", "run"))[0] if await store.find_run("default", "run") else []
    step = len(found)
    for size in SIZES * 1000:
        points = [Point(n, loss=1 / (n + 1), grad_norm=1.0) for n in range(step, step + size)]
        await runs.record("default", "run", points, writer="poster", report=False)
        step += size
        sys.stdout.write(f"{step}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
