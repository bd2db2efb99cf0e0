"""What a request costs the service on PostgreSQL beside SQLite: ``python -m benchmarks.ingest.databases``.

Both keep every answer on the disk. The processor time is the service's own; PostgreSQL's is shown beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys

import psutil
import uvloop

from benchmarks.ingest.load import Sample, connect, load, served
from benchmarks.ingest.table import medians
from postgres import PostgresServer, missing

GOAL = 0.6
"""Requests per processor second of the service on PostgreSQL, of those on SQLite."""


def measure(
    *, seconds: float, rounds: int, connections: int, sizes: tuple[int, ...] = (1, 100)
) -> tuple[list[Sample], dict[int, float]]:
    """Both in turn; and by points of a request the processor seconds of PostgreSQL for a thousand requests."""
    samples: list[Sample] = []
    beside: dict[int, float] = {}
    server = PostgresServer(safe=True)
    os.environ["LOSSWATCH_DATABASE"] = server.url()
    try:
        with contextlib.ExitStack() as stack, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            ports = {kind: stack.enter_context(served(kind)) for kind in ("losswatch", "postgresql")}
            clients = {
                (kind, points): runner.run(connect(port, connections=connections, points=points))
                for kind, port in ports.items()
                for points in sizes
            }
            for _ in range(rounds):
                for points in sizes:
                    for kind, port in ports.items():
                        before = server_cpu_s(server)
                        sample = runner.run(load(kind, port, clients[kind, points], seconds=seconds))
                        samples.append(sample)
                        if kind == "postgresql":
                            beside[points] = 1000 * (server_cpu_s(server) - before) / sample.requests
            for client in (client for cell in clients.values() for client in cell):
                client.close()
            runner.run(asyncio.sleep(0.05))
    finally:
        del os.environ["LOSSWATCH_DATABASE"]
        server.remove()
    return samples, beside


def server_cpu_s(server: PostgresServer) -> float:
    """The processor seconds of PostgreSQL's processes that run now."""
    main = psutil.Process(server.pid)
    used = 0.0
    for process in (main, *main.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            used += times.user + times.system
    return used


def lines(samples: list[Sample], beside: dict[int, float]) -> list[str]:
    """A line for each size of a request."""
    cells = medians(samples)
    found = []
    for (kind, points, connections), ours in sorted(cells.items()):
        if kind == "postgresql":
            sqlite = cells["losswatch", points, connections]
            found.append(
                f"{points:>4} points, {connections} connections: {ours.per_cpu_second:7.0f} requests per CPU-s on "
                f"PostgreSQL, {sqlite.per_cpu_second:7.0f} on SQLite, "
                f"{ours.per_cpu_second / sqlite.per_cpu_second:.2f} of it (goal {GOAL}); "
                f"PostgreSQL itself {beside[points]:.2f} CPU-s for 1000"
            )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.ingest.databases", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each cell")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64)
    given = parser.parse_args()
    if why := missing():
        print(f"not measured: {why}")
        return 0
    print("\n".join(lines(*measure(seconds=given.seconds, rounds=given.rounds, connections=given.connections))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
