"""A few SVG shapes as text. Coordinates are pixels with one decimal, so that a picture is the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

FONT = "font-family='system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif'"


class Picture:
    """Shapes are drawn in the order in which they are added, on a white sheet of ``width`` x ``height``."""

    def __init__(self, width: int, height: int, description: str) -> None:
        self.shapes = [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img' {FONT}>",
            f"<title>{escape(description)}</title>",
            f"<rect width='{width}' height='{height}' rx='8' fill='#ffffff'/>",
        ]

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1, dash: str = "") -> None:
        """A straight line."""
        dashes = f" stroke-dasharray='{dash}'" if dash else ""
        self.shapes.append(
            f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' "
            f"stroke='{colour}' stroke-width='{width:g}'{dashes}/>"
        )

    def curve(self, points: Iterable[tuple[float, float]], colour: str, width: float = 2, dash: str = "") -> None:
        """A line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = f" stroke-dasharray='{dash}'" if dash else ""
        self.shapes.append(
            f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{width:g}' "
            f"stroke-linejoin='round'{dashes}/>"
        )

    def dot(self, x: float, y: float, colour: str, radius: float = 3) -> None:
        """A filled circle."""
        self.shapes.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius:g}' fill='{colour}'/>")

    def band(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A filled rectangle."""
        self.shapes.append(f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height:.1f}' fill='{colour}'/>")

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 12,
        colour: str = "#57606a",
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        """Words; ``anchor`` is ``start``, ``middle`` or ``end``."""
        weight = " font-weight='600'" if bold else ""
        self.shapes.append(
            f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size:g}' fill='{colour}' text-anchor='{anchor}'{weight}>"
            f"{escape(words)}</text>"
        )

    def svg(self) -> str:
        """The whole picture."""
        return "\n".join([*self.shapes, "</svg>", ""])
