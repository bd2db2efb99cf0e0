"""Time of ``run.log`` inside the training thread, next to the floor and to what a user would write by hand.

``python -m benchmarks.client.overhead`` from ``tests/`` (or ``make bench-client``). Every figure is of one process
of its own, in interleaved rounds, with 1 ms of busy work per step, against a real service on this machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from losswatch_server.cli.demo import service

STEPS = 2000
BUSY_S = 0.001
WAYS = ("nothing", "SimpleQueue.put", "losswatch", "httpx.Client.post")


def _way(name: str, url: str) -> tuple[Callable[[int], object], Callable[[], object]]:
    """What is called at every step, and at the end."""
    if name == "SimpleQueue.put":
        import queue

        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        return (lambda step: waiting.put((step, 0.5, 1.5))), (lambda: None)
    if name == "losswatch":
        import losswatch

        run = losswatch.Run(f"bench-{time.time_ns()}", url=url, quiet=True)
        return (lambda step: run.log(step, loss=0.5, grad_norm=1.5)), run.finish
    if name == "httpx.Client.post":
        import httpx

        client = httpx.Client(base_url=url, verify=False, trust_env=False)
        path = f"/v1/runs/bench-{time.time_ns()}/points"
        return (lambda step: client.post(path, json={"step": step, "loss": 0.5, "grad_norm": 1.5})), client.close
    return (lambda step: None), (lambda: None)


def measure(name: str, url: str, steps: int) -> dict[str, float]:
    """One process: microseconds of the call at every step, and what starting and ending cost."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before = time.perf_counter()
    log, finish = _way(name, url)
    started = time.perf_counter() - before
    taken = []
    processor = time.process_time()
    for step in range(steps):
        until = time.perf_counter() + BUSY_S
        while time.perf_counter() < until:
            pass
        before = time.perf_counter()
        log(step)
        taken.append((time.perf_counter() - before) * 1e6)
    processor = time.process_time() - processor - steps * BUSY_S
    before = time.perf_counter()
    finish()
    taken.sort()
    return {
        "p50_us": taken[steps // 2],
        "p99_us": taken[int(steps * 0.99)],
        "cpu_us": max(processor / steps * 1e6, 0.0),
        "start_ms": started * 1e3,
        "finish_ms": (time.perf_counter() - before) * 1e3,
        "memory_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024,
    }


def import_ms() -> float:
    """``import losswatch`` over an empty interpreter."""

    def spent(code: str) -> float:
        before = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - before

    times = [spent("import losswatch") - spent("pass") for _ in range(7)]
    return statistics.median(times) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--one", nargs=2, metavar=("WAY", "URL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(*given.one, given.steps)))
        return
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as url:
        for _ in range(given.rounds):
            for way in WAYS:
                command = [sys.executable, __file__, "--one", way, url, "--steps", str(given.steps)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[way].append(json.loads(done.stdout))
    columns = list(found[WAYS[0]][0])
    print(f"{'per step, median of ' + str(given.rounds):24}" + "".join(f"{column:>12}" for column in columns))
    for way, rounds in found.items():
        medians = [statistics.median(each[column] for each in rounds) for column in columns]
        print(f"{way:24}" + "".join(f"{value:12.2f}" for value in medians))
    print(f"import losswatch: {import_ms():.0f} ms")


if __name__ == "__main__":
    main()
