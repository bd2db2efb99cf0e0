"""The pictures are what their scripts draw from real runs today."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks.pictures.__main__ import PICTURES
from benchmarks.pictures.diverging import LEARNING_RATE, first_report, train


@pytest.mark.slow
@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_what_its_script_draws(path):
    def words(svg):
        return [element.text for element in ElementTree.fromstring(svg).iter() if element.text and element.text.strip()]

    def numbers(svg):
        return [float(number) for number in re.findall(r"-?\d+\.\d", svg)]

    drawn, kept = PICTURES[path](), path.read_text(encoding="utf-8")
    assert words(drawn) == words(kept), "stale: make docs draws it anew"
    assert numbers(drawn) == pytest.approx(numbers(kept), abs=0.25), "stale: make docs draws it anew"


def test_the_run_in_the_picture_is_the_documented_one():
    losses = train(LEARNING_RATE)
    assert losses[:5] == pytest.approx([450.98, 1603.09, 5698.47, 20256.3, 72005.2], rel=2e-3)
    report = first_report(losses)
    assert report.findings[0].opened_step == 4
    assert report.findings[0].evidence["learning_rate_limit"] == pytest.approx(0.0069315, rel=0.01)
