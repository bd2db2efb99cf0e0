"""A finding explained by replaying its rule: the run is folded once more, and its detector's tests are written down.

There is no second implementation of any rule: what is shown is what the rule held against its thresholds. A rule is a
conjunction, so of the tests that opened the finding one passed last: it is the *binding* one, and its value over
time is the statistic. At every other point the first test that failed says why nothing was alarmed there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from losswatch_server.monitor.conditions import DETECTORS
from losswatch_server.monitor.faults import Fault, Faults
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.lifecycle import key_of
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.replay.thinning import Row, condense, thin
from losswatch_server.monitor.rules.base import Record, Test
from losswatch_server.monitor.sentences import number, plainly

ROOM = 8192
"""Rows of one test held before they are condensed: a run of millions of points is explained in a few megabytes."""
CONDENSED = 1024
"""Stretches of steps that are left then, of at most 4 rows each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a finding is there, in numbers that can be drawn.

    ``above`` says on which side of its threshold the statistic alarms; ``threshold`` is the one in force where the
    finding opened (None where no row of that step is left), that of each row stands in it. ``used`` are the first and
    the last step that the judgement was made from. ``rule`` says in words what had to hold; ``tests`` are the same as
    values, where the finding opened.
    """

    finding: str
    condition: str
    series: str
    rule: str
    statistic: str
    unit: str
    above: bool
    threshold: float | None
    values: tuple[Row, ...]
    used: tuple[int, int]
    onset_step: int
    opened_step: int
    tests: tuple[Test, ...] = ()
    faults: tuple[Fault, ...] = ()
    """What failed while this was put together, for whoever logs and counts; ``rule`` says it too."""


@dataclass(slots=True)
class _Series:
    """One test of one rule over time. ``since`` is the step from which it has passed without a break, -1: it does
    not."""

    last: Test
    since: int = -1
    rows: list[Row] = field(default_factory=list)


METRIC = "validation_metric"
_KEYS = frozenset(map(key_of, DETECTORS))
NO_ROWS: list[Row] = []


class Probe:
    """Call ``watch`` before the fold and ``look`` after each item; ``explanation`` tells what was seen. Changes
    nothing in the monitor."""

    def __init__(self, finding: Finding) -> None:
        """LookupError for a finding that does not come from points (``silent``)."""
        self._key = f"{finding.condition}/{finding.series}"
        if self._key not in _KEYS:
            raise LookupError(f"{self._key} does not come from points")
        self._finding = finding
        self._faults = Faults()
        self._marks = (finding.onset_step, finding.opened_step)
        self._series: dict[tuple[str, str], _Series] = {}
        self._first = -1
        self._opened: list[tuple[str, Test]] = []
        self._since: dict[tuple[str, str], int] = {}
        self._asks = 0

    def watch(self, monitor: Monitor) -> None:
        """Have a monitor write down the tests of its detectors; probes that watch the same one share the record."""
        if monitor.view.record is None:
            monitor.view.record = Record()

    def look(self, monitor: Monitor) -> None:
        """Read what the last item made the detector hold against its thresholds."""
        record, point = monitor.view.record, monitor.view.point
        if record is None:
            raise ValueError("the monitor is not watched")
        if record.asks == self._asks:
            return
        self._asks = record.asks
        tests = record.rows.get(self._key)
        if tests:
            self._faults.shield("explanation", self._key, point.step, partial(self._look, point, tests), None)

    def _look(self, point: Point, tests: list[tuple[str, Test]]) -> None:
        step, finding = point.step, self._finding
        if self._first < 0:
            self._first = step
        value: float | None = getattr(point, finding.series, None)
        if finding.series == METRIC and point.metrics:
            value = point.metrics.get(str(finding.evidence.get("metric")))
        opening = step == finding.opened_step and not self._opened
        failed: dict[str, str] = {}
        for rule, test in tests:
            if not test.passes:
                failed.setdefault(rule, test.name)
        for rule, test in tests:
            series = self._series.get((rule, test.name))
            if series is None:
                series = self._series[rule, test.name] = _Series(test)
            series.last = test
            series.since = -1 if not test.passes else step if series.since < 0 else series.since
            if not math.isnan(test.value):
                threshold = None if math.isnan(test.threshold) else float(test.threshold)
                series.rows.append(Row(step, value, float(test.value), threshold, failed.get(rule)))
                if len(series.rows) >= ROOM:
                    series.rows = condense(series.rows, self._marks, CONDENSED)
        if opening:
            self._opened = [(rule, test) for rule, test in tests if rule not in failed]
            self._since = {key: series.since for key, series in self._series.items()}

    def explanation(self) -> Explanation:
        """What was seen so far."""
        finding = self._finding
        rule, tests = self._opening_rule()
        binding = self._binding(rule, tests)
        series = self._series.get((rule, binding.name)) if binding is not None else None
        rows = [] if series is None else series.rows
        thinned: list[Row] = self._faults.shield(
            "explanation", self._key, finding.last_step, partial(thin, rows, self._marks), NO_ROWS
        )
        said = _in_words(tests) if tests else plainly(finding)
        from_step = min((t.from_step for t in tests if t.from_step is not None), default=max(self._first, 0))
        return Explanation(
            finding=finding.id,
            condition=finding.condition,
            series=finding.series,
            rule=" ".join([said, *(fault.note for fault in self._faults.known())]),
            statistic="" if binding is None else binding.name,
            unit="" if binding is None else binding.unit,
            above=True if binding is None else binding.above,
            threshold=None if binding is None or not self._opened else float(binding.threshold),
            values=tuple(thinned),
            used=(min(from_step, finding.onset_step), finding.opened_step),
            onset_step=finding.onset_step,
            opened_step=finding.opened_step,
            tests=tuple(tests),
            faults=tuple(self._faults.drain()),
        )

    def _opening_rule(self) -> tuple[str, list[Test]]:
        """The first rule that held where the finding opened; else the one that was asked most (no row of that step is
        left where a run is folded from a snapshot behind it)."""
        if self._opened:
            rule = self._opened[0][0]
            return rule, [test for name, test in self._opened if name == rule]
        if not self._series:
            return "", []
        rule = max(self._series, key=lambda key: len(self._series[key].rows))[0]
        return rule, [series.last for (name, _), series in self._series.items() if name == rule]

    def _binding(self, rule: str, tests: Sequence[Test]) -> Test | None:
        """The test that began to pass last; of several the first; a yes or no only where there is nothing else."""
        if not tests:
            return None
        measured = [test for test in tests if not test.is_switch] or tests
        return max(measured, key=lambda test: (self._since.get((rule, test.name), -1), -tests.index(test)))


def _in_words(tests: Sequence[Test]) -> str:
    """The conjunction, as a sentence."""
    told = []
    for test in tests:
        unit = f" {test.unit}" if test.unit else ""
        if test.is_switch:
            told.append(test.name if test.above else f"no {test.name}")
        else:
            told.append(f"{test.name} {'at least' if test.above else 'below'} {number(test.threshold)}{unit}")
    return f"It alarms when all of these hold (the numbers as of the opening): {'; '.join(told)}."


def explained(finding: Finding, fold: Callable[[Probe], None]) -> Explanation:
    """Folds the run anew with a probe. LookupError: see ``Probe``."""
    probe = Probe(finding)
    fold(probe)
    return probe.explanation()


def explain(points: Iterable[Point], context: Context, finding: Finding, uid: str = "diagnose") -> Explanation:
    """Fold points as ``report.diagnose`` does, and explain one finding of theirs. LookupError: see ``Probe``."""

    def fold(probe: Probe) -> None:
        monitor = Monitor(uid)
        monitor.see_context(context)
        probe.watch(monitor)
        for point in points:
            monitor.see(point)
            probe.look(monitor)

    return explained(finding, fold)
