"""A scene as PNG, on light ground, by Pillow: it brings a font of its own, so that a bare machine can write too."""

from __future__ import annotations

import io
from functools import cache
from itertools import pairwise
from math import hypot

from PIL import Image, ImageDraw, ImageFont

from losswatch_server.pictures.scene import LIGHT, Box, Ink, Scene, Shape, Spot, Stroke, Text

SCALE = 2
"""Pixels of the picture for each of the scene's: sharp on the screens of phones."""
FINE = 2
"""It is drawn so many times larger still and made smaller, since Pillow draws lines with steps."""
DASH = (4.0, 3.0)
MEMORY = 32 << 20
"""Bytes that the drawing of a chart takes at most, for a moment."""


def png(scene: Scene) -> bytes:
    """The file. Takes a tenth of a second: call it in a thread."""
    factor = SCALE * FINE
    image = Image.new("RGB", (scene.width * factor, scene.height * factor), LIGHT[Ink.GROUND])
    draw = ImageDraw.Draw(image, "RGBA")
    for shape in scene.shapes:
        if not isinstance(shape, Text):
            _shape(draw, shape, factor)
    image = image.reduce(FINE)
    draw = ImageDraw.Draw(image)
    for shape in scene.shapes:
        if isinstance(shape, Text):
            _text(draw, shape)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _shape(draw: ImageDraw.ImageDraw, shape: Shape, factor: int) -> None:
    match shape:
        case Stroke(places, ink, _, _, True):
            draw.polygon([(x * factor, y * factor) for x, y in places], fill=LIGHT[ink])
        case Stroke(places, ink, width, dashed, False):
            for part in _dashes(places) if dashed else [places]:
                large = [(x * factor, y * factor) for x, y in part]
                draw.line(large, fill=LIGHT[ink], width=max(1, round(width * factor)), joint="curve")
        case Box(corner, width, height, ink, opacity, radius):
            left, top = corner.x * factor, corner.y * factor
            colour = LIGHT[ink] + f"{round(255 * opacity):02x}"
            box = (left, top, left + width * factor - 1, top + height * factor - 1)
            if box[2] >= box[0] and box[3] >= box[1]:
                draw.rounded_rectangle(box, radius * factor, fill=colour)


def _text(draw: ImageDraw.ImageDraw, text: Text) -> None:
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[text.anchor]
    at = (text.place.x * SCALE, text.place.y * SCALE)
    font, stroke = _font(text.size * SCALE), 0.35 * SCALE if text.bold else 0.0
    words = "".join(c if c.isprintable() else "\ufffd" for c in text.words)
    if text.halo:
        draw.text(at, words, LIGHT[Ink.GROUND], font, anchor, stroke_width=stroke + 2.0 * SCALE)
    draw.text(at, words, LIGHT[text.ink], font, anchor, stroke_width=stroke)


@cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "a build of Pillow without FreeType"
    return font


def _dashes(places: tuple[Spot, ...]) -> list[tuple[Spot, Spot]]:
    """A line as the dashes that are drawn of it."""
    found: list[tuple[Spot, Spot]] = []
    on, gap = DASH
    for start, end in pairwise(places):
        length = hypot(end.x - start.x, end.y - start.y)
        at = 0.0
        while length and at < length:
            a, b = at / length, min(1.0, (at + on) / length)
            found.append((_between(start, end, a), _between(start, end, b)))
            at += on + gap
    return found


def _between(start: Spot, end: Spot, share: float) -> Spot:
    return Spot(start.x + (end.x - start.x) * share, start.y + (end.y - start.y) * share)
