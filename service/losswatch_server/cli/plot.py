"""A small plot of a loss in a terminal: braille dots, a logarithmic axis where that fits, and the finding marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Unicode braille: the bit of each dot, by row and column of a cell."""

LIMIT_STYLE = "yellow"
LOGARITHMIC_FROM = 10.0
"""A positive loss that spans more than this factor is drawn on a logarithmic axis."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A step to point at."""

    step: int
    label: str
    style: str = "bold red"


def draw(
    steps: Sequence[int],
    losses: Sequence[float],
    *,
    width: int = 64,
    height: int = 10,
    marks: Sequence[Mark] = (),
    style: str = "cyan",
    limits: Sequence[float | None] = (),
) -> Text:
    """The curve of ``losses`` over ``steps`` (ascending), ``width`` x ``height`` cells besides the axes.

    Points that are not finite are crosses at the top. Each column shows the extremes of what falls into it.
    ``limits``, one for each step or none at all, are drawn as a second curve behind the first (None: a gap).
    """
    bounds = [math.inf if limit is None else limit for limit in limits]
    finite = [value for value in (*losses, *bounds) if math.isfinite(value)]
    if not finite:
        return Text("no finite loss to draw", style="dim")
    scale = _Scale.of(finite)
    first, last = steps[0], max(steps[-1], steps[0] + 1)

    def column(step: int) -> int:
        return round((step - first) / (last - first) * (2 * width - 1))

    cells, crosses = _fill([column(step) for step in steps], [scale.place(value) for value in losses], width, height)
    behind, _ = _fill(list(map(column, steps[: len(bounds)])), list(map(scale.place, bounds)), width, height)
    marked = {column(mark.step) // 2: mark for mark in marks if first <= mark.step <= last}
    text = Text()
    labels = scale.labels(height)
    for row in range(height):
        text.append(f"{labels.get(row, ''):>9} ", style="dim")
        text.append("┤" if row in labels else "│", style="dim")
        for cell in range(width):
            bits = cells[row][cell]
            if row == 0 and cell in crosses:
                text.append("✕", style="bold red")
            elif bits:
                text.append(chr(0x2800 + bits), style=style)
            elif behind[row][cell]:
                text.append(chr(0x2800 + behind[row][cell]), style=LIMIT_STYLE)
            elif cell in marked:
                text.append("┊", style=marked[cell].style)
            else:
                text.append(" ")
        text.append("\n")
    text.append(" " * 10 + "└" + "─" * width + "\n", style="dim")
    text.append_text(_axis(first, last, width))
    for cell, mark in sorted(marked.items()):
        note = f"▲ {mark.label}" if cell + len(mark.label) + 2 <= width else f"{mark.label} ▲"
        start = cell if note.startswith("▲") else max(cell - len(note) + 1, 0)
        text.append("\n" + " " * (11 + start))
        text.append(note, style=mark.style)
    return text


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, finite: Sequence[float]) -> _Scale:
        low, high = min(finite), max(finite)
        logarithmic = low > 0 and high / low > LOGARITHMIC_FROM
        if logarithmic:
            low, high = math.log10(low), math.log10(high)
        if not high > low:
            margin = abs(low) * 0.5 or 1.0
            low, high = low - margin, high + margin
        return cls(low, high, logarithmic)

    def place(self, value: float) -> float | None:
        """From 0 at the bottom to 1 at the top; None for what is not finite."""
        if not math.isfinite(value):
            return None
        scaled = math.log10(value) if self.logarithmic else value
        return (scaled / 2 - self.low / 2) / (self.high / 2 - self.low / 2)  # halves: the difference may overflow

    def labels(self, height: int) -> dict[int, str]:
        rows = sorted({0, height // 2, height - 1})
        down = {row: row / max(height - 1, 1) for row in rows}
        values = {row: self.high * (1 - share) + self.low * share for row, share in down.items()}
        return {row: short(10**value if self.logarithmic else value) for row, value in values.items()}


def short(value: float) -> str:
    """A number for an axis: three significant digits."""
    return f"{value:.3g}"


def _fill(
    columns: Sequence[int], places: Sequence[float | None], width: int, height: int
) -> tuple[list[list[int]], set[int]]:
    """The dots of every cell, and the columns of cells with a value that is not finite."""
    cells = [[0] * width for _ in range(height)]
    crosses: set[int] = set()
    rows = 4 * height - 1
    before: tuple[int, int] | None = None
    for x, place in zip(columns, places, strict=True):
        if place is None:
            crosses.add(x // 2)
            before = None
            continue
        y = round((1 - place) * rows)
        for dot_x, dot_y in _line(before or (x, y), (x, y)):
            cells[dot_y // 4][dot_x // 2] |= _DOTS[dot_y % 4][dot_x % 2]
        before = (x, y)
    return cells, crosses


def _line(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    count = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    return [
        (round(start[0] + (end[0] - start[0]) * i / count), round(start[1] + (end[1] - start[1]) * i / count))
        for i in range(count + 1)
    ]


def _axis(first: int, last: int, width: int) -> Text:
    left, right = f"step {first}", str(last)
    gap = max(width - len(left) - len(right), 1)
    return Text(" " * 11 + left + " " * gap + right, style="dim")
