"""From the POST that opens a group's first finding to the receiver's socket, while other runs report."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.notifications.receiver import received, receiver


@dataclass(frozen=True)
class Result:
    """Seconds from sending the request to the message's arrival; ``missing`` never came."""

    live_runs: int
    requests_per_s: float
    trials: int
    missing: int
    p50: float
    p99: float
    worst: float


def measure(live_runs: int = 1_000, trials: int = 200, requests_per_s: float = 100.0) -> Result:
    """A real service and a real receiver on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "received.jsonl")
        with receiver(log) as hook:
            program = str(Path(sys.executable).with_name("losswatch-server"))
            command = [program, "serve", "--port", "0", "--allow-private-targets"]
            command += ["--data", str(Path(folder, "data")), "--log-level", "error"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
                assert service.stdout is not None
                try:
                    address = service.stdout.readline().split()[-1]
                    posted, rate = asyncio.run(_trials(address, hook, live_runs, trials, requests_per_s))
                    deadline = time.monotonic() + 20
                    while len(received(log)) < trials and time.monotonic() < deadline:
                        time.sleep(0.1)
                finally:
                    service.terminate()
                    service.wait(30)
            arrived = {message["run"]: message["at"] for message in received(log)}
    took = sorted(arrived[run] - at for run, at in posted.items() if run in arrived)
    return Result(
        live_runs=live_runs,
        requests_per_s=round(rate, 1),
        trials=trials,
        missing=trials - len(took),
        p50=took[len(took) // 2],
        p99=took[min(len(took) - 1, int(len(took) * 0.99))],
        worst=took[-1],
    )


async def _trials(
    address: str, hook: str, live_runs: int, trials: int, requests_per_s: float
) -> tuple[dict[str, float], float]:
    posted: dict[str, float] = {}
    sent = 0
    limits = httpx.Limits(max_connections=32)
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        (await client.post("/v1/targets", json={"kind": "webhook", "url": hook})).raise_for_status()
        ready = asyncio.Event()

        async def live(first: int) -> None:
            nonlocal sent
            step = 0
            while not ready.is_set():
                for run in range(first, live_runs, 8):
                    if ready.is_set():
                        return
                    point = {"step": step, "loss": 2.0 + 1.0 / (step + 1)}
                    await client.post(f"/v1/runs/live-{run}/points?report=false", json=point)
                    sent += 1
                    await asyncio.sleep(8 / requests_per_s)
                step += 1

        workers = [asyncio.create_task(live(first)) for first in range(8)]
        await asyncio.sleep(min(30.0, live_runs / requests_per_s))
        began, before = time.monotonic(), sent
        for number in range(trials):
            run = f"bad-{number}"
            points = [{"step": step, "loss": 2.0} for step in range(3)] + [{"step": 3, "loss": "NaN"}]
            points += [{"step": 4, "loss": "NaN"}, {"step": 5, "loss": "NaN"}]
            posted[run] = time.time()
            body = {"points": points, "context": {"group": run}}
            (await client.post(f"/v1/runs/{run}/points", json=body)).raise_for_status()
            await asyncio.sleep(0.05)
        rate = (sent - before) / (time.monotonic() - began)
        ready.set()
        await asyncio.gather(*workers)
    return posted, rate
