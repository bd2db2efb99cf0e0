"""Time of ``run.log`` in the training thread, next to the floor, to what a user would write by hand, and to others.

``python -m benchmarks.client`` runs it. Every figure is of one process of its own, in interleaved rounds, with 1 ms of
busy work at each step, against a real service on this machine. trackio, tensorboardX and wandb (offline) are measured
where they are installed. ``losswatch, away`` is the client without a service; how its memory grows over a million
steps stands last. The processor time is that of everything but the busy work, in the last three quarters of the steps.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = 2000
BUSY_S = 0.001
NOWHERE = "http://127.0.0.1:9"
WAYS = ("nothing", "SimpleQueue.put", "losswatch", "losswatch, away", "httpx.Client.post")
OTHERS = ("tensorboardX", "trackio", "wandb")
"""What people log with now, writing to this machine alone."""


def _way(name: str, url: str) -> tuple[Callable[[int], object], Callable[[], object]]:
    """What is called at every step, and at the end."""
    if name == "SimpleQueue.put":
        import queue

        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        return (lambda step: waiting.put((step, 0.5, 1.5))), (lambda: None)
    if name.startswith("losswatch"):
        import losswatch

        run = losswatch.Run(f"bench-{time.time_ns()}", url=NOWHERE if name.endswith("away") else url, quiet=True)
        return (lambda step: run.log(step, loss=0.5, grad_norm=1.5)), run.finish
    if name == "httpx.Client.post":
        import httpx

        client = httpx.Client(base_url=url, verify=False, trust_env=False)
        path = f"/v1/runs/bench-{time.time_ns()}/points"
        return (lambda step: client.post(path, json={"step": step, "loss": 0.5, "grad_norm": 1.5})), client.close
    if name == "tensorboardX":
        from tensorboardX import SummaryWriter

        writer = SummaryWriter("events")

        def both(step: int) -> None:
            writer.add_scalar("loss", 0.5, step)
            writer.add_scalar("grad_norm", 1.5, step)

        return both, writer.close
    if name == "trackio":
        import trackio

        trackio.init(project="bench", embed=False)
        return (lambda step: trackio.log({"loss": 0.5, "grad_norm": 1.5}, step=step)), trackio.finish
    if name == "wandb":
        import wandb

        wandb.init(project="bench", mode="offline", settings=wandb.Settings(silent=True))
        return (lambda step: wandb.log({"loss": 0.5, "grad_norm": 1.5}, step=step)), wandb.finish
    return (lambda step: None), (lambda: None)


def measure(name: str, url: str, steps: int) -> dict[str, float]:
    """One process: microseconds of the call at every step, and what starting and ending cost."""
    memory = resident_mib()
    before = time.perf_counter()
    log, finish = _way(name, url)
    started = time.perf_counter() - before
    taken = []
    busy = processor = 0.0
    for step in range(steps):
        if step == steps // 4:  # all is loaded and connected
            busy, processor = 0.0, time.process_time()
        began = time.thread_time()
        until = time.perf_counter() + BUSY_S
        while time.perf_counter() < until:
            pass
        busy += time.thread_time() - began
        before = time.perf_counter()
        log(step)
        taken.append((time.perf_counter() - before) * 1e6)
    processor = time.process_time() - processor - busy
    before = time.perf_counter()
    finish()
    taken.sort()
    return {
        "p50_us": taken[steps // 2],
        "p99_us": taken[int(steps * 0.99)],
        "cpu_us": processor / (steps - steps // 4) * 1e6,
        "start_ms": started * 1e3,
        "finish_ms": (time.perf_counter() - before) * 1e3,
        "memory_mib": resident_mib() - memory,
    }


def resident_mib() -> float:
    """What this process holds in memory now. Its peak would be that of whoever started it, where that is higher."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 2**20


def away_memory(steps: int) -> tuple[float, float, int]:
    """Without a service: MiB that the process grew by over the last nine tenths of its steps, MiB of its spool, and
    how many points found no room."""
    import losswatch

    run = losswatch.Run("away", url=NOWHERE, quiet=True)
    held = []
    for step in range(steps):
        run.log(step, loss=0.5, grad_norm=1.5)
        if step % 1000 == 0:
            time.sleep(0.02)  # 50,000 steps a second: ten times what a training makes
        if step in (steps // 10, steps - 1):
            held.append(resident_mib())
    run.finish(timeout=1.0)
    spool = sum(path.stat().st_size for path in Path(os.environ["LOSSWATCH_SPOOL_DIR"]).glob("*"))
    return held[1] - held[0], spool / 2**20, run.dropped


def import_ms(python: str) -> float:
    """``import losswatch`` over an empty interpreter, in processor time."""

    def spent(code: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([python, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    times = [spent("import losswatch") - spent("pass") for _ in range(7)]
    return statistics.median(times) * 1e3


def report(python: str, url: str, rounds: int, steps: int, away_steps: int) -> str:
    """The table of what ``python`` has, against the service at ``url``, and the lines below it."""
    ways = (*WAYS, *installed(python))
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, taken in found.items():
            taken.append(asked(python, ["--one", way, url, "--steps", str(steps)]))
    columns = list(found[WAYS[0]][0])
    lines = [f"{'per step, median of ' + str(rounds):24}" + "".join(f"{column:>12}" for column in columns)]
    median = {
        way: {column: statistics.median(each[column] for each in taken) for column in columns}
        for way, taken in found.items()
    }
    lines += [f"{way:24}" + "".join(f"{value:12.2f}" for value in row.values()) for way, row in median.items()]
    put, ours = median["SimpleQueue.put"], median["losswatch"]
    grown, spool, dropped = asked(python, ["--away", str(away_steps)])
    aims = (
        ("run.log, p50, / SimpleQueue.put", ours["p50_us"] / put["p50_us"], 3.0),
        ("run.log, p99, / its p99", ours["p99_us"] / put["p99_us"], 3.0),
        ("import losswatch, ms", import_ms(python), 150.0),
        ("memory added, MiB", ours["memory_mib"], 15.0),
    )
    lines += ["", f"{'':36}{'here':>8}{'aim':>8}"]
    lines += [
        f"{name:36}{value:8.2f}{'<=' + format(aim, 'g'):>8}{'' if value <= aim else '  MISSED'}"
        for name, value, aim in aims
    ]
    lines.append(
        f"\n{away_steps:,} steps without a service: memory {grown:+.1f} MiB over the last 90 %, "
        f"{spool:.0f} MiB on disk, {dropped:,} points without room there."
    )
    return "\n".join(lines)


def installed(python: str) -> list[str]:
    """Which of the others this interpreter has."""
    return [
        name for name in OTHERS if subprocess.run([python, "-c", f"import {name}"], capture_output=True).returncode == 0
    ]


def asked(python: str, arguments: list[str]) -> Any:
    """What this program prints in a process and a folder of its own: the last line, as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "LOSSWATCH_SPOOL_DIR": f"{folder}/spool", "TRACKIO_DIR": f"{folder}/trackio"}
        environment |= {"WANDB_DIR": folder, "WANDB_SILENT": "true", "HF_HUB_OFFLINE": "1"}
        command = [python, str(Path(__file__).resolve()), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """What `asked` runs: one way, or the steps without a service."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--away", type=int)
    parser.add_argument("--one", nargs=2, metavar=("WAY", "URL"))
    given = parser.parse_args()
    print(json.dumps(away_memory(given.away) if given.away else measure(*given.one, given.steps)))


if __name__ == "__main__":
    main()
