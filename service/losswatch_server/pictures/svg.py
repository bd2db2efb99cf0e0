"""A scene as SVG: no scripts, nothing fetched, every word escaped; dark where its viewer prefers that."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from losswatch_server.pictures.scene import DARK, LIGHT, Box, Ink, Scene, Shape, Stroke, Text

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


def svg(scene: Scene) -> str:
    """The document. Colours are attributes, which every viewer follows; a style sheet overrides them on dark ground."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{scene.width}" height="{scene.height}" '
        f'viewBox="0 0 {scene.width} {scene.height}" role="img" font-family="{FONT}">',
        f"<title>{escaped(scene.title)}</title><desc>{escaped(scene.description)}</desc>",
        f"<style>@media (prefers-color-scheme: dark) {{ {' '.join(_dark())} }}</style>",
        *map(_written, scene.shapes),
        "</svg>\n",
    ]
    return "\n".join(parts)


def escaped(words: str) -> str:
    """Text as XML 1.0 can have it: a character that it cannot is a question mark in a diamond."""
    return escape("".join(c if _is_xml(c) else "\ufffd" for c in words))


def _is_xml(c: str) -> bool:
    return c in "\t\n\r" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000"


def _dark() -> Iterator[str]:
    for ink in Ink:
        yield f".f-{ink} {{ fill: {DARK[ink]} }} .s-{ink} {{ stroke: {DARK[ink]} }}"


def _written(shape: Shape) -> str:
    match shape:
        case Stroke(places, ink, width, dashed, closed):
            if closed:
                return f'<polygon points="{_points(places)}" {_fill(ink)}/>'
            dash = ' stroke-dasharray="4 3"' if dashed else ""
            return (
                f'<polyline points="{_points(places)}" fill="none" stroke="{LIGHT[ink]}" class="s-{ink}" '
                f'stroke-width="{width:g}" stroke-linejoin="round" stroke-linecap="round"{dash}/>'
            )
        case Box(corner, width, height, ink, opacity, radius):
            more = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
            more += f' rx="{radius:g}"' if radius else ""
            return (
                f'<rect x="{corner.x:.1f}" y="{corner.y:.1f}" width="{width:.1f}" height="{height:.1f}" '
                f"{_fill(ink)}{more}/>"
            )
        case Text(place, words, ink, size, anchor, bold, halo):
            more = "" if anchor == "start" else f' text-anchor="{anchor}"'
            more += ' font-weight="600"' if bold else ""
            names = f"f-{ink}"
            if halo:
                more += f' stroke="{LIGHT[Ink.GROUND]}" stroke-width="4" stroke-linejoin="round" paint-order="stroke"'
                names += f" s-{Ink.GROUND}"
            return (
                f'<text x="{place.x:.1f}" y="{place.y:.1f}" font-size="{size:g}" fill="{LIGHT[ink]}" '
                f'class="{names}"{more}>{escaped(words)}</text>'
            )


def _fill(ink: Ink) -> str:
    return f'fill="{LIGHT[ink]}" class="f-{ink}"'


def _points(places: tuple[tuple[float, float], ...]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
