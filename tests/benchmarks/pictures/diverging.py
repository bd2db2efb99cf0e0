"""The README's picture: one dense unit learns y = x / 2 from x = 1 ... 20, as trained, as judged, and as advised."""

from __future__ import annotations

import math
import textwrap

import numpy as np

from benchmarks.pictures.svg import Picture
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import Assessment, diagnose

LEARNING_RATE = 0.01
EPOCHS = 72
INK, GREY, BLUE, RED, GREEN = "#1f2328", "#8c959f", "#0969da", "#cf222e", "#1a7f37"
TOP, BOTTOM = 66.0, 300.0


def train(learning_rate: float, epochs: int = EPOCHS) -> list[float]:
    """Mean squared error per epoch of full-batch gradient descent in float32, from w = -1.2728, b = 0."""
    x = np.arange(1, 21, dtype=np.float32)
    y = x / 2
    w, b, rate = np.float32(-1.2728), np.float32(0), np.float32(learning_rate)
    losses = []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(epochs):
            error = w * x + b - y
            losses.append(float(np.mean(error * error)))
            w -= rate * np.float32(2) * np.mean(error * x)
            b -= rate * np.float32(2) * np.mean(error)
    return losses


def first_report(losses: list[float]) -> Assessment:
    """The report at the first epoch at which it can say when the loss overflows."""
    context = Context(learning_rate=LEARNING_RATE, optimizer="sgd", batch_size=20, step_unit="epoch", full_batch=True)
    for count in range(1, len(losses) + 1):
        report = diagnose([Point(epoch, loss=loss) for epoch, loss in enumerate(losses[:count], start=1)], context)
        if report.findings and "overflow_step" in report.findings[0].evidence:
            return report
    raise ValueError("nothing was found in this run")


def draw() -> str:
    """The picture as SVG."""
    losses = train(LEARNING_RATE)
    report = first_report(losses)
    finding = report.findings[0]
    advised = next(a for a in finding.advice if a.action == "set_learning_rate")
    assert isinstance(advised.value, float)
    picture = Picture(880, 400, report.headline)
    picture.text(24, 30, "Loss per epoch of a real run", size=15, colour=INK, bold=True)
    _diverging(picture, losses, finding)
    _repaired(picture, train(advised.value), advised.value)
    picture.text(24, 352, report.headline, size=14, colour=RED, bold=True)
    for row, words in enumerate(textwrap.wrap(advised.summary, 125)):
        picture.text(24, 374 + 18 * row, words, size=13, colour=INK)
    return picture.svg()


def _diverging(picture: Picture, losses: list[float], finding: Finding) -> None:
    left, right, decades = 64.0, 560.0, 40

    def at(epoch: float, loss: float) -> tuple[float, float]:
        return left + (right - left) * epoch / EPOCHS, BOTTOM - (BOTTOM - TOP) * math.log10(loss) / decades

    _axes(picture, left, right, [(at(0, 10.0**p)[1], f"1e{p}") for p in range(0, decades + 1, 10)])
    for epoch in range(0, EPOCHS + 1, 10):
        picture.text(at(epoch, 1)[0], BOTTOM + 18, str(epoch), anchor="middle")
    picture.text(left, TOP - 14, f"learning rate {LEARNING_RATE:g}", size=13, colour=INK)
    seen = finding.opened_step
    finite = [(epoch, loss) for epoch, loss in enumerate(losses, start=1) if math.isfinite(loss)]
    picture.curve([at(*point) for point in finite if point[0] >= seen], GREY, dash="4 4")
    picture.curve([at(*point) for point in finite if point[0] <= seen], BLUE, width=2.5)
    for point in finite[:seen]:
        picture.dot(*at(*point), BLUE)
    x = at(seen, 1)[0]
    picture.line(x, TOP, x, BOTTOM, RED, 1.5)
    picture.text(x + 8, TOP + 14, f"epoch {seen}: {finding.condition}", colour=RED, size=13, bold=True)
    limit = finding.evidence["learning_rate_limit"]
    picture.text(x + 8, TOP + 32, f"largest stable learning rate: {limit:.5f}", colour=RED)
    early, late = finding.evidence["overflow_step"]
    picture.band(at(early - 0.5, 1)[0], TOP, at(late + 0.5, 1)[0] - at(early - 0.5, 1)[0], BOTTOM - TOP, "#cf222e22")
    picture.text(at(early - 1, 1)[0], BOTTOM - 26, "overflow foreseen:", anchor="end")
    picture.text(at(early - 1, 1)[0], BOTTOM - 10, f"epoch {early} to {late}", anchor="end")
    first_bad = len(finite) + 1
    x, y = at(first_bad, 3e38)
    picture.line(x - 5, y - 5, x + 5, y + 5, INK, 2)
    picture.line(x - 5, y + 5, x + 5, y - 5, INK, 2)
    picture.text(x - 10, y + 5, f"inf at epoch {first_bad}", anchor="end", colour=INK)


def _repaired(picture: Picture, losses: list[float], rate: float) -> None:
    left, right = 640.0, 856.0
    low, high = math.floor(math.log10(min(losses))), math.ceil(math.log10(max(losses)))

    def at(epoch: float, loss: float) -> tuple[float, float]:
        share = (math.log10(loss) - low) / (high - low)
        return left + (right - left) * epoch / EPOCHS, BOTTOM - (BOTTOM - TOP) * share

    _axes(picture, left, right, [(at(0, 10.0**p)[1], f"1e{p}") for p in range(low, high + 1)])
    for epoch in range(0, EPOCHS + 1, 20):
        picture.text(at(epoch, 1)[0], BOTTOM + 18, str(epoch), anchor="middle")
    picture.text(left, TOP - 14, f"as advised: {rate:.2g}", size=13, colour=INK)
    picture.curve([at(epoch, loss) for epoch, loss in enumerate(losses, start=1)], GREEN, width=2.5)


def _axes(picture: Picture, left: float, right: float, ticks: list[tuple[float, str]]) -> None:
    for y, label in ticks:
        picture.line(left, y, right, y, "#d0d7de")
        picture.text(left - 8, y + 4, label, anchor="end")
