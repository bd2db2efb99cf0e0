"""The samples as a table, and as ratios beside the targets."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.ingest.load import Sample
from benchmarks.ingest.peers import PEERS, TRACKIO

TRACKIO_SINGLE = 0.074
"""Requests per processor second of trackio 0.43 (`/api/bulk_log`, one point) as a share of the echo's: 470 of 6313,
measured side by side. It stands in where trackio is not measured in the same run."""

TRACKIO_BATCHED = 4.0
"""Its points per processor second with 100 points a request, as a share of the echo's single requests: 25k of 6313."""


TRACKIO_P50, TRACKIO_P99 = 11.0, 22.0
"""Its latency on one connection as a multiple of the echo's: 2.0 of 0.18 ms, 12 of 0.55 ms."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One quantity that has a target. ``more`` is whether more is better."""

    name: str
    value: float
    must: float
    aim: float
    more: bool = True

    @property
    def verdict(self) -> str:
        """ "aim", "must" or "MISSED"."""
        reached = (lambda target: self.value >= target) if self.more else (lambda target: self.value <= target)
        return "aim" if reached(self.aim) else "must" if reached(self.must) else "MISSED"

    def line(self) -> str:
        """As a row of a table."""
        sign = "" if self.more else "<="
        must, aim = (f"{sign}{target:.3g}" for target in (self.must, self.aim))
        return f"{self.name:<52}{self.value:>8.2f}{must:>7}{aim:>7}  {self.verdict}"


def medians(samples: Iterable[Sample]) -> dict[tuple[str, int, int], Sample]:
    """The sample with the median requests per processor second of each cell (server, points, connections)."""
    cells: dict[tuple[str, int, int], list[Sample]] = {}
    for sample in samples:
        cells.setdefault((sample.server, sample.points, sample.connections), []).append(sample)
    return {
        key: sorted(cell, key=lambda sample: sample.per_cpu_second)[(len(cell) - 1) // 2] for key, cell in cells.items()
    }


def ratios(samples: Sequence[Sample], kept: float | None, live: Sample | None = None) -> list[Ratio]:
    """What the targets speak of. ``kept`` is the share of throughput kept beside two busy processes; ``live`` is of
    runs that post a point a second."""
    cells = medians(samples)
    few, some, many = _connections(samples)
    ours, echoed = cells["losswatch", 1, many], cells["echo", 1, many]
    batched = cells["losswatch", 100, some]
    alone, echo_alone = cells["losswatch", 1, few], cells["echo", 1, few]
    theirs, their_points = TRACKIO_SINGLE * echoed.per_cpu_second, TRACKIO_BATCHED * echoed.per_cpu_second
    beside = " (its share)"
    if (TRACKIO, 1, many) in cells:
        theirs, their_points = cells[TRACKIO, 1, many].per_cpu_second, 100 * cells[TRACKIO, 100, some].per_cpu_second
        beside = ""
    found = [
        Ratio("single point, requests per CPU-s, / echo", ours.per_cpu_second / echoed.per_cpu_second, 0.55, 0.9),
        Ratio(f"  the same, / trackio{beside}", ours.per_cpu_second / theirs, 8, 12),
        Ratio(f"  the same by the clock, {many} connections / {few}", ours.per_second / alone.per_second, 2.5, 5),
        Ratio(f"100 points, points per CPU-s, / trackio{beside}", 100 * batched.per_cpu_second / their_points, 3, 8),
        Ratio("p50, one connection, / echo", alone.p50_ms / echo_alone.p50_ms, TRACKIO_P50 / 2, 3, more=False),
        Ratio("p99, one connection, / echo", alone.p99_ms / echo_alone.p99_ms, TRACKIO_P99 / 4, 3, more=False),
    ]
    if kept is not None:
        found.append(Ratio("throughput kept beside two CPU hogs", kept, 0.4, 0.7))
    if live is not None:
        name = f"{live.per_second:.0f} points a second of as many runs, share of a core"
        found.append(Ratio(name, live.cpu_s / live.seconds, 0.6, 0.3, more=False))
    return found


def text(samples: Sequence[Sample], kept: float | None, live: Sample | None = None) -> str:
    """Both tables."""
    lines = [
        f"{'server':<12}{'pts/req':>8}{'conns':>6}{'req/s':>9}{'points/s':>10}{'req/CPU-s':>11}"
        f"{'p50 ms':>8}{'p99 ms':>8}"
    ]
    for (server, points, connections), sample in sorted(medians(samples).items(), key=lambda item: item[0][1:]):
        lines.append(
            f"{server:<12}{points:>8}{connections:>6}{sample.per_second:>9.0f}{sample.per_second * points:>10.0f}"
            f"{sample.per_cpu_second:>11.0f}{sample.p50_ms:>8.2f}{sample.p99_ms:>8.2f}"
        )
    lines.append("")
    lines.append(f"{'ratio':<52}{'here':>8}{'must':>7}{'aim':>7}")
    lines += [ratio.line() for ratio in ratios(samples, kept, live)]
    if live is not None:
        lines.append(
            f"\n{live.per_second:.0f} points a second of as many runs: p50 {live.p50_ms:.1f} ms, "
            f"p99 {live.p99_ms:.1f} ms."
        )
    lines += ["", *_beside_peers(samples)]
    spread = [sample.per_cpu_second for sample in samples if (sample.server, sample.points) == ("echo", 1)]
    varied = 100 * statistics.pstdev(spread) / statistics.mean(spread)
    lines.append(f"\nThe echo's own requests per CPU-s varied by {varied:.0f} %.")
    return "\n".join(lines)


def _beside_peers(samples: Sequence[Sample]) -> list[str]:
    """A line for each peer: how many times its points a processor second of the server the service takes."""
    cells, some = medians(samples), _connections(samples)[1]
    lines = []
    for peer in PEERS:
        if (peer, 1, some) not in cells:
            lines.append(f"{peer} is not measured here: it could not be installed or started.")
            continue
        times = [cells["losswatch", points, some].per_cpu_second / cells[peer, points, some].per_cpu_second
                 for points in (1, 100)]  # fmt: skip
        lines.append(
            f"points a CPU-s of the server with {some} connections, / {peer}: {times[0]:.1f} one by one, "
            f"{times[1]:.1f} by the hundred."
        )
    return lines


def _connections(samples: Sequence[Sample]) -> tuple[int, int, int]:
    found = sorted({sample.connections for sample in samples})
    return found[0], found[len(found) // 2], found[-1]
