"""A picture for each condition: a run of the bug zoo (``curves.py``) and the moment at which it was reported."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.detection.diagnosing import watch
from benchmarks.detection.labels import LabelledRun
from benchmarks.pictures.curves import RUNS, kept
from benchmarks.pictures.svg import Picture
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.report import assess
from losswatch_server.monitor.sentences import number
from losswatch_server.monitor.vocabulary import Condition

LEFT, RIGHT, TOP, BOTTOM = 64.0, 736.0, 56.0, 250.0
COLUMNS = 120
"""Longer curves are drawn by the lowest and the highest value of so many columns."""
INK, GREY, RED, TICK = "#1f2328", "#8c959f", "#cf222e", "#d0d7de"
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#9a6700", "#57606a")


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line; ``values`` are (step, value) with values that are not finite left out."""

    name: str
    values: list[tuple[int, float]]


def finding_of(run: LabelledRun, condition: Condition) -> Finding:
    """What was said of the run; ValueError when the condition was not reported."""
    monitor, _ = watch(run)
    found = [f for f in assess(monitor).findings if f.condition is condition]
    if not found:
        raise ValueError(f"{condition} is not reported for {run.id}: choose another run for its picture")
    return min(found, key=lambda f: (f.series == "grad_norm", f.opened_step))


def curves_of(run: LabelledRun, finding: Finding) -> list[Curve]:
    """The series that the finding speaks of: the layers where it names them, else its own, beside the loss if late."""
    points = run.points
    if "first_layer" in finding.evidence:
        names = list(next(p.layers for p in points if p.layers))
        shown = [names[0], *names[1:-1][: len(COLOURS) - 2], names[-1]]
        return [_curve(f"gradient norm, {n}", ((p.step, (p.layers or {}).get(n)) for p in points)) for n in shown]
    if finding.series == "grad_norm":
        return [_curve("gradient norm", ((p.step, p.grad_norm) for p in points))]
    loss = _curve("loss", ((p.step, p.loss) for p in points))
    if finding.series == "validation_loss":
        return [loss, _curve("validation loss", ((p.step, p.validation_loss) for p in points))]
    return [loss]


def _curve(name: str, values: Iterator[tuple[int, float | None]]) -> Curve:
    return Curve(name, [(step, value) for step, value in values if value is not None and math.isfinite(value)])


def thinned(values: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most two values a column: its lowest and its highest, in their order."""
    if len(values) <= 2 * COLUMNS:
        return list(values)
    out: list[tuple[int, float]] = []
    for i in range(COLUMNS):
        part = values[len(values) * i // COLUMNS : len(values) * (i + 1) // COLUMNS]
        ends = {min(part, key=lambda v: v[1]), max(part, key=lambda v: v[1])}
        out += sorted(ends)
    return out


def draw(condition: Condition) -> str:
    """The picture as SVG."""
    run = kept()[RUNS[condition]]
    finding = finding_of(run, condition)
    curves = curves_of(run, finding)
    picture = Picture(760, 330, f"{condition}: {finding.summary}")
    what = f"injected fault: {run.label.cause}" if run.label.cause else "healthy"
    picture.text(20, 28, f"A real run, {what}", size=15, colour=INK, bold=True)
    _curves(picture, curves, run.points, finding)
    for row, words in enumerate(textwrap.wrap(finding.summary, 105)):
        picture.text(20, 298 + 18 * row, words, size=13, colour=INK)
    return picture.svg()


def _curves(picture: Picture, curves: Sequence[Curve], points: Sequence[Point], finding: Finding) -> None:
    first, finite = points[0].step, max(curve.values[-1][0] for curve in curves)
    last = min(points[-1].step, round(finite + 0.3 * (finite - first)) + 1)
    every = [v for curve in curves for _, v in curve.values]
    logarithmic = min(every) > 0 and max(every) > 30 * min(every)
    scale = math.log10 if logarithmic else float
    low, high = scale(min(every)), scale(max(every))
    high += 0.05 * (high - low) or 1.0

    def at(step: float, value: float) -> tuple[float, float]:
        x = LEFT + (RIGHT - LEFT) * (step - first) / max(1, last - first)
        return x, BOTTOM - (BOTTOM - TOP) * (scale(value) - low) / (high - low)

    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = low + share * (high - low)
        y = BOTTOM - (BOTTOM - TOP) * share
        picture.line(LEFT, y, RIGHT, y, TICK)
        picture.text(LEFT - 8, y + 4, number(10**value if logarithmic else value, 2), anchor="end")
        step = round(first + share * (last - first))
        picture.text(LEFT + (RIGHT - LEFT) * share, BOTTOM + 18, str(step), anchor="middle")
    for curve, colour in zip(curves, COLOURS, strict=False):
        picture.curve([at(*value) for value in thinned(curve.values)], colour, width=1.5)
    for row, (curve, colour) in enumerate(zip(curves, COLOURS, strict=False)):
        width = 7.5 * len(curve.name)
        picture.band(RIGHT - 10 - width, TOP + 2 + 15 * row, width + 8, 15, "#ffffffcc")
        picture.text(RIGHT - 6, TOP + 14 + 15 * row, curve.name, anchor="end", colour=colour, bold=True)
    began, seen = at(finding.onset_step, curves[0].values[0][1])[0], at(finding.opened_step, curves[0].values[0][1])[0]
    if seen - began > 2:
        picture.line(began, TOP, began, BOTTOM, GREY, 1, dash="4 4")
    picture.line(seen, TOP, seen, BOTTOM, RED, 1.5)
    right = seen > 0.7 * RIGHT
    words = f"step {finding.opened_step}: {finding.condition}"
    picture.text(seen + (-6 if right else 6), TOP - 6, words, anchor="end" if right else "start", colour=RED, bold=True)
