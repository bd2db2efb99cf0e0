"""What a service that comes and goes costs a training of 10,000 steps: its plug is pulled at random all the while.

One training logs every step while the service is killed and started again; another logs nothing. Each step computes
for ``STEP_S`` (matrices, then plain Python). Counted against that computing: the processor time of everything else in
the process, which bounds from above what a training on one core can lose; and how long the training thread waited
(for the interpreter, for a processor), beside the same of the training that logs nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STEP_S = 0.006
STEPS = 10_000
QUIET_STEPS = 2_000
UP_S, DOWN_S = (1.0, 4.0), (0.5, 4.0)


def train(url: str, steps: int) -> dict[str, float]:
    """One training in this process; without ``url`` nothing is logged."""
    import numpy

    matrix = numpy.random.default_rng(1).normal(size=(128, 128)).astype("float32")

    def compute(units: int) -> None:
        for _ in range(units):
            numpy.tanh(matrix @ matrix)
            sum(range(3000))

    before = time.thread_time()
    compute(200)
    units = max(round(STEP_S / (time.thread_time() - before) * 200), 1)
    run = None
    if url:
        import losswatch

        run = losswatch.Run("plugged", url=url, quiet=True)
    computing = waited = 0.0
    began = time.process_time()
    for step in range(steps):
        clock, thread = time.perf_counter(), time.thread_time()
        compute(units)
        taken = time.thread_time() - thread
        computing += taken
        waited += time.perf_counter() - clock - taken
        if run is not None:
            run.log(step, loss=1.0 + 1.0 / (step + 1), grad_norm=1.0)
    added = time.process_time() - began - computing
    if run is not None:
        run.finish(timeout=60)
    return {
        "step_ms": computing / steps * 1e3,
        "added": added / computing,
        "waited": waited / computing,
        "dropped": 0.0 if run is None else run.dropped,
    }


def serve(data: Path, port: int) -> subprocess.Popen[str]:
    """A service that answers."""
    command = [sys.executable, "-m", "losswatch_server", "serve", "--port", str(port), "--data", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if not re.search(r"http://\S+", process.stdout.readline()):
        raise SystemExit("the service did not start")
    return process


def pull(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def trainer(url: str, steps: int, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "LOSSWATCH_SPOOL_DIR": str(folder / "spool"), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--train", url, "--steps", str(steps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit("the training failed")
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def report(steps: int = STEPS) -> str:
    """Both trainings, one after the other, and what they say of each other."""
    draw = random.Random(20261128)
    pulls = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = result(trainer("", min(QUIET_STEPS, steps), folder))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        service = serve(folder / "data", port)
        try:
            training = trainer(f"http://127.0.0.1:{port}", steps, folder)
            until = time.monotonic() + steps * STEP_S - UP_S[1] - DOWN_S[1]
            while time.monotonic() < until and training.poll() is None:
                time.sleep(draw.uniform(*UP_S))
                pull(service)
                pulls += 1
                time.sleep(draw.uniform(*DOWN_S))
                service = serve(folder / "data", port)
            plugged = result(training)
        finally:
            pull(service)
        left = len(list((folder / "spool").glob("*.jsonl")))
    return (
        f"{steps:,} steps of {plugged['step_ms']:.1f} ms while the plug of the service was pulled {pulls} times:\n"
        f"{'processor time of the client, of the computing':52}{plugged['added']:8.2%}   aim: <= 1 %\n"
        f"{'the training thread waited, of the computing':52}{plugged['waited']:8.2%}\n"
        f"{'  the same of a training that logs nothing':52}{alone['waited']:8.2%}\n"
        f"{'points that were dropped, spool files left over':52}{plugged['dropped']:5.0f}, {left}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--train", metavar="URL")
    given = parser.parse_args()
    if given.train is None:
        print(report(given.steps))
    else:
        print(json.dumps(train(given.train, given.steps)))


if __name__ == "__main__":
    main()
