"""The monitor's cost as a table, and as ratios beside the targets."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.ingest.table import Ratio
from benchmarks.monitor.cost import Cost, LogCost


def ratios(costs: Sequence[Cost], kendall: float, log: LogCost | None = None) -> list[Ratio]:
    """What the targets speak of, of the run with a loss and a gradient norm."""
    of_log = [] if log is None else [Ratio(f"log of {log.lines:,} lines, s of a core", log.cpu_s, 5, 2, more=False)]
    mine = [cost for cost in costs if (cost.series, cost.batch) == (costs[0].series, 1)]
    early = next(cost for cost in mine if cost.points > mine[0].points)
    last = mine[-1]
    batched = {cost.series: cost for cost in costs if cost.batch > 1 and cost.points == last.points}
    return [
        Ratio(f"monitor, us per point over {last.points:.0e} points", last.mean_us, 20, 7, more=False),
        Ratio("  the same, / one kendalltau of 200 points", last.mean_us / kendall, 0.04, 0.02, more=False),
        *(
            Ratio(f"  in batches of {cost.batch}: {name}", cost.mean_us / kendall, *target, more=False)
            for (name, cost), target in zip(batched.items(), ((0.015, 0.006), (0.06, 0.02)), strict=False)
        ),
        Ratio(
            f"points up to {last.points:.0e} / points 1001 to {early.points}",
            last.last_us / early.last_us,
            1.2,
            1.05,
            more=False,
        ),
        Ratio("largest state, KiB", max(cost.state_bytes for cost in costs) / 1024, 64, 32, more=False),
        *of_log,
    ]


def text(costs: Sequence[Cost], kendall: float, loop: float, log: LogCost | None = None) -> str:
    """Both tables."""
    title = "monitor alone"
    lines = [f"{title:<36}{'batch':>6}{'points':>9}{'us each':>9}{'last tenth':>11}{'state KiB':>11}"]
    lines += [
        f"{cost.series:<36}{cost.batch:>6}{cost.points:>9.0e}{cost.mean_us:>9.1f}{cost.last_us:>11.1f}"
        f"{cost.state_bytes / 1024:>11.1f}"
        for cost in costs
    ]
    lines += ["", f"{'ratio':<52}{'here':>8}{'must':>7}{'aim':>7}"]
    lines += [ratio.line() for ratio in ratios(costs, kendall, log)]
    lines += ["", f"One scipy kendalltau of 200 points: {kendall:.0f} us; one turn of a Python loop: {loop:.3f} us."]
    if log is not None:
        lines.append(
            f"A log of {log.lines:,} lines ({log.megabytes:.0f} MB) read and diagnosed: "
            f"{log.cpu_s / log.megabytes:.2f} s of a core for each MB, {1e6 * log.cpu_s / log.lines:.0f} us a line."
        )
    return "\n".join(lines)
