"""Compare findings with labels; count, with confidence intervals.

detected     a faulty run in which a finding of warning or above names the labelled condition, or one that is also fair
false alarm  a healthy run with any finding of warning or above that is not also fair
premature    the right condition, opened clearly before its onset (5 % of the run, at least 3 points)
extra        conditions said of a faulty run that are neither the labelled one nor also fair
delay        (opened - onset) / (last - onset) of the detected ones, floored at 0
cause@1/@3   a fair cause stands first / among the first three of a matching finding; only runs with a known cause count
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.detection.labels import HEALTHY, LabelledRun
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.vocabulary import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One finding, as little of it as scoring and listing need."""

    condition: str
    series: str
    severity: str
    confidence: float
    onset_step: int
    opened_step: int
    resolved_step: int | None
    causes: tuple[tuple[str, float], ...]
    actions: tuple[tuple[str, Any], ...]
    summary: str

    @property
    def alarming(self) -> bool:
        """Of warning or above."""
        return self.severity in (Severity.WARNING, Severity.CRITICAL)


def said(finding: Finding) -> Said:
    """What a finding says."""
    return Said(
        condition=str(finding.condition),
        series=finding.series,
        severity=str(finding.severity),
        confidence=finding.confidence,
        onset_step=finding.onset_step,
        opened_step=finding.opened_step,
        resolved_step=finding.resolved_step,
        causes=tuple((str(c.cause), c.probability) for c in finding.causes),
        actions=tuple((a.action, a.value) for a in finding.advice),
        summary=finding.summary,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One run against its label. The fields of the other kind of run stay at their defaults."""

    id: str
    family: str
    condition: str
    cause: str | None
    onset: int
    steps: tuple[int, int]
    points: int
    said: tuple[Said, ...]
    alarms: tuple[str, ...] = ()
    """The conditions said of a healthy run that should not be."""
    detected: bool = False
    premature: bool = False
    may_be_missed: bool = False
    extra: int = 0
    delay: float | None = None
    cause_at_1: bool | None = None
    cause_at_3: bool | None = None
    prefix_alarms: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Labelled healthy."""
        return self.condition == HEALTHY

    @property
    def false_alarm(self) -> bool:
        """A healthy run of which anything wrong is said."""
        return bool(self.alarms)

    @property
    def found(self) -> bool:
        """Detected, and not before it began."""
        return self.detected and not self.premature

    @property
    def counts(self) -> bool:
        """A fault that a fair monitor may also call healthy counts only where it was found."""
        return not self.healthy and (self.detected or not self.may_be_missed)

    @property
    def wrong(self) -> bool:
        """Anything about the detection is wrong."""
        return self.false_alarm or bool(self.prefix_alarms) or (self.counts and (not self.found or self.extra > 0))


def judge(run: LabelledRun, findings: Sequence[Said], prefix_alarms: tuple[str, ...] = ()) -> Judged:
    """One run's findings, resolved ones included, against its label."""
    label = run.label
    steps = (run.first_step, run.last_step)
    alarms = [f for f in findings if f.alarming]
    onset = label.onset_step or steps[0]
    common: dict[str, Any] = {
        "id": run.id,
        "family": run.family,
        "condition": label.condition,
        "cause": label.cause,
        "onset": onset,
        "steps": steps,
        "points": len(run.points),
        "said": tuple(findings),
    }
    if label.healthy:
        wrong = tuple(sorted({f.condition for f in alarms} - set(label.also_ok)))
        return Judged(**common, alarms=wrong, prefix_alarms=prefix_alarms)
    matching = sorted((f for f in alarms if f.condition in label.right), key=lambda f: f.opened_step)
    spacing = run.points[min(1, len(run.points) - 1)].step - steps[0]
    tolerance = max(0.05 * (steps[1] - steps[0]), 3 * spacing)
    first = matching[0].opened_step if matching else None
    causes = label.right_causes
    return Judged(
        **common,
        detected=first is not None,
        premature=first is not None and first < onset - tolerance,
        may_be_missed=HEALTHY in label.also_ok,
        extra=len({f.condition for f in alarms} - label.right),
        delay=None if first is None else max(0.0, (first - onset) / max(1, steps[1] - onset)),
        cause_at_1=any(name in causes for f in matching for name, _ in f.causes[:1]) if label.cause else None,
        cause_at_3=any(name in causes for f in matching for name, _ in f.causes[:3]) if label.cause else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """``hits`` of ``of``, and the 95 % Wilson interval of the share."""

    hits: int
    of: int

    @property
    def share(self) -> float | None:
        """hits / of; None of nothing."""
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson, Journal of the American Statistical Association 22 (1927) 209, at 95 %."""
        if not self.of:
            return None
        z, n, p = 1.959964, self.of, self.hits / self.of
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        low = 0.0 if self.hits == 0 else max(0.0, centre - half)
        high = 1.0 if self.hits == n else min(1.0, centre + half)
        return low, high

    def json(self) -> dict[str, Any]:
        """For results.json."""
        interval = self.interval
        return {
            "hits": self.hits,
            "of": self.of,
            "share": None if self.share is None else round(self.share, 4),
            "interval": None if interval is None else [round(interval[0], 4), round(interval[1], 4)],
        }


def share(values: Iterable[bool | None]) -> Share:
    """How many of the values that are not None are true."""
    known = [value for value in values if value is not None]
    return Share(hits=sum(known), of=len(known))


def bootstrap_median(values: Sequence[float], *, seed: int = 0, resamples: int = 2000) -> dict[str, Any] | None:
    """The median and its 95 % percentile bootstrap interval."""
    if not values:
        return None
    draws = np.random.default_rng(seed).choice(np.asarray(values), size=(resamples, len(values)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return {"median": round(statistics.median(values), 4), "interval": [round(float(low), 4), round(float(high), 4)]}


def macro(by_condition: dict[str, list[bool]], *, seed: int = 0, resamples: int = 2000) -> dict[str, Any]:
    """The mean over conditions of their recall; the interval resamples runs within each condition."""
    if not by_condition:
        return {"share": None, "interval": None}
    generator = np.random.default_rng(seed)
    means = [generator.choice(v, size=(resamples, len(v))).mean(axis=1) for v in map(np.asarray, by_condition.values())]
    low, high = np.quantile(np.mean(means, axis=0), [0.025, 0.975])
    value = statistics.mean(statistics.mean(v) for v in by_condition.values())
    return {"share": round(value, 4), "interval": [round(float(low), 4), round(float(high), 4)]}


def summarize(rows: Sequence[Judged]) -> dict[str, Any]:
    """Everything the table says, over any set of judged runs."""
    healthy = [r for r in rows if r.healthy]
    faulty = [r for r in rows if r.counts]
    by_condition: dict[str, list[Judged]] = defaultdict(list)
    by_cause: dict[str, list[Judged]] = defaultdict(list)
    for row in faulty:
        by_condition[row.condition].append(row)
        if row.cause:
            by_cause[row.cause].append(row)
    alarms = [condition for r in healthy for condition in r.alarms]
    points = sum(r.points for r in healthy)
    return {
        "runs": len(rows),
        "healthy": len(healthy),
        "faulty": len(faulty),
        "recall": share(r.found for r in faulty).json(),
        "recall_macro": macro({c: [r.found for r in v] for c, v in by_condition.items()}),
        "false_alarm_rate": share(r.false_alarm for r in healthy).json(),
        "prefix_false_alarm_rate": share(r.false_alarm or bool(r.prefix_alarms) for r in healthy).json(),
        "premature": share(r.premature for r in faulty).json(),
        "extra_per_faulty_run": round(sum(r.extra for r in faulty) / len(faulty), 4) if faulty else None,
        "delay": bootstrap_median([r.delay for r in faulty if r.found and r.delay is not None]),
        "cause_at_1": share(r.cause_at_1 for r in faulty).json(),
        "cause_at_3": share(r.cause_at_3 for r in faulty).json(),
        "conditions": {
            condition: {
                "recall": share(r.found for r in found).json(),
                "delay": bootstrap_median([r.delay for r in found if r.found and r.delay is not None]),
                "false_alarms": Share(hits=alarms.count(condition), of=len(healthy)).json(),
                "false_alarms_per_10000_points": round(1e4 * alarms.count(condition) / max(1, points), 3),
                "cause_at_1": share(r.cause_at_1 for r in found).json(),
            }
            for condition in sorted({*by_condition, *alarms})
            if (found := by_condition.get(condition, [])) is not None
        },
        "causes": {
            cause: {
                "cause_at_1": share(r.cause_at_1 for r in caused).json(),
                "cause_at_3": share(r.cause_at_3 for r in caused).json(),
                "recall": share(r.found for r in caused).json(),
            }
            for cause, caused in sorted(by_cause.items())
        },
    }


def by_framework(runs: Sequence[LabelledRun], rows: Sequence[Judged]) -> dict[str, Any]:
    """The main figures for the runs of each framework; both halves of the zoo are named, also an empty one."""
    groups: dict[str, list[Judged]] = {"numpy": [], "pytorch": []}
    for run, row in zip(runs, rows, strict=True):
        groups.setdefault(run.context.framework or "unknown", []).append(row)
    names = ("healthy", "faulty", "recall", "false_alarm_rate", "cause_at_1")
    return {framework: {name: summarize(group)[name] for name in names} for framework, group in groups.items()}


def row_json(row: Judged) -> dict[str, Any]:
    """One row for results.json."""
    return asdict(row)
