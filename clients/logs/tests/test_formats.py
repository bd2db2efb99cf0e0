"""One small log of each format that people paste (formats/): its first line says what the rest must be read as."""

from __future__ import annotations

import math
from typing import Any

import pytest
from log_samples import NAMES, sample

from losswatch_logs import LogPoint, read_all

SERIES = {"steps": "step", "loss": "loss", "validation": "validation_loss", "learning_rate": "learning_rate"}


def values(points: list[LogPoint], field: str) -> list[Any]:
    return [getattr(point, field) for point in points]


def same(one: float | None, other: float | None, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    return one == other or (one != one and other != other) or math.isclose(one, other, rel_tol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_a_log_of_each_format_is_read_as_it_says(name: str) -> None:
    want, text = sample(name)
    (log,) = read_all(text)
    tolerance = want.pop("tolerance", 1e-9)
    for key, field in {**SERIES, "grad_norm": "grad_norm"}.items():
        if key in want:
            got = values(log.points, field)
            assert len(got) == len(want[key]), (key, got, log.read_as)
            for one, other in zip(got, want.pop(key), strict=True):
                assert same(one, other, tolerance), (key, got, log.read_as)
    by_step = {str(point.step): point.validation_loss for point in log.points}
    for step, value in want.pop("validation_at", {}).items():
        assert by_step[step] == value
    assert want.pop("context", {}).items() <= log.context.items(), log.context
    assert not set(want.pop("not_in_context", [])) & log.context.keys()
    account = "; ".join(log.read_as)
    assert all(part in account for part in want.pop("says", [])), account
    doubts = want.pop("doubts", [])
    assert all(part in str(log.doubts) for part in doubts), log.doubts
    assert not any(doubt.serious for doubt in log.doubts), log.doubts
    assert want == {}
    assert {point.attempt for point in log.points} == {1}
