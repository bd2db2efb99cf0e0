"""A picture before it is SVG or PNG: a few shapes in inks that have a colour on light and on dark ground."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple


class Ink(StrEnum):
    """What a shape is drawn for."""

    GROUND = "ground"
    GRID = "grid"
    TEXT = "text"
    MUTED = "muted"
    LOSS = "loss"
    VALIDATION = "validation"
    SUPERSEDED = "superseded"
    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"
    HEALTHY = "healthy"
    WAITING = "waiting"
    LABEL = "label"
    ON_LABEL = "on-label"
    ON_COLOUR = "on-colour"


LIGHT: Mapping[Ink, str] = {
    Ink.GROUND: "#ffffff", Ink.GRID: "#e4e7ec", Ink.TEXT: "#101828", Ink.MUTED: "#5d6b82", Ink.LOSS: "#1f6feb",
    Ink.VALIDATION: "#b54708", Ink.SUPERSEDED: "#b3bac7", Ink.CRITICAL: "#c4281c", Ink.WARNING: "#a15c07",
    Ink.INFO: "#1f6feb", Ink.HEALTHY: "#1a7f37", Ink.WAITING: "#5d6b82", Ink.LABEL: "#475467", Ink.ON_LABEL: "#ffffff",
    Ink.ON_COLOUR: "#ffffff",
}  # fmt: skip
DARK: Mapping[Ink, str] = {
    Ink.GROUND: "#0d1117", Ink.GRID: "#2a313c", Ink.TEXT: "#e6edf3", Ink.MUTED: "#9aa7b5", Ink.LOSS: "#58a6ff",
    Ink.VALIDATION: "#f0a35e", Ink.SUPERSEDED: "#6b7686", Ink.CRITICAL: "#ff7b72", Ink.WARNING: "#e3b341",
    Ink.INFO: "#58a6ff", Ink.HEALTHY: "#3fb950", Ink.WAITING: "#9aa7b5", Ink.LABEL: "#444c56", Ink.ON_LABEL: "#ffffff",
    Ink.ON_COLOUR: "#0d1117",
}  # fmt: skip
"""Every ink in which words stand, and white or black on every ground of words, has a contrast of 4.5 to 1 at least."""

Anchor = Literal["start", "middle", "end"]


class Spot(NamedTuple):
    """Pixels from the left and from the top."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through some places, or with ``closed`` the filled shape that they bound."""

    places: tuple[Spot, ...]
    ink: Ink
    width: float = 1.0
    dashed: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle."""

    corner: Spot
    width: float
    height: float
    ink: Ink
    opacity: float = 1.0
    radius: float = 0.0


@dataclass(frozen=True, slots=True)
class Text:
    """Words on a base line; ``anchor`` says which part of them stands at the place, ``halo``: they stand on lines."""

    place: Spot
    words: str
    ink: Ink = Ink.TEXT
    size: float = 12.0
    anchor: Anchor = "start"
    bold: bool = False
    halo: bool = False


Shape = Stroke | Box | Text


@dataclass(frozen=True, slots=True)
class Scene:
    """Shapes in the order in which they are drawn; ``title`` and ``description`` are for whoever cannot see them."""

    width: int
    height: int
    title: str
    description: str
    shapes: tuple[Shape, ...]


CHARACTER = 0.54
"""The width of an average character, as a share of the size of its font."""
WIDE = frozenset("MWmw@%")


def text_width(words: str, size: float, *, bold: bool = False) -> float:
    """About how wide words are in any sans serif, in pixels: a little more rather than less."""
    units = sum(map(_units, words))
    return units * size * CHARACTER * (1.08 if bold else 1.0)


def _units(character: str) -> float:
    if character in WIDE or ord(character) > 0x2E80:
        return 1.5
    if character.isdigit():  # 0.64 em in DejaVu Sans and Verdana, the widest that browsers fall back on
        return 1.15
    return 0.55 if character in "iIjl.,:;|' " else 1.0


def clipped(words: str, size: float, width: float, *, bold: bool = False) -> str:
    """As much of the words as fits, with an ellipsis where something is left out."""
    if text_width(words, size, bold=bold) <= width:
        return words
    kept = words
    while kept and text_width(kept + "…", size, bold=bold) > width:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def wrapped(words: str, size: float, width: float, lines: int) -> list[str]:
    """The words in at most so many lines; the last one is clipped."""
    found: list[str] = []
    left = words.split()
    while left and len(found) < lines - 1:
        count = next(
            (n for n in range(1, len(left)) if text_width(" ".join(left[: n + 1]), size) > width), len(left)
        )  # fmt: skip
        found.append(clipped(" ".join(left[:count]), size, width))
        left = left[count:]
    return [*found, clipped(" ".join(left), size, width)] if left else found
