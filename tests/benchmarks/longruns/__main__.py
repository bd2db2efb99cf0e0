"""``make bench-longruns``: read a run of two million points, go on with it, and see what that costs others.

Memory is the highest that the server's process reached above where it stood before (VmHWM). "Others" are a client
that posts one point after another to a run of its own; its latencies are given idle and beside the work.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.longruns.building import RUN, build, points

TOTAL = 2_000_000


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, int]]:
    """The address and process of a server over a data directory."""
    command = [str(Path(sys.executable).parent / "losswatch-server"), "serve", "--port", "0", "--data", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "http://" in line)
        yield "http://" + line.split("http://")[1].split()[0].rstrip("/."), process.pid
    finally:
        process.terminate()
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()


class Peak:
    """The memory that a process takes at most above what it had when this was made, in MB."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        self._before = self._read("VmRSS")

    def _read(self, name: str) -> int:
        return next(int(row.split()[1]) for row in self._status.read_text().splitlines() if row.startswith(name))

    def added(self) -> float:
        """Since then."""
        return (self._read("VmHWM") - self._before) / 1000


class Others:
    """A client beside the work."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=120, trust_env=False)
        self._step = 0

    def post(self) -> float:
        """Milliseconds of one request."""
        self._step += 1
        body = {"step": self._step, "loss": 1.0 + self._step % 7 / 10, "grad_norm": 1.0}
        start = time.perf_counter()
        self._client.post("/v1/runs/other/points", json=body).raise_for_status()
        return 1000 * (time.perf_counter() - start)

    def during(self, work: Callable[[], object] | None, at_least_s: float = 0.0) -> list[float]:
        """Latencies until the work is done, or for so long."""
        found: list[float] = []
        end = time.perf_counter() + at_least_s
        thread = threading.Thread(target=work) if work else None
        if thread:
            thread.start()
        while (thread and thread.is_alive()) or time.perf_counter() < end:
            found.append(self.post())
            time.sleep(0.002)
        return found


def tell(what: str, seconds: float, *more: str) -> None:
    """One line of the table."""
    print(f"{what:58} {1000 * seconds:9.0f} ms   " + "   ".join(more), flush=True)


def spread(found: list[float]) -> str:
    """Median, 99th percentile and maximum."""
    ordered = sorted(found)
    return (
        f"others p50 {statistics.median(ordered):.1f} p99 {ordered[int(0.99 * (len(ordered) - 1))]:.1f} "
        f"max {ordered[-1]:.1f} ms (n {len(ordered)})"
    )


def main(folder: Path) -> None:
    with served(folder) as (url, pid):
        client = httpx.Client(base_url=url, timeout=600, trust_env=False)
        path = f"/v1/runs/{RUN}/points"
        others = Others(url)
        for _ in range(50):
            others.post()

        def get(**query: object) -> float:
            start = time.perf_counter()
            client.get(path, params={name.rstrip("_"): value for name, value in query.items()}).raise_for_status()  # type: ignore[misc]
            return time.perf_counter() - start

        def stream(accept: str) -> int:
            size = 0
            with httpx.stream("GET", url + path, headers={"Accept": accept}, timeout=600, trust_env=False) as answer:
                for part in answer.iter_bytes():
                    size += part.count(b"\n")
            return size

        def post(body: dict[str, object]) -> dict[str, object]:
            answer = client.post(path, json=body, params={"report": "false"})
            answer.raise_for_status()
            found: dict[str, object] = answer.json()
            return found

        get(resolution=10)
        tell("idle", 0, spread(others.during(None, 4)))
        for query in ({"resolution": 1000}, {"resolution": 1000}, {"resolution": 1000, "from_": 500_000, "to": 600_000},
                      {"limit": 10_000}, {"limit": 10_000, "from_": 1_500_000}):  # fmt: skip
            peak = Peak(pid)
            tell(f"GET {query}", get(**query), f"+{peak.added():.0f} MB")
        for accept, at_once in (("application/x-ndjson", 1), ("text/csv", 1), ("application/x-ndjson", 4)):
            peak = Peak(pid)
            start = time.perf_counter()

            def streams(accept: str = accept, at_once: int = at_once) -> None:
                with ThreadPoolExecutor(at_once) as pool:
                    assert min(pool.map(stream, [accept] * at_once)) >= TOTAL

            found = others.during(streams)
            tell(f"{at_once} x {accept}", time.perf_counter() - start, f"+{peak.added():.0f} MB", spread(found))
        old = [{"step": p.step, "loss": p.loss, "grad_norm": p.grad_norm} for p in points(0, 100_000)]
        times: list[float] = []

        def duplicates() -> None:
            for _ in range(200):
                start = time.perf_counter()
                assert post({"points": old[:1], "writer": "first"})["duplicates"] == 1
                times.append(time.perf_counter() - start)

        found = others.during(duplicates)
        tell("a duplicate of step 0 (median of 200)", statistics.median(times), spread(found))
        for what, body in (
            ("the first 10,000 points sent again", {"points": old[:10_000], "writer": "first"}),
            ("the first 100,000 points sent again", {"points": old, "writer": "first"}),
            ("a step back to 0", {"points": [{"step": 0, "loss": 3.0}], "writer": "second"}),
            ("100,000 new points", {"points": [{**p, "step": p["step"] + 1} for p in old], "writer": "second"}),
            ("a step back to 50,000", {"points": [{"step": 50_000, "loss": 1.0}], "writer": "third"}),
        ):
            text = json.dumps(body)
            peak = Peak(pid)
            took: list[float] = []

            def once(text: str = text, took: list[float] = took) -> None:
                start = time.perf_counter()
                client.post(path, content=text, params={"report": "false"}).raise_for_status()
                took.append(time.perf_counter() - start)

            found = others.during(once)
            tell(what, took[0], f"+{peak.added():.0f} MB", spread(found))
        tell("idle", 0, spread(others.during(None, 4)))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            print(f"telling a run of {TOTAL:,} points ...", flush=True)
            for _ in build(Path(made), TOTAL):
                pass
            main(Path(made))
