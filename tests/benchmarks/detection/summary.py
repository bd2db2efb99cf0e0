"""Everything the tables say, over any set of judged runs. Intervals draw whole families anew."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.detection.judging import Judged
from benchmarks.detection.score import (
    Share,
    alarms_per_10000_hours,
    bootstrap_median,
    calibration_error,
    macro,
    reliability,
    share,
)

LENGTHS = ((0, 30), (30, 100), (100, 1000), (1000, 10_000), (10_000, 10**9))
"""Classes of length in points, the upper end left out."""


def of_families(rows: Iterable[Judged], value: Callable[[Judged], bool | None]) -> Share:
    """A share of the rows, with families as clusters."""
    held = list(rows)
    return share((value(row) for row in held), (row.family for row in held))


def grouped(rows: Iterable[Judged], key: Callable[[Judged], str]) -> dict[str, list[Judged]]:
    """The rows by a key, in the keys' order."""
    groups: dict[str, list[Judged]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(sorted(groups.items()))


def length_class(row: Judged) -> str:
    """The class of a run's length."""
    low, high = next((low, high) for low, high in LENGTHS if low <= row.points < high)
    return f"{low}-{high - 1}" if high < 10**9 else f"{low} and more"


def brief(rows: Sequence[Judged]) -> dict[str, Any]:
    """The figures of a line of a table."""
    healthy, faulty = [r for r in rows if r.healthy], [r for r in rows if r.counts]
    return {
        "healthy": len(healthy),
        "faulty": len(faulty),
        "false_alarm_rate": of_families(healthy, lambda r: r.false_alarm).json(),
        "recall": of_families(faulty, lambda r: r.found).json(),
        "recall_macro": macro(faulty),
        "premature": of_families(faulty, lambda r: r.premature).json(),
        "cause_at_1": of_families(faulty, lambda r: r.cause_at_1).json(),
        "fair_cause_at_1": of_families(faulty, lambda r: r.fair_cause_at_1).json(),
        "cause_at_3": of_families(faulty, lambda r: r.cause_at_3).json(),
    }


def summarize(rows: Sequence[Judged]) -> dict[str, Any]:
    """Everything."""
    healthy, faulty = [r for r in rows if r.healthy], [r for r in rows if r.counts]
    alarms = [condition for r in healthy for condition in set(r.alarms)]
    findings = [claim for r in rows for claim in r.finding_claims]
    causes = [claim for r in faulty for claim in r.cause_claims]
    points = sum(r.points for r in healthy)
    by_condition = grouped(faulty, lambda r: r.condition)
    return {
        "runs": len(rows),
        "families": len({r.family for r in rows}),
        "failed": dict(Counter(r.failure for r in rows if r.failure)),
        **brief(rows),
        "extra_per_faulty_run": round(sum(r.extra for r in faulty) / len(faulty), 4) if faulty else None,
        "delay": bootstrap_median([r.delay for r in faulty if r.found and r.delay is not None]),
        "false_alarms_per_10000_hours": alarms_per_10000_hours(healthy),
        "cause_calibration_error": calibration_error(causes),
        "cause_reliability": reliability(causes),
        "confidence_reliability": reliability((p, right) for _, p, right in findings),
        "conditions": {
            condition: {
                "recall": of_families(found, lambda r: r.found).json(),
                "delay": bootstrap_median([r.delay for r in found if r.found and r.delay is not None]),
                "false_alarms": of_families(healthy, lambda r, c=condition: c in r.alarms).json(),
                "false_alarms_per_10000_points": round(1e4 * alarms.count(condition) / max(1, points), 3),
                "cause_at_1": of_families(found, lambda r: r.cause_at_1).json(),
                "fair_cause_at_1": of_families(found, lambda r: r.fair_cause_at_1).json(),
                "cause_error": calibration_error(claim for r in found for claim in r.cause_claims),
                "confidence_error": calibration_error((p, right) for c, p, right in findings if c == condition),
                "precision": share(right for c, _, right in findings if c == condition).json(),
            }
            for condition in sorted({*by_condition, *alarms})
            if (found := by_condition.get(condition, [])) is not None
        },
        "causes": {
            cause: {
                "recall": of_families(caused, lambda r: r.found).json(),
                "cause_at_1": of_families(caused, lambda r: r.cause_at_1).json(),
                "fair_cause_at_1": of_families(caused, lambda r: r.fair_cause_at_1).json(),
                "cause_at_3": of_families(caused, lambda r: r.cause_at_3).json(),
                "instead": common([r.first_cause for r in caused if r.first_cause not in (None, cause)]),
            }
            for cause, caused in grouped([r for r in faulty if r.cause], lambda r: str(r.cause)).items()
        },
        "by_family": {name: brief(of) for name, of in grouped(rows, lambda r: r.family).items()},
        "by_length": {
            name: brief(of)
            for name, of in sorted(
                grouped(rows, length_class).items(), key=lambda item: int(item[0].split("-")[0].split()[0])
            )
        },
    }


def common(names: Iterable[str | None]) -> str:
    """What is named most often, with its count; empty for nothing."""
    counts: dict[str, int] = defaultdict(int)
    for name in names:
        counts[name or ""] += 1
    if not counts:
        return ""
    name = max(sorted(counts), key=lambda n: counts[n])
    return f"{name} {counts[name]}"
