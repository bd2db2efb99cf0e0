"""Measure, print, and leave with 1 when a target that must be reached is missed and ``--strict`` is given."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

import uvloop

from benchmarks.ingest.beside import beside, beside_ratio
from benchmarks.ingest.beside import text as beside_text
from benchmarks.ingest.load import HISTORY, Sample, connect, load, paced, served
from benchmarks.ingest.peers import MLFLOW, PEERS, connect_peer, served_peer
from benchmarks.ingest.results import RESULTS, heading
from benchmarks.ingest.servers import KINDS
from benchmarks.ingest.stages import measured
from benchmarks.ingest.stages import text as stages_text
from benchmarks.ingest.table import ratios, text

SIZES = (1, 10, 100, 1000)
"""Points of a request; those of 1 and 100 are measured with every number of connections."""
PEER_SIZES = (1, 100)
LIVE_RUNS, CARRIERS = 1000, 40
"""Runs that post a point a second, and the connections that carry them."""


def measure(
    *,
    seconds: float,
    rounds: int,
    connections: Sequence[int],
    hogs: bool,
    history: int = HISTORY,
    sizes: Sequence[int] = SIZES,
    live: int = LIVE_RUNS,
    peers: str | None = None,
) -> tuple[list[Sample], float | None, Sample | None]:
    """All cells, ``rounds`` times in turn (A B A B); the share of throughput that two busy processes leave; and what
    ``live`` runs cost that each post a point a second. ``peers``: the Python that has other trackers, which are
    measured in the same turns as far as they can be started."""
    samples: list[Sample] = []
    kept = many = None
    with contextlib.ExitStack() as stack:
        ports = {kind: stack.enter_context(served(kind)) for kind in KINDS}
        others = {kind: stack.enter_context(served_peer(peers, kind)) for kind in PEERS} if peers else {}
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            clients = {
                (kind, points): runner.run(connect(port, connections=max(connections), points=points, history=history))
                for kind, port in ports.items()
                for points in sizes
            }
            some = sorted(connections)[len(connections) // 2]
            for kind, told in others.items():
                if told is not None:
                    ports[kind] = told["port"]
                    for points in PEER_SIZES:
                        begun = connect_peer(kind, told, connections=max(connections), points=points)
                        clients[kind, points] = runner.run(begun)
            for _ in range(rounds):
                for points in sizes:
                    for number in connections if points in (1, 100) else (some,):
                        for kind, port in ports.items():
                            if (kind, points) not in clients or (kind == MLFLOW and number != some):
                                continue
                            cell = load(kind, port, clients[kind, points][:number], seconds=seconds)
                            samples.append(runner.run(cell))
            if hogs:

                def throughput() -> float:
                    cell = load("losswatch", ports["losswatch"], clients["losswatch", 1], seconds=seconds)
                    return runner.run(cell).per_second

                free = throughput()
                with busy(2):
                    kept = throughput() / free
            if live:
                many = runner.run(
                    paced(ports["losswatch"], runs=live, connections=min(CARRIERS, live), seconds=4 * seconds)
                )
            for client in (client for cell in clients.values() for client in cell):
                client.close()
            runner.run(asyncio.sleep(0.05))  # a turn of the loop, in which they do close
    return samples, kept, many


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
    parser.add_argument("--peers", help="the Python with the trackers to compare with")
    parser.add_argument("--publish", action="store_true", help="keep the tables in results.txt, for the documentation")
    parser.add_argument("--strict", action="store_true", help="leave with 1 when a target that must be is missed")
    given = parser.parse_args()
    told = heading()
    print(told, flush=True)
    samples, kept, many = measure(
        seconds=given.seconds,
        rounds=given.rounds,
        connections=given.connections,
        hogs=not given.no_hogs,
        peers=given.peers,
    )
    tables = text(samples, kept, many)
    print(tables)
    heavy = beside(seconds=4 * given.seconds)
    more = "\n\n".join((beside_text(heavy), stages_text(measured())))
    print(f"\n{more}")
    tables += f"\n\n{more}"
    if given.publish:
        RESULTS.write_text(f"{told}\n\n{tables}\n", encoding="utf-8")
    missed = any(ratio.verdict == "MISSED" for ratio in [*ratios(samples, kept, many), *map(beside_ratio, heavy)])
    return int(given.strict and missed)


if __name__ == "__main__":
    sys.exit(main())
