"""The chart of a run: its losses over the steps, what is wrong with it marked where it began and where it was found.

Values that are not finite are marks at the edge of the plot: NaN a cross below, infinity an arrow above.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from losswatch_server.pictures.axis import Axis, axis_of, steps_axis
from losswatch_server.pictures.free_place import Covered, first_free
from losswatch_server.pictures.scene import Box, Ink, Scene, Shape, Spot, Stroke, Text, clipped, text_width, wrapped

WIDTH, HEIGHT = 800, 420
LEFT, RIGHT, TOP, BOTTOM = 64.0, 24.0, 108.0, 44.0
"""Around the plot: the losses' numbers, the title and headline, the steps' numbers."""
MOST_MARKS = 2
"""Findings that are marked; more would stand on one another."""
WORDS = 15.0
"""Pixels from the top of a finding's name to its bottom."""
APART = 5.0
"""Pixels between two marks of values that are not finite: what is nearer is one mark."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A series of one attempt over ascending steps; values may be NaN or infinite."""

    name: str
    ink: Ink
    steps: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class FindingMark:
    """A finding: when it began, when that could be said, and how far it reaches."""

    words: str
    ink: Ink
    onset_step: int
    opened_step: int
    last_step: int


@dataclass(frozen=True, slots=True)
class RunPicture:
    """What the pictures of a run show. ``curves`` are drawn in their order, the first of a name in the legend."""

    run: str
    status: str
    status_ink: Ink
    headline: str
    position: str
    curves: Sequence[Curve] = field(default_factory=tuple)
    marks: Sequence[FindingMark] = field(default_factory=tuple)


def chart(picture: RunPicture) -> Scene:
    """The scene."""
    shapes: list[Shape] = [Box(Spot(0, 0), WIDTH, HEIGHT, Ink.GROUND), *_head(picture)]
    steps = [step for curve in picture.curves for step in curve.steps]
    if steps:
        shapes += _Plot(picture, steps).shapes()
    else:
        shapes.append(Text(Spot(WIDTH / 2, HEIGHT / 2 + 20), "No points yet", Ink.MUTED, 16, "middle"))
    title = f"Loss of {picture.run}: {picture.status}"
    return Scene(WIDTH, HEIGHT, title, f"{picture.headline} {picture.position}.", tuple(shapes))


def _head(picture: RunPicture) -> Iterator[Shape]:
    """The name, the status as a coloured word, and the headline."""
    pill = text_width(picture.status, 13, bold=True) + 22
    yield Text(
        Spot(20, 36), clipped(picture.run, 20, WIDTH - 60 - pill, bold=True), Ink.TEXT, 20, bold=True
    )  # fmt: skip
    yield Box(Spot(WIDTH - 20 - pill, 17), pill, 26, picture.status_ink, radius=13)
    yield Text(Spot(WIDTH - 20 - pill / 2, 34.5), picture.status, Ink.ON_COLOUR, 13, "middle", bold=True)
    for row, line in enumerate(wrapped(picture.headline, 13, WIDTH - 40, 2)):
        yield Text(Spot(20, 60 + 18 * row), line, Ink.TEXT, 13)


class _Plot:
    """The part with the axes."""

    def __init__(self, picture: RunPicture, steps: Sequence[int]) -> None:
        self.picture = picture
        self.first, self.last = min(steps), max(steps)
        self.across = steps_axis(self.first, self.last)
        finite = [value for curve in picture.curves for value in curve.values if math.isfinite(value)]
        self.up = axis_of(finite)
        self.right, self.bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        self.curves: list[Covered] = []
        self.names = Covered(WIDTH)

    def shapes(self) -> Iterator[Shape]:
        yield from self._spans()
        yield from self._grid()
        for curve in self.picture.curves:
            yield from self._curve(curve)
        yield from self._edges()
        yield from self._mark_lines()
        yield from self._legend()
        yield Text(Spot(self.right, HEIGHT - 10), f"{self.picture.position} · Losswatch", Ink.MUTED, 11, "end")

    def _x(self, step: float) -> float:
        return LEFT + self.across.share(step) * (self.right - LEFT)

    def _y(self, axis: Axis, value: float) -> float:
        return self.bottom - axis.share(value) * (self.bottom - TOP)

    def _grid(self) -> Iterator[Shape]:
        if self.up is not None:
            for value, words in self.up.ticks(6):
                y = self._y(self.up, value)
                if TOP - 1 <= y <= self.bottom + 1:
                    yield Stroke((Spot(LEFT, y), Spot(self.right, y)), Ink.GRID)
                    yield Text(Spot(LEFT - 8, y + 4), words, Ink.MUTED, 11, "end")
        yield Stroke((Spot(LEFT, self.bottom), Spot(self.right, self.bottom)), Ink.MUTED)
        for value, words in self.across.ticks(7):
            if value == int(value) and self.first <= value <= self.last:
                x = self._x(value)
                yield Stroke((Spot(x, self.bottom), Spot(x, self.bottom + 4)), Ink.MUTED)
                yield Text(Spot(x, self.bottom + 17), words, Ink.MUTED, 11, "middle")
        scale = ", logarithmic scale" if self.up is not None and self.up.logarithmic else ""
        yield Text(Spot(LEFT, HEIGHT - 10), f"loss over steps{scale}", Ink.MUTED, 11)

    def _curve(self, curve: Curve) -> Iterator[Shape]:
        """Lines between neighbouring finite values; a value alone between others is a dot."""
        if self.up is None:
            return
        covered = Covered(WIDTH)
        self.curves.append(covered)
        thick = 1.2 if curve.ink is Ink.SUPERSEDED else 1.8
        for part in _finite_parts(curve):
            places = tuple(Spot(self._x(step), self._y(self.up, value)) for step, value in part)
            covered.line(places)
            if len(places) == 1:
                yield Box(Spot(places[0].x - 2, places[0].y - 2), 4, 4, curve.ink, radius=2)
            else:
                yield Stroke(places, curve.ink, thick)

    def _edges(self) -> Iterator[Shape]:
        """The marks of values that are not finite."""
        for is_wanted, draw, _ in EDGES:
            y = TOP + 7 if draw is _up_arrow else self.bottom - 7
            at = sorted(
                self._x(step)
                for curve in self.picture.curves
                if curve.ink is not Ink.SUPERSEDED
                for step, value in zip(curve.steps, curve.values, strict=True)
                if is_wanted(value)
            )
            last = -math.inf
            for x in at:
                if x - last >= APART:
                    yield from draw(x, y)
                    last = x

    def _marks(self) -> Sequence[FindingMark]:
        return [m for m in self.picture.marks if m.opened_step >= self.first and m.onset_step <= self.last][:MOST_MARKS]

    def _spans(self) -> Iterator[Shape]:
        for mark in self._marks():
            left, right = self._x(max(self.first, mark.onset_step)), self._x(min(self.last, mark.last_step))
            yield Box(Spot(left, TOP), max(1.0, right - left), self.bottom - TOP, mark.ink, 0.1)

    def _mark_lines(self) -> Iterator[Shape]:
        """Dashed where it began, whole where it was found, and its name beside them."""
        for mark in self._marks():
            onset, opened = (self._x(min(self.last, max(self.first, s))) for s in (mark.onset_step, mark.opened_step))
            if opened - onset > 2:
                yield Stroke((Spot(onset, TOP), Spot(onset, self.bottom)), mark.ink, 1.2, dashed=True)
            yield Stroke((Spot(opened, TOP - 4), Spot(opened, self.bottom)), mark.ink, 1.4)
            words = f"{mark.words}: began at step {mark.onset_step:,}, found at {mark.opened_step:,}"
            if mark.onset_step == mark.opened_step:
                words = f"{mark.words}: at step {mark.onset_step:,}"
            width = text_width(words, 12, bold=True)
            left, top = self._place(onset, opened, width)
            self.names.box(left, top, left + width, top + WORDS)
            yield Text(Spot(left, top + WORDS - 3), words, mark.ink, 12, bold=True, halo=True)

    def _place(self, onset: float, opened: float, width: float) -> tuple[float, float]:
        """Where the name of a finding covers no curve; where there is no such place, at the top."""
        lefts = [x for x in self._beside(onset, opened, width) if LEFT <= x <= self.right - width] or [LEFT]
        rows = int((self.bottom - TOP - 12) / (WORDS + 3))
        tops = [TOP + 9 + (WORDS + 3) * row for row in range(rows)]
        free = first_free([*self.curves, self.names], lefts, tops, width, WORDS)
        return free or first_free([self.names], lefts, tops, width, WORDS) or (lefts[0], tops[0])

    def _beside(self, onset: float, opened: float, width: float) -> Iterator[float]:
        """Where words of this width may begin without crossing the two lines, the best place first."""
        yield opened + 6
        if onset + width + 12 <= opened:
            yield onset + 6
        yield onset - 6 - width
        yield opened - 6 - width

    def _legend(self) -> Iterator[Shape]:
        """Names the curves where there are several, and the marks at the edges."""
        entries: list[tuple[str, Ink]] = list({curve.name: curve.ink for curve in self.picture.curves}.items())
        values = [v for curve in self.picture.curves if curve.ink is not Ink.SUPERSEDED for v in curve.values]
        x = self.right
        for is_wanted, draw, words in EDGES:
            if any(map(is_wanted, values)):
                yield Text(Spot(x, TOP - 10), words, Ink.MUTED, 11, "end")
                x -= text_width(words, 11) + 12
                yield from draw(x, TOP - 14)
                x -= 18
        if len(entries) < 2:
            return
        for name, ink in reversed(entries):
            yield Text(Spot(x, TOP - 10), name, Ink.MUTED, 11, "end")
            x -= text_width(name, 11) + 22
            yield Stroke((Spot(x, TOP - 14), Spot(x + 16, TOP - 14)), ink, 2.2)
            x -= 16


def _finite_parts(curve: Curve) -> Iterable[list[tuple[int, float]]]:
    part: list[tuple[int, float]] = []
    for step, value in zip(curve.steps, curve.values, strict=True):
        if math.isfinite(value):
            part.append((step, value))
        elif part:
            yield part
            part = []
    if part:
        yield part


def _is_up(value: float) -> bool:
    return value == math.inf


def _is_down(value: float) -> bool:
    return value == -math.inf


def _cross(x: float, y: float) -> Iterator[Shape]:
    yield Stroke((Spot(x - 3, y - 3), Spot(x + 3, y + 3)), Ink.CRITICAL, 1.8)
    yield Stroke((Spot(x - 3, y + 3), Spot(x + 3, y - 3)), Ink.CRITICAL, 1.8)


def _up_arrow(x: float, y: float) -> Iterator[Shape]:
    yield Stroke((Spot(x - 4, y + 4), Spot(x + 4, y + 4), Spot(x, y - 4)), Ink.CRITICAL, closed=True)


def _down_arrow(x: float, y: float) -> Iterator[Shape]:
    yield Stroke((Spot(x - 4, y - 4), Spot(x + 4, y - 4), Spot(x, y + 4)), Ink.CRITICAL, closed=True)


EDGES = (
    (math.isnan, _cross, "NaN"), (_is_up, _up_arrow, "infinite"), (_is_down, _down_arrow, "minus infinite"),
)  # fmt: skip
"""How values that are not finite are marked, and what the legend calls them."""
