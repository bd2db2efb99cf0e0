"""Charts and badges: whatever a run sent, a picture that every viewer takes, with nothing outside its frame."""

from __future__ import annotations

import io
import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from losswatch_server.pictures.axis import axis_of, steps_axis
from losswatch_server.pictures.badge import badge
from losswatch_server.pictures.chart import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Curve,
    FindingMark,
    RunPicture,
    chart,
)
from losswatch_server.pictures.png import SCALE, png
from losswatch_server.pictures.scene import DARK, LIGHT, Box, Ink, Scene, Stroke, Text, clipped, text_width, wrapped
from losswatch_server.pictures.svg import svg

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "</title><script>alert(1)</script> & \x00\x1b[31m \ud800 \ufffe \u202eabc <image href='http://evil'/> ]]>"
FLOATS = st.floats(allow_nan=True, allow_infinity=True)
STEPS = st.lists(st.integers(0, 2**53 - 1), min_size=1, max_size=30, unique=True).map(sorted)


def picture(
    *curves: Curve, marks: tuple[FindingMark, ...] = (), words: str = "It falls.", run: str = "lr-1"
) -> RunPicture:
    return RunPicture(run, "critical", Ink.CRITICAL, words, "step 20", curves, marks)


def loss(values: list[float], steps: list[int] | None = None) -> Curve:
    return Curve("loss", Ink.LOSS, steps or range(len(values)), values)


def texts(scene: Scene) -> list[str]:
    return [shape.words for shape in scene.shapes if isinstance(shape, Text)]


@given(FLOATS.filter(math.isfinite) | st.none(), st.lists(FLOATS.filter(math.isfinite), min_size=1, max_size=20))
def test_every_value_stands_on_its_axis_and_ticks_are_round_few_and_different(
    more: float | None, values: list[float]
) -> None:
    axis = axis_of(values if more is None else [*values, more])
    assert axis is not None
    assert all(-1e-9 <= axis.share(value) <= 1 + 1e-9 for value in values)
    ticks = axis.ticks(6)
    assert len(ticks) <= 8
    assert all(a < b for (a, _), (b, _) in pairwise(ticks))
    assert all(math.isfinite(value) and math.isfinite(axis.share(value)) for value, _ in ticks)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.1, 2.0], ["0.1", "0.2", "0.5", "1", "2"]),
        ([1e-15, 1.0], ["1e-15", "1e-12", "1e-9", "1e-6", "0.001", "1"]),
        ([0.3, 0.9], ["0.4", "0.6", "0.8"]),
        ([-3.0, 0.1], ["-3", "-2", "-1", "0"]),
        ([0.693147, 0.693147], ["0.68", "0.69", "0.7", "0.71"]),
        ([1e5, 3e5], ["100k", "150k", "200k", "250k", "300k"]),
        ([4e3, 1.2e4], ["4k", "6k", "8k", "10k", "12k"]),
        ([2e4, 5.6e5], ["20k", "50k", "100k", "200k", "500k"]),
        ([4e5, 1.4e6], ["0.4M", "0.6M", "0.8M", "1M", "1.2M", "1.4M"]),
    ],
)
def test_ticks_are_the_numbers_that_a_person_would_write(values: list[float], words: list[str]) -> None:
    axis = axis_of(values)
    assert axis is not None
    found = [text for _, text in axis.ticks(6)]
    assert found == words


def test_a_loss_that_spans_decades_stands_on_a_logarithmic_axis() -> None:
    curve = loss([10.0**-n for n in range(8)])
    assert any("logarithmic" in words for words in texts(chart(picture(curve))))
    assert not any("logarithmic" in words for words in texts(chart(picture(loss([1.0, 0.5])))))
    assert not any("logarithmic" in words for words in texts(chart(picture(loss([1e6, 0.0])))))


@given(STEPS, st.data())
def test_whatever_a_run_sends_the_picture_is_whole_and_within_its_frame(steps: list[int], data: st.DataObject) -> None:
    values = data.draw(st.lists(FLOATS, min_size=len(steps), max_size=len(steps)))
    onset, opened, last = sorted(data.draw(st.lists(st.integers(0, 2**53 - 1), min_size=3, max_size=3)))
    mark = FindingMark("diverging", Ink.CRITICAL, onset, opened, last)
    older = Curve("earlier attempt", Ink.SUPERSEDED, steps, values[::-1])
    scene = chart(picture(older, loss(values, steps), marks=(mark,)))
    for shape in scene.shapes:
        match shape:
            case Stroke(places):
                spots = list(places)
            case Box(corner, width, height):
                spots = [corner, (corner[0] + width, corner[1] + height)]  # type: ignore[list-item]
            case Text(place):
                spots = [place]
        for x, y in spots:
            assert -0.5 <= x <= WIDTH + 0.5
            assert -0.5 <= y <= HEIGHT + 0.5
    ElementTree.fromstring(svg(scene))


def test_values_that_are_not_finite_are_marks_at_the_edge_and_no_holes() -> None:
    scene = chart(picture(loss([1.0, math.nan, 0.5, math.inf, 0.4, -math.inf, 0.3])))
    said = texts(scene)
    assert {"NaN", "infinite", "minus infinite"} <= set(said)
    red = [s for s in scene.shapes if isinstance(s, Stroke) and s.ink is Ink.CRITICAL]
    plot = [s for s in red if all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y in s.places)]
    assert len(plot) == 4, "two strokes of a cross, an arrow up, an arrow down"


def test_many_values_that_are_not_finite_are_a_row_of_marks_and_not_a_mark_each() -> None:
    scene = chart(picture(loss([1.0] + [math.nan] * 50_000)))
    assert len(scene.shapes) < 700
    assert len(svg(scene)) < 100_000


def test_a_finding_is_marked_where_it_began_and_where_it_was_found() -> None:
    mark = FindingMark("diverging", Ink.CRITICAL, 63, 67, 99)
    scene = chart(picture(loss([1.0] * 100), marks=(mark,)))
    assert "diverging: began at step 63, found at 67" in texts(scene)
    x = {step: LEFT + step / 99 * (WIDTH - RIGHT - LEFT) for step in (63, 67, 99)}
    lines = [s for s in scene.shapes if isinstance(s, Stroke) and s.ink is Ink.CRITICAL]
    assert [(round(s.places[0].x, 3), s.dashed) for s in lines] == [(round(x[63], 3), True), (round(x[67], 3), False)]
    (span,) = (s for s in scene.shapes if isinstance(s, Box) and s.opacity < 1)
    assert (round(span.corner.x, 3), round(span.corner.x + span.width, 3)) == (round(x[63], 3), round(x[99], 3))


def test_the_name_of_a_finding_covers_no_curve_where_there_is_room() -> None:
    steps = list(range(1, 401))
    validation = Curve("validation loss", Ink.VALIDATION, steps, [1.0 + step / 1e4 for step in steps])
    training = loss([math.exp(-step / 15) for step in steps], steps)
    found = FindingMark("overfitting", Ink.WARNING, 51, 103, 400)
    other = FindingMark("plateau", Ink.WARNING, 55, 103, 400)
    scene = chart(picture(training, validation, marks=(found, other)))
    names = [shape for shape in scene.shapes if isinstance(shape, Text) and "found at" in shape.words]
    curves = [shape for shape in scene.shapes if isinstance(shape, Stroke) and len(shape.places) == len(steps)]
    assert (len(names), len(curves)) == (2, 2)
    assert abs(names[0].place.y - names[1].place.y) > 12
    for name in names:
        right = name.place.x + text_width(name.words, 12, bold=True)
        for curve in curves:
            assert not any(
                name.place.x <= x <= right and name.place.y - 12 <= y <= name.place.y + 3 for x, y in curve.places
            )


@pytest.mark.slow
def test_words_of_a_client_stay_words() -> None:
    hostile = RunPicture(NASTY, NASTY, Ink.CRITICAL, NASTY * 50, NASTY, (loss([1.0, 0.5]),))
    for scene in (chart(hostile), badge(hostile)):
        root = ElementTree.fromstring(svg(scene).encode())
        allowed = {"svg", "title", "desc", "style", "rect", "polyline", "polygon", "text"}
        assert {element.tag.removeprefix(SVG) for element in root.iter()} <= allowed
        assert not [name for element in root.iter() for name in element.attrib if name.startswith("on")]
        assert not re.search(r"\bhref\b(?=[^<]*>)", re.sub(r">[^<]*<", "><", svg(scene)))
        assert Image.open(io.BytesIO(png(scene))).size == (scene.width * SCALE, scene.height * SCALE)


def test_a_png_shows_the_curve_and_the_words_without_a_font_of_the_machine() -> None:
    blank, full = (png(chart(picture(loss([1.0, 0.5, 0.2, 0.1]), words=words, run=words))) for words in (" ", "Falls"))
    one, other = (Image.open(io.BytesIO(data)).convert("L") for data in (blank, full))
    head = (0, 20, WIDTH, int(TOP))
    assert one.crop(head).getextrema() != other.crop(head).getextrema() or one.tobytes() != other.tobytes()
    colours = Image.open(io.BytesIO(full)).convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert tuple(bytes.fromhex(LIGHT[Ink.LOSS][1:])) in {colour for _, colour in colours}


def test_a_run_without_points_says_so() -> None:
    assert "No points yet" in texts(chart(picture()))


def test_words_are_clipped_and_wrapped_to_the_width() -> None:
    long = "The loss has been rising since step 60: from 0.5 to 12, 24 times its lowest. " * 9
    lines = wrapped(long, 13, 700, 2)
    assert len(lines) == 2
    assert all(text_width(line, 13) <= 700 for line in lines)
    assert lines[1].endswith("…")
    assert " ".join(wrapped("two words", 13, 700, 2)) == "two words"
    assert clipped("x" * 500, 20, 300).endswith("…")
    assert wrapped("", 13, 700, 2) == []


def test_the_axis_of_steps_is_never_empty() -> None:
    assert steps_axis(5, 5).share(5) == 0.5


def contrast(first: str, second: str) -> float:
    """By WCAG 2.2: the ratio of relative luminances."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


STATUSES = (Ink.CRITICAL, Ink.WARNING, Ink.INFO, Ink.HEALTHY, Ink.WAITING)


@pytest.mark.parametrize("inks", [LIGHT, DARK], ids=["light", "dark"])
def test_words_have_the_contrast_that_people_need(inks: dict[Ink, str]) -> None:
    pairs = [(ink, Ink.GROUND) for ink in (Ink.TEXT, Ink.MUTED, *STATUSES)]
    pairs += [(Ink.ON_COLOUR, ink) for ink in STATUSES] + [(Ink.ON_LABEL, Ink.LABEL)]
    assert {(a, b): round(contrast(inks[a], inks[b]), 2) for a, b in pairs if contrast(inks[a], inks[b]) < 4.5} == {}
    assert contrast(inks[Ink.LOSS], inks[Ink.GROUND]) >= 3


def test_digits_are_given_the_room_that_they_take_in_the_widest_usual_font() -> None:
    assert text_width("3,990,000", 11) >= 0.95 * (7 * 0.636 + 2 * 0.318) * 11, "DejaVu Sans, in em"
