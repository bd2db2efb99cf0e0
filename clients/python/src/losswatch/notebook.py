"""How a run looks in a notebook: its verdict, its first advice and a small chart of its loss. Pure."""

from __future__ import annotations

import math
from html import escape
from typing import Any, List, Mapping, Optional, Sequence

from losswatch.history import Stretch

WIDTH, HEIGHT, MARGIN = 420, 96, 6
LOGARITHMIC_FROM = 20.0
"""Times that the largest loss is of the smallest, from where on a linear chart would show the largest alone."""

_COLOURS = {"healthy": "#2e7d4f", "warning": "#b26a00", "critical": "#c0392b"}


def html(name: str, report: Optional[Mapping[str, Any]], losses: Sequence[Stretch], link: str) -> str:
    """An element that stands alone: no script, no style sheet, nothing loaded."""
    report = report or {}
    status = str(report.get("status", "waiting"))
    colour = _COLOURS.get(status, "#777777")
    headline = str(report.get("headline") or "Nothing was reported yet.")
    findings = [finding for finding in report.get("findings") or () if not finding.get("closed_by")]
    advice = next((str(advice["summary"]) for finding in findings for advice in finding.get("advice") or ()), "")
    return (
        f'<div style="font-family: sans-serif; max-width: {WIDTH}px">'
        f'<div><b style="color: {colour}">{escape(status)}</b> <a href="{escape(link)}">{escape(name)}</a></div>'
        f"<div>{escape(headline)}</div>{f'<div>{escape(advice)}</div>' if advice else ''}{chart(losses, colour)}</div>"
    )


def chart(losses: Sequence[Stretch], colour: str) -> str:
    """The loss over the steps as an SVG, a band from the smallest to the largest; nothing for fewer than two points."""
    if len(losses) < 2:
        return ""
    low, high = min(stretch.low for stretch in losses), max(stretch.high for stretch in losses)
    is_logarithmic = low > 0 and high / low >= LOGARITHMIC_FROM
    bottom, top = (math.log(low), math.log(high)) if is_logarithmic else (low, high)
    first, span = losses[0].step, max(losses[-1].step - losses[0].step, 1)

    def place(step: int, value: float) -> str:
        scaled = math.log(value) if is_logarithmic else value
        # Halves first: the difference of two doubles may overflow.
        share = (scaled / 2 - bottom / 2) / ((top / 2 - bottom / 2) or 1.0)
        x = MARGIN + (step - first) / span * (WIDTH - 2 * MARGIN)
        return f"{x:.1f},{HEIGHT - MARGIN - min(max(share, 0.0), 1.0) * (HEIGHT - 2 * MARGIN):.1f}"

    upper: List[str] = [place(stretch.step, stretch.high) for stretch in losses]
    lower: List[str] = [place(stretch.step, stretch.low) for stretch in reversed(losses)]
    scale = ", logarithmic" if is_logarithmic else ""
    label = f"loss of {losses[0].high:.4g} at step {first}, {losses[-1].high:.4g} at step {losses[-1].step}{scale}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{label}">'
        f"<title>{label}</title>"
        f'<polygon points="{" ".join(upper + lower)}" fill="{colour}" fill-opacity="0.25" stroke="{colour}"/></svg>'
        f'<div style="color: #777777; font-size: 85%">{label}</div>'
    )
