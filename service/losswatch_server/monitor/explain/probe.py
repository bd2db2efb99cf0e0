"""A probe watches a run being folded again and writes down, point by point, what one finding's rule looked at."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from losswatch_server.monitor.explain import at_review, per_point
from losswatch_server.monitor.explain.gauge import Gauge
from losswatch_server.monitor.explain.thinning import Row, condense, thin
from losswatch_server.monitor.faults import Fault, Faults
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.rules import DETECTORS
from losswatch_server.monitor.sentences import plainly
from losswatch_server.monitor.vocabulary import Condition

T = TypeVar("T")

ROOM = 16384
"""Rows held before they are condensed: a run of millions of points is explained in a few megabytes."""
CONDENSED = 1024
"""Stretches of steps that are left then, of at most 4 rows each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a finding is there, in numbers that can be drawn.

    ``above`` says on which side of its threshold the statistic alarms; ``threshold`` is the one in force where the
    finding opened (None where no row of that step is left), that of each row stands in it. ``used`` are the first and
    the last step that the judgement was made from. ``rule`` is one sentence with the rule's parameters in it.
    """

    finding: str
    condition: Condition
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
    faults: tuple[Fault, ...] = ()
    """What failed while this was put together, for whoever logs and counts; ``rule`` says it too."""


NO_ROWS: list[Row] = []
_GAUGES = {**per_point.GAUGES, **at_review.GAUGES}


def gauge_of(finding: Finding) -> Gauge:
    """The gauge of a finding. LookupError for one that does not come from points."""
    return _GAUGES[finding.condition](finding)


def _no_gauge(finding: Finding) -> Gauge:
    """For a finding whose own could not be had: it reads nothing."""
    place = next(i for i, d in enumerate(DETECTORS) if (d.condition, d.series) == (finding.condition, finding.series))
    return Gauge(place=place, statistic="", unit="", above=True, rule=plainly(finding), read=lambda state, view: None)


class Probe:
    """Call ``look`` after each item was folded; ``explanation`` tells what was seen. Changes nothing in the monitor.

    A finding's evidence follows its latest alarm, which may come of another rule than the one that opened it. What
    opened it is known only once the fold has come there: ask ``corrected`` after the fold.
    """

    def __init__(self, finding: Finding) -> None:
        """LookupError for a finding that does not come from points (``silent``)."""
        if finding.condition not in _GAUGES:
            raise LookupError(f"{finding.condition} does not come from points")
        self._finding = finding
        self._faults = Faults()
        self._gauge = self._shield(finding.opened_step, lambda: gauge_of(finding), None) or _no_gauge(finding)
        self._detector = DETECTORS[self._gauge.place]
        self._marks = (finding.onset_step, finding.opened_step)
        self._rows: list[Row] = []
        self._seen: Point | None = None
        self._first = -1
        self._opened: Row | None = None
        self._from_step: int | None = None
        self._at_opening: Finding | None = None

    def _shield(self, step: int, work: Callable[[], T], otherwise: T) -> T:
        finding = self._finding
        return self._faults.shield("explanation", f"{finding.condition}/{finding.series}", step, work, otherwise)

    def look(self, monitor: Monitor) -> None:
        """Read the detector's statistic, if the last item made it judge."""
        self._shield(monitor.view.point.step, partial(self._look, monitor), None)

    def _look(self, monitor: Monitor) -> None:
        view = monitor.view
        point = view.point
        if point is self._seen or not self._asked(monitor):
            return
        self._seen = point
        if point.step == self._finding.opened_step and self._at_opening is None:
            self._at_opening = next(filter(self._is_mine, monitor.findings()), None)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            reading = self._gauge.read(monitor.states[self._gauge.place], view)
        if self._first < 0:
            self._first = point.step
        if reading is None or math.isnan(reading.statistic):
            return
        value: float | None = getattr(point, self._finding.series)
        row = Row(point.step, value, float(reading.statistic), reading.threshold)
        if point.step == self._finding.opened_step and self._opened is None:
            self._opened = row
            self._from_step = reading.from_step
        self._rows.append(row)
        if len(self._rows) >= ROOM:
            self._rows = condense(self._rows, self._marks, CONDENSED)

    def _asked(self, monitor: Monitor) -> bool:
        view = monitor.view
        if not (self._detector.every_point or view.review):
            return False
        return self._finding.condition is Condition.NON_FINITE or (
            monitor.minimised and not view.point.rank and view.point.step >= 0
        )

    def _is_mine(self, found: Finding) -> bool:
        mine = self._finding
        return (found.condition, found.series, found.opened_step) == (mine.condition, mine.series, mine.opened_step)

    def corrected(self) -> Probe | None:
        """A fresh probe for the rule that opened the finding, where this one watched another; None: it was right."""
        opened = self._at_opening
        if opened is None:
            return None
        gauge = self._shield(opened.opened_step, lambda: gauge_of(opened), self._gauge)
        if gauge.statistic == self._gauge.statistic:
            return None
        return Probe(replace(opened, id=self._finding.id))

    def explanation(self) -> Explanation:
        """What was seen so far."""
        finding, gauge = self._finding, self._gauge
        rows: list[Row] = self._shield(finding.last_step, lambda: thin(self._rows, self._marks), NO_ROWS)
        from_step = self._from_step
        if from_step is None:
            from_step = min(max(self._first, 0), finding.opened_step)
        return Explanation(
            finding=finding.id,
            condition=finding.condition,
            series=finding.series,
            rule=" ".join([gauge.rule, *(fault.note for fault in self._faults.known())]),
            statistic=gauge.statistic,
            unit=gauge.unit,
            above=gauge.above,
            threshold=None if self._opened is None else self._opened.threshold,
            values=tuple(rows),
            used=(min(from_step, finding.onset_step), finding.opened_step),
            onset_step=finding.onset_step,
            opened_step=finding.opened_step,
            faults=tuple(self._faults.drain()),
        )


def explained(finding: Finding, fold: Callable[[Probe], None]) -> Explanation:
    """Folds the run anew with a probe, twice where another rule opened the finding. LookupError: see ``Probe``."""
    probe = Probe(finding)
    fold(probe)
    right = probe.corrected()
    if right is not None:
        fold(right)
    return (right or probe).explanation()


def explain(points: Iterable[Point], context: Context, finding: Finding, uid: str = "diagnose") -> Explanation:
    """Fold points as ``report.diagnose`` does, and explain one finding of theirs. LookupError: see ``Probe``."""
    stream = tuple(points)

    def fold(probe: Probe) -> None:
        monitor = Monitor(uid)
        monitor.see_context(context)
        for point in stream:
            monitor.see(point)
            probe.look(monitor)

    return explained(finding, fold)
