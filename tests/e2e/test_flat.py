"""A service that goes on for long stays as large as it was: memory, descriptors, and bytes on the disk for a point."""

from __future__ import annotations

import json
import logging
import re
import time
from pathlib import Path

import httpx
import pytest

from cli.test_serve import Start, address_of, start

__all__ = ["start"]

RUNS, BATCHES, POINTS = 4, 6, 200
"""Of a round; each run ends in it."""
ROUNDS = 5
WARM = 3
"""Rounds until every cache and pool has what it will have."""
LOG = 24 << 20
"""Bytes: the write-ahead log before it is begun anew, and what is not compressed yet."""
A_POINT = 200
"""Bytes in runs as short as these: 14 compressed for a loss and a gradient norm, and of each run's snapshot, summaries,
report and events its share (about 80 in all, measured over 50,000 points)."""


@pytest.fixture
def minutes(request: pytest.FixtureRequest) -> float:
    """How long to go on: ``--flat-minutes`` (make soak), else a few rounds."""
    return float(request.config.getoption("--flat-minutes", default=None) or 0.0)


class Size:
    """What a service takes now."""

    def __init__(self, client: httpx.Client, data: Path) -> None:
        text = client.get("/metrics").text
        self.memory = self._of(text, "process_resident_memory_bytes")
        self.descriptors = self._of(text, "process_open_fds")
        self.disk = sum(path.stat().st_size for path in data.iterdir())

    @staticmethod
    def _of(text: str, name: str) -> float:
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        assert found is not None
        return float(found[1])


def go_round(client: httpx.Client, number: int) -> int:
    """Runs begin, are posted to, looked at, and end; the points that were kept."""
    kept = 0
    for batch in range(BATCHES):
        for run in range(RUNS):
            name = f"run-{number}-{run}"
            steps = range(batch * POINTS, (batch + 1) * POINTS)
            points = [{"step": n, "loss": 2 / (1 + n / 100) + (n * 7919 % 13) / 500, "grad_norm": 1.0} for n in steps]
            answer = client.post(f"/v1/runs/{name}/points", content=json.dumps({"points": points}))
            assert answer.status_code == 200
            kept += answer.json()["accepted"]
    for run in range(RUNS):
        for path in ("points?resolution=200", "findings", "chart.svg", "export"):
            assert client.get(f"/v1/runs/run-{number}-{run}/{path}").status_code == 200
        assert client.post(f"/v1/runs/run-{number}-{run}/finish").status_code == 200
    with client.stream("GET", "/v1/events") as stream:
        assert next(stream.iter_lines())
    return kept


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_a_service_that_goes_on_stays_as_large_as_it_was(start: Start, tmp_path: Path, minutes: float) -> None:
    with httpx.Client(base_url=address_of(start("--port", "0")), timeout=120) as client:
        kept, number, until = 0, 0, time.monotonic() + 60 * minutes
        sizes: list[Size] = []
        while number < ROUNDS or time.monotonic() < until:
            kept += go_round(client, number)
            number += 1
            if number >= WARM:
                sizes.append(Size(client, tmp_path / "data"))
        first, last = sizes[0], sizes[-1]
        assert kept == number * RUNS * BATCHES * POINTS
        assert last.descriptors <= first.descriptors + 4
        # At most 64 KiB of monitor for each of the 512 runs that are kept in memory, and what the allocator holds.
        assert last.memory < first.memory + 48e6 + 24e6
        assert last.disk < LOG + A_POINT * kept
        logging.getLogger(__name__).info(
            "%d rounds, %d points: memory %.0f to %.0f MB, %d descriptors, %.1f bytes a point",
            number, kept, first.memory / 1e6, last.memory / 1e6, last.descriptors, last.disk / kept,
        )  # fmt: skip
