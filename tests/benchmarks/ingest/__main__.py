"""Measure, print, and leave with 1 when a target that must be reached is missed and ``--strict`` is given."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

import uvloop

from benchmarks.ingest.load import Sample, load, served
from benchmarks.ingest.servers import KINDS
from benchmarks.ingest.table import ratios, text


def measure(
    *, seconds: float, rounds: int, connections: Sequence[int], hogs: bool
) -> tuple[list[Sample], float | None]:
    """All cells, ``rounds`` times in turn (A B A B), and the share of throughput that two busy processes leave."""
    samples: list[Sample] = []
    kept = None
    with contextlib.ExitStack() as stack:
        ports = {kind: stack.enter_context(served(kind)) for kind in KINDS}
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for port in ports.values():  # warm up: imports, first pages, caches
                runner.run(load("", port, connections=4, points=1, seconds=min(seconds, 0.5)))
            for _ in range(rounds):
                for points in (1, 100):
                    for number in connections:
                        for kind, port in ports.items():
                            cell = load(kind, port, connections=number, points=points, seconds=seconds)
                            samples.append(runner.run(cell))
            if hogs:
                busiest = max(connections)

                def throughput() -> float:
                    cell = load("losswatch", ports["losswatch"], connections=busiest, points=1, seconds=seconds)
                    return runner.run(cell).per_second

                free = throughput()
                with busy(2):
                    kept = throughput() / free
    return samples, kept


@contextlib.contextmanager
def busy(number: int) -> Iterator[None]:
    """So many processes that only burn processor time."""
    burning = [subprocess.Popen([sys.executable, "-c", "while True: sum(range(10_000))"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in burning:
            process.terminate()
            process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.ingest", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.5, help="for each cell")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--no-hogs", action="store_true", help="leave out the part with two busy processes")
    parser.add_argument("--strict", action="store_true", help="leave with 1 when a target that must be is missed")
    given = parser.parse_args()
    samples, kept = measure(
        seconds=given.seconds, rounds=given.rounds, connections=given.connections, hogs=not given.no_hogs
    )
    print(text(samples, kept))
    missed = any(ratio.verdict == "MISSED" for ratio in ratios(samples, kept))
    return int(given.strict and missed)


if __name__ == "__main__":
    sys.exit(main())
