"""The reliability diagram: how often what was said with a probability came true, of causes and of findings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.detection.results import RESULTS
from benchmarks.detection.score import Share
from benchmarks.pictures.svg import Picture

INK, GREY, BLUE = "#1f2328", "#8c959f", "#0969da"
SIDE, TOP = 260.0, 66.0
PANELS = (("causes", "cause_reliability", 60.0), ("findings", "confidence_reliability", 400.0))


def draw() -> str:
    """The picture as SVG, of the published figures."""
    summary = json.loads(RESULTS.read_text(encoding="utf-8"))["summary"]
    picture = Picture(700, 400, "How often what was said came true, by the probability with which it was said")
    picture.text(
        60, 30, "How often what was said came true; on the line, as often as was said", size=15, colour=INK, bold=True
    )
    for name, rows, left in PANELS:
        _panel(picture, name, summary.get(rows, ()), left)
    return picture.svg()


def _panel(picture: Picture, name: str, rows: Iterable[Mapping[str, Any]], left: float) -> None:
    def place(said: float, right: float) -> tuple[float, float]:
        return left + SIDE * said, TOP + SIDE * (1 - right)

    picture.text(left, TOP - 10, f"Of {name}; bars: 95 % intervals", colour=INK)
    for tick in range(6):
        x, y = place(tick / 5, tick / 5)
        picture.line(left, y, left + SIDE, y, "#eaeef2")
        picture.line(x, TOP, x, TOP + SIDE, "#eaeef2")
        picture.text(left - 6, y + 4, f"{tick / 5:g}", anchor="end")
        picture.text(x, TOP + SIDE + 16, f"{tick / 5:g}", anchor="middle")
    picture.line(*place(0, 0), *place(1, 1), GREY, 1, "4 4")
    for row in rows:
        low, high = Share(hits=round(row["right"] * row["of"]), of=row["of"]).interval or (0.0, 1.0)
        picture.line(*place(row["said"], low), *place(row["said"], high), BLUE, 1.5)
        picture.dot(*place(row["said"], row["right"]), BLUE, 4)
    picture.text(left + SIDE / 2, TOP + SIDE + 36, "said", anchor="middle")
    picture.text(left - 30, TOP - 10, "right", anchor="middle")
