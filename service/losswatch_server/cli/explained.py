"""A finding explained in a terminal: its rule, and a small plot of the statistic with its threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from losswatch_server.cli.plot import LIMIT_STYLE, Mark, draw
from losswatch_server.monitor.replay import Explanation, Row
from losswatch_server.monitor.sentences import number

HEIGHT = 8
CUT = 10.0
"""A statistic with values on both sides of 0 is cut at this many times its threshold: what matters is beside it."""


def explanation_lines(told: Explanation, *, width: int) -> Group:
    """What the rule says, what it saw, and the picture of it, ``width`` cells wide besides the axis."""
    side = "above" if told.above else "below"
    opened = next((row for row in told.values if row.step == told.opened_step), None)
    parts: list[RenderableType] = [
        Text.assemble((f"{told.condition}", "bold"), f" in {told.series}, explained"),
        Text(told.rule),
    ]
    if opened is not None and opened.threshold is not None:
        unit = "" if not told.unit or told.unit in told.statistic else f" {told.unit}"
        parts.append(
            Text.assemble(
                (told.statistic, "cyan"),
                f": {number(opened.statistic)}{unit} at step {told.opened_step:,}; it alarms {side} ",
                (number(opened.threshold), LIMIT_STYLE),
                f"; judged from steps {told.used[0]:,} to {told.used[1]:,}",
            )
        )
    if len(told.values) > 1:
        parts.append(_picture(told, width))
    return Group(*parts)


def _picture(told: Explanation, width: int) -> Text:
    rows = told.values
    statistics = _cut(rows)
    marks = [Mark(told.opened_step, f"clear at {told.opened_step}")]
    return draw(
        [row.step for row in rows],
        statistics,
        width=width,
        height=HEIGHT,
        marks=marks,
        limits=[row.threshold for row in rows],
    )


def _cut(rows: Sequence[Row]) -> list[float]:
    statistics = [row.statistic for row in rows]
    limit = CUT * max((abs(row.threshold) for row in rows if row.threshold is not None), default=math.inf)
    if limit == 0 or min(statistics) > 0:
        return statistics
    return [min(max(value, -limit), limit) for value in statistics]
