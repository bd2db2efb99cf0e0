"""Find how many live runs this machine carries in real time, on SQLite and on PostgreSQL, and say what more would take.

``python -m benchmarks.scale [--publish]``. Each size runs for some seconds; its runs have a history. Which sizes are
tried follows from what the services do when they are asked as fast as they can answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks.ingest.results import heading
from benchmarks.scale.load import Answers, Connection, Level, built, connected, posted
from benchmarks.scale.model import Model, Size, check, disk, extrapolated, sizes_table
from benchmarks.scale.services import Services, Used, services

RESULTS = Path(__file__).parent / "results.txt"
BOUND_MS = 500.0
"""99 of 100 answers come within half a second: a client that flushes each second is not held up."""
BUSY = 800
"""Runs, of 32 connections, that are posted to without a pause."""
HISTORY = 20
"""Points that a run has before it is measured. What a post takes is the same after 20, 50, 200 and 1000 points, within
what two measurements of one differ by."""
LIKE_A_RUN, POINTS_OF_A_RUN = 100, 1000
"""Runs, and points of each, of which it is measured what a live run takes in memory. With ten times as many points it
is about twice as much."""
SHARES = (0.6, 0.75, 0.9, 1.0)
"""Of what is answered at full speed, tried one after the other until one is not carried."""
OF_THE_MODEL = (0.15, 0.45)
"""The shares that the model is made of."""
WANTED = 20_000
LONG, IN_ONE = 20_000, 1000
"""Points of a long run, and in each of its requests: what a point takes on the disk when it is sealed."""
SETUPS = (("sqlite", 1), ("postgresql", 1), ("postgresql", 2))
ASKED = (1_000, 20_000, 100_000)
BUDGET_S = 70.0
"""For one kind of services: what it has not come to by then is not tried."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done for a measurement; a test of it does less."""

    most: int = WANTED
    history: int = HISTORY
    like_a_run: tuple[int, int] = (LIKE_A_RUN, POINTS_OF_A_RUN)
    long: int = LONG


FULL = Effort()


@dataclass(slots=True)
class Measured:
    """What was found of one kind of services."""

    name: str
    full_speed: float = 0.0
    sizes: list[Size] = field(default_factory=list)
    model: Model | None = None
    not_tried: list[int] = field(default_factory=list)
    """Live runs that the time did not suffice for."""


class Trial:
    """Live runs on services, of which more and more are used."""

    def __init__(self, here: Services, history: int) -> None:
        self._here = here
        self._history = history
        self.connections: list[Connection] = []

    async def grow(self, runs: int) -> None:
        """Make new runs until there are so many."""
        have = sum(len(one.sent) for one in self.connections)
        names = [f"scale-{number}" for number in range(have, runs)]
        more = await connected(names, self._here.ports)
        await built(more, self._history)
        self.connections += more

    async def size(self, runs: int, seconds: float, pace_s: float | None = 1.0) -> Size:
        """Post to so many runs, at a pace until it is decided that it is not kept up with."""
        some: list[Connection] = []
        count = 0
        for one in self.connections:
            if count < runs:
                some.append(one)
                count += len(one.sent)
        level = None if pace_s is None else Level(BOUND_MS / 1000, 0.01 * count * seconds / pace_s)
        before, own, began = self._here.used(), time.process_time(), time.monotonic()
        answers = await posted(some, seconds, pace_s, level)
        if level is not None and level.is_lost:
            seconds = min(seconds, time.monotonic() - began)
        used, own = self._here.used().since(before), time.process_time() - own
        return _size(self._here, count, answers, seconds, used, own)

    def close(self) -> None:
        """End all connections."""
        for one in self.connections:
            one.close()


def _size(here: Services, runs: int, answers: Answers, seconds: float, used: Used, own_s: float) -> Size:
    taken = max(1, answers.taken)
    return Size(
        name=here.name,
        services=here.count,
        runs=runs,
        per_second=answers.taken / seconds,  # nothing is sent after that
        p50_ms=answers.quantile_ms(50),
        p99_ms=answers.quantile_ms(99),
        refused=answers.refused,
        service_us=1e6 * used.service_s / taken,
        database_us=1e6 * used.database_s / taken,
        load_us=1e6 * own_s / taken,
        memory=here.memory(),
    )


async def bytes_of_a_point(here: Services, points: int, in_one: int) -> float:
    """On the disk, of runs that came in large requests, once they are sealed."""
    before = here.disk()
    connections = [connection for name in ("long-a", "long-b") for connection in await connected([name], here.ports)]
    for _ in range(points // in_one):
        await built(connections, in_one)
    await asyncio.sleep(1.0)  # the last sealing runs beside
    for connection in connections:
        connection.close()
    return max(0.0, (here.disk() - before) / (2 * points))


async def memory_of_a_run(here: Services, runs: int, points: int) -> float:
    """Bytes of the services for each live run with so many points."""
    before = here.memory()
    connections = await connected([f"memory-{number}" for number in range(runs)], here.ports)
    await built(connections, points)
    for connection in connections:
        connection.close()
    return max(0.0, (here.memory() - before) / runs)


async def _measure(here: Services, *, seconds: float, effort: Effort) -> Measured:
    found = Measured(here.name)
    began, most = time.monotonic(), effort.most
    empty = here.memory()
    in_memory = await memory_of_a_run(here, *effort.like_a_run)
    trial = Trial(here, effort.history)
    try:
        await trial.grow(min(most, BUSY))
        full = await trial.size(min(most, BUSY), seconds, pace_s=None)
        found.full_speed = full.per_second
        for share in OF_THE_MODEL:
            runs = max(1, min(most, int(share * full.per_second)))
            await trial.grow(runs)
            found.sizes.append(await trial.size(runs, seconds))
        per_point = await bytes_of_a_point(here, effort.long, IN_ONE)
        found.model = Model.of(found.sizes[0], found.sizes[1], empty, in_memory, per_point)
        for share in SHARES:
            runs = max(1, min(most, int(share * full.per_second)))
            if found.not_tried or time.monotonic() - began > BUDGET_S:
                found.not_tried.append(runs)
                continue
            await trial.grow(runs)
            found.sizes.append(await trial.size(runs, seconds))
            if runs == most or not found.sizes[-1].is_carried(BOUND_MS):
                break
    finally:
        trial.close()
    return found


def measure(
    setups: Sequence[tuple[str, int]] = SETUPS, *, seconds: float, effort: Effort = FULL, safe: bool = True
) -> list[Measured]:
    """Every kind of services in turn."""
    found = []
    for kind, count in setups:
        with contextlib.ExitStack() as stack:
            here = stack.enter_context(services(kind, count, effort.most + 200, safe=safe))
            runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
            found.append(runner.run(_measure(here, seconds=seconds, effort=effort)))
    return found


def text(found: Sequence[Measured]) -> str:
    """All that is said of it."""
    sizes = [size for one in found for size in one.sizes]
    lines = [f"one point a second of each live run, in real time; p99 at most {BOUND_MS:.0f} ms", ""]
    lines += sizes_table(sizes, BOUND_MS)
    lines.append("")
    for one in found:
        carried = [size.runs for size in one.sizes if size.is_carried(BOUND_MS)]
        most = f"{max(carried):,} live runs carried" if carried else "none of the sizes carried"
        more = f"; no time for {', '.join(map(str, one.not_tried))}" if one.not_tried else ""
        lines.append(f"{one.name:<24}{most}; {one.full_speed:.0f} requests a second at full speed{more}")
    largest = max((size.runs for size in sizes if size.is_carried(BOUND_MS)), default=0)
    if largest < WANTED:
        lines.append(f"{WANTED:,} live runs are more than this machine carries: the most were {largest:,}")
    lines += ["", "the model, made of the two smallest sizes of each, at the largest that was carried"]
    for one in found:
        others = [size for size in one.sizes[2:] if size.is_carried(BOUND_MS)]
        if one.model is not None and others:
            lines.append(check(one.name, one.model, max(others, key=lambda size: size.runs)))
        else:
            lines.append(f"{one.name:<24}none of the larger sizes was carried")
    for one in found:
        if one.model is not None:
            took = one.model
            lines.append(
                f"{one.name:<24}{took.service_us:.0f} us a request and {took.idle_cores:.2f} cores a service; "
                f"{took.memory_of_a_run / 1024:.0f} KiB a live run and {took.memory_of_a_service / 2**20:.0f} MiB a "
                f"service; {took.bytes_of_a_point:.1f} bytes a point on the disk"
            )
    lines += replicas(found)
    shared = [one for one in found if one.name.startswith("postgresql")]
    if shared and shared[0].model is not None:
        lines += ["", "what more live runs take, on PostgreSQL, each posting a point a second"]
        lines += extrapolated(shared[0].model, ASKED)
        lines += [disk(shared[0].model, runs) for runs in ASKED[1:]]
    return "\n".join(lines)


def replicas(found: Sequence[Measured]) -> list[str]:
    """What a second service on the same database adds."""
    by_count = {one.sizes[0].services: one for one in found if one.name.startswith("postgresql")}
    if not {1, 2} <= by_count.keys():
        return []
    one, two = by_count[1], by_count[2]
    added = f"two services / one: {two.full_speed / one.full_speed:.2f} of the requests a second"
    found_here = ["", f"{added} on these cores, of which PostgreSQL and the load take their part"]
    if one.model is None or two.model is None:
        return found_here
    dearer = two.model.service_us / one.model.service_us
    return [
        *found_here,
        f"a request costs {dearer:.2f} of the processor time that it costs one service alone: with cores of their own, "
        f"two would carry {2 / dearer:.2f} times as much",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each size")
    parser.add_argument("--publish", action="store_true", help="keep the tables in results.txt, for the documentation")
    given = parser.parse_args()
    told = heading()
    print(told, flush=True)
    tables = text(measure(seconds=given.seconds))
    print(tables)
    if given.publish:
        RESULTS.write_text(f"{told}\n\n{tables}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
