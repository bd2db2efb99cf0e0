"""The badge of a run: its status on a coloured ground, as small as a line of text."""

from __future__ import annotations

from losswatch_server.pictures.chart import RunPicture
from losswatch_server.pictures.scene import Box, Ink, Scene, Spot, Text, clipped, text_width

HEIGHT = 20
LABEL = "losswatch"
MOST = 220.0


def badge(picture: RunPicture) -> Scene:
    """The scene."""
    words = clipped(f"{picture.status} · {picture.position}", 11, MOST)
    left, right = text_width(LABEL, 11) + 12, text_width(words, 11) + 12
    width = round(left + right)
    shapes = (
        Box(Spot(0, 0), width, HEIGHT, picture.status_ink, radius=3),
        Box(Spot(0, 0), left, HEIGHT, Ink.LABEL, radius=3),
        Box(Spot(left - 3, 0), 3, HEIGHT, Ink.LABEL),
        Text(Spot(left / 2, 14), LABEL, Ink.ON_LABEL, 11, "middle"),
        Text(Spot(left + right / 2, 14), words, Ink.ON_COLOUR, 11, "middle"),
    )
    return Scene(width, HEIGHT, f"{picture.run}: {picture.status}", picture.headline, shapes)
