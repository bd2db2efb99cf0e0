"""What each integration costs a step of a small training: watched and unwatched trainings in turns, in one process.

``python -m benchmarks.client`` runs it for each integration that the frameworks' Python has. Counted is processor
time, of the whole process (the client's sender thread too) and of the training thread alone. Steps 11 to 30 count: what
is looked at in the first steps and at step 10 (then at 100, 1,000, ...) is a figure of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import tempfile
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.client.trainings import TRAININGS

HERE = Path(__file__)
FIRST, STEPS = 11, 31
"""Steps of each training, and the first that counts."""
LAYERS_EVERY = 10
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
"""The 97.5 % point of Student's t, from one degree of freedom on."""


def typical(each: list[float]) -> float:
    """Seconds of a step: the median, with every tenth step, which brings the norms of layers, counted by itself."""
    with_layers = [taken for step, taken in enumerate(each, FIRST) if step % LAYERS_EVERY == 0]
    others = [taken for step, taken in enumerate(each, FIRST) if step % LAYERS_EVERY != 0]
    return (statistics.median(others) * (LAYERS_EVERY - 1) + statistics.median(with_layers)) / LAYERS_EVERY


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval (Student's t)."""
    if len(values) < 2:
        return values[0], math.nan
    width = STUDENT[min(len(values) - 2, len(STUDENT) - 1)] * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values), width


def measure(name: str, pairs: int) -> dict[str, Any]:
    """One integration, in this process."""
    make, package = TRAININGS[name]
    if find_spec(package) is None:
        return {}
    train = make()
    train(True, FIRST)  # what is loaded and compiled once
    shares: dict[str, list[float]] = {"thread": [], "process": []}
    steps, looks = [], []
    for pair in range(pairs):
        marks = {is_watched: train(is_watched, STEPS) for is_watched in (pair % 2 == 0, pair % 2 == 1)}
        for kind, share in shares.items():
            taken = {
                is_watched: [getattr(after, kind) - getattr(before, kind) for before, after in pairwise(of)]
                for is_watched, of in marks.items()
            }
            plain, watched = (typical(taken[is_watched][FIRST:STEPS]) for is_watched in (False, True))
            share.append(watched / plain - 1)
        steps.append(plain)
        looks.append(sum(taken[True][:FIRST]) - sum(taken[False][:FIRST]))
    return {
        "step_ms": statistics.median(steps) * 1e3,
        **{kind: interval(share) for kind, share in shares.items()},
        "looks_ms": statistics.median(looks) * 1e3,
    }


def report(python: str, url: str, pairs: int) -> str:
    """The table, of what ``python`` has."""
    lines = [f"{'added to a step':24}{'step ms':>9}{'process':>18}{'training thread':>20}{'first looks ms':>16}"]
    for name in TRAININGS:
        measured = asked(python, url, name, pairs)
        if measured:
            (process, wide), (thread, narrow) = measured["process"], measured["thread"]
            lines.append(
                f"{name:24}{measured['step_ms']:9.1f}{process:+10.2%} ±{wide:6.2%}{thread:+12.2%} ±{narrow:6.2%}"
                f"{measured['looks_ms']:16.1f}"
            )
    return "\n".join(lines)


def asked(python: str, url: str, name: str, pairs: int) -> dict[str, Any]:
    """What this program measures of one integration, in a process and a folder of its own."""
    root = HERE.parents[3]
    paths = (root / "tests", root / "clients" / "python" / "src", root / "clients" / "logs" / "src")
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "LOSSWATCH_URL": url, "OMP_NUM_THREADS": "1",
            "LOSSWATCH_SPOOL_DIR": f"{folder}/spool", "CUDA_VISIBLE_DEVICES": "", "TMPDIR": folder,
        }  # fmt: skip
        command = [python, "-W", "ignore", str(HERE), "--one", name, "--pairs", str(pairs)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--one", metavar="NAME", required=True)
    given = parser.parse_args()
    with contextlib.redirect_stdout(None):
        measured = measure(given.one, given.pairs)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
