"""How long posts of one point take beside heavy requests: bodies of 100,000 points, large diagnoses, whole series.

``python -m benchmarks.ingest.beside`` (with ``tests`` on the path) prints it alone.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvloop

from benchmarks.ingest.load import Sample, paced, served
from benchmarks.ingest.table import Ratio

LIGHT_RUNS, CARRIERS = 80, 8
"""Runs that post a point a second, and the connections that carry them."""
POINTS = 100_000
LOG_BYTES = 50_000_000
DIAGNOSES, STREAMS = 2, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Light posts beside one kind of heavy work, and alone just before that; how often the heavy work was done."""

    work: str
    alone: Sample
    beside: Sample
    done: int

    @property
    def ratio(self) -> float:
        """p99 beside over p99 alone."""
        return self.beside.p99_ms / self.alone.p99_ms


def beside(*, seconds: float, points: int = POINTS, log_bytes: int = LOG_BYTES, runs: int = LIGHT_RUNS) -> list[Beside]:
    """Each kind of heavy work, one after the other, against one server."""
    body = _points(points)
    log = _log(log_bytes)
    names = (f"heavy-{number}" for number in range(1_000_000))
    with served("losswatch") as port, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        def light() -> Sample:
            return runner.run(paced(port, runs=runs, connections=min(CARRIERS, runs), seconds=seconds))

        def measured(work: str, clients: int, request: Callable[[], object]) -> Beside:
            alone = light()
            with _busy(clients, request) as done:
                found = light()
            return Beside(work=work, alone=alone, beside=found, done=len(done))

        _ask(port, "POST", "/v1/runs/whole/points?report=false", body)
        return [
            measured(
                f"bodies of {points:,} points",
                1,
                lambda: _ask(port, "POST", f"/v1/runs/{next(names)}/points?report=false", body),
            ),
            measured(
                f"{DIAGNOSES} diagnoses of {log_bytes / 1e6:.0f} MB",
                DIAGNOSES,
                lambda: _ask(port, "POST", "/v1/diagnose", log, "text/plain"),
            ),
            measured(
                f"{STREAMS} streams of a run of {points:,} points",
                STREAMS,
                lambda: _ask(port, "GET", "/v1/runs/whole/points", accept="application/x-ndjson"),
            ),
        ]


@contextmanager
def _busy(clients: int, request: Callable[[], object]) -> Iterator[list[object]]:
    """So many clients that do nothing but repeat a request; each answer is in the list."""
    done: list[object] = []
    errors: list[Exception] = []
    stop = threading.Event()

    def repeat() -> None:
        try:
            while not stop.is_set():
                done.append(request())
        except Exception as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=repeat) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


def _ask(
    port: int, method: str, path: str, body: bytes | None = None, kind: str = "application/json", accept: str = "*/*"
) -> int:
    """The bytes of the answer; raises RuntimeError for any but 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request(method, path, body, {"Content-Type": kind, "Accept": accept})
        answer = connection.getresponse()
        read = 0
        while part := answer.read(1 << 20):
            read += len(part)
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {part[:300]!r}")
        return read
    finally:
        connection.close()


def _points(count: int) -> bytes:
    draw = random.Random(1)
    points = [
        {
            "step": step,
            "loss": 2.3 * (1 + step) ** -0.2 * (1 + 0.05 * draw.gauss(0, 1)),
            "grad_norm": 1.5 * draw.random(),
        }
        for step in range(count)
    ]
    return json.dumps({"points": points}, separators=(",", ":")).encode()


def _log(size: int) -> bytes:
    """A training log of about so many bytes, with lines as long as trainers write them."""
    draw = random.Random(2)
    lines: list[str] = []
    step = 0
    held = 0
    while held < size:
        loss = 2.3 * (1 + step) ** -0.2 * (1 + 0.05 * draw.gauss(0, 1))
        rest = " ".join(f"time/part_{part}={draw.random():.6f}" for part in range(8))
        lines.append(
            f"[2026-03-01 12:00:00] epoch {step // 1000} step {step} loss={loss:.6f} "
            f"grad_norm={1.5 * draw.random():.4f} lr=0.001 {rest}\n"
        )
        held += len(lines[-1])
        step += 1
    return "".join(lines).encode()


def beside_ratio(found: Beside) -> Ratio:
    """The targets: five times as long at most, beside streams three times."""
    must = 3 if "stream" in found.work else 5
    return Ratio(f"p99 beside {found.work}, / alone", found.ratio, must, 2, more=False)


def text(found: list[Beside]) -> str:
    """The table, and the ratios beside their targets."""
    lines = [f"{'posts of one point, p50 / p99 ms, beside':<46}{'alone':>14}{'beside':>16}{'p99 ratio':>11}{'done':>6}"]
    lines += [
        f"{one.work:<46}{one.alone.p50_ms:>7.1f}{one.alone.p99_ms:>7.1f}{one.beside.p50_ms:>8.1f}{one.beside.p99_ms:>8.1f}"
        f"{one.ratio:>11.1f}{one.done:>6}"
        for one in found
    ]
    lines += ["", f"{'ratio':<52}{'here':>8}{'must':>7}{'aim':>7}", *(beside_ratio(one).line() for one in found)]
    return "\n".join(lines)


def main() -> None:
    began = time.perf_counter()
    print(text(beside(seconds=8)))
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
