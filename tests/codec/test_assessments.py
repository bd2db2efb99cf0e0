"""Assessments come back exactly from what is kept of a finished run, and a damaged one is said to be so."""

from __future__ import annotations

import pytest

from losswatch_server.codec.assessments import assessment_from_bytes, assessment_json, assessment_to_bytes
from losswatch_server.codec.damage import DamagedCellError
from losswatch_server.monitor.points import EMPTY_CONTEXT, Point
from losswatch_server.monitor.report import diagnose

CURVES = {
    "diverging": [Point(step, loss=1.01**step) for step in range(400)],
    "not a number": [Point(step, loss=1.0 if step < 50 else float("nan")) for step in range(60)],
    "overflowing": [Point(step, loss=1.0 if step < 50 else float("inf"), grad_norm=1 / 3) for step in range(60)],
    "nothing": [],
}


@pytest.mark.parametrize("name", CURVES)
def test_an_assessment_comes_back_exactly(name: str) -> None:
    assessment = diagnose(CURVES[name], EMPTY_CONTEXT)
    again = assessment_from_bytes(assessment_to_bytes(assessment))
    assert repr(again) == repr(assessment), "NaN equals NaN"
    assert assessment_json(again) == assessment_json(assessment)


def test_most_curves_have_findings_to_bring_back() -> None:
    assert sum(bool(diagnose(points, EMPTY_CONTEXT).findings) for points in CURVES.values()) == 3


@pytest.mark.parametrize("data", [b"", b"[1]", b"{}", b'{"forecast": 3}', b"\xff"])
def test_what_is_no_assessment_is_damage(data: bytes) -> None:
    with pytest.raises(DamagedCellError):
        assessment_from_bytes(data)
