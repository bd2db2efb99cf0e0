"""A run in a notebook shows its verdict and a chart that stands alone."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from service_stub import BadService

import losswatch
from losswatch.history import STRETCHES, History
from losswatch.notebook import HEIGHT, WIDTH, chart

finite = st.floats(allow_nan=False, allow_infinity=False)


def test_the_verdict_the_advice_and_the_course_of_the_loss_are_shown() -> None:
    report = {
        "status": "critical",
        "headline": "The loss is <diverging>.",
        "findings": [{"id": "f_1", "severity": "critical", "advice": [{"summary": "Lower the learning rate."}]}],
    }
    with BadService(lambda request, service: (200, {}, report)) as service:
        run = losswatch.Run("a", url=service.url, quiet=True)
        assert "Nothing was reported yet" in run._repr_html_()
        for step in range(20):
            run.log(step, loss=2.0**step)
        assert run.flush()
        shown = run._repr_html_()
        run.finish()
    assert "The loss is &lt;diverging&gt;." in shown
    assert "Lower the learning rate." in shown
    assert f"{service.url}/runs/a" in shown
    assert "loss of 1 at step 0, 5.243e+05 at step 19, logarithmic" in shown
    assert ElementTree.fromstring(shown) is not None
    assert run._repr_html_() == shown


@given(st.lists(finite, min_size=2, max_size=40))
def test_every_point_of_a_chart_lies_inside_it(values: list[float]) -> None:
    history = History()
    for step, value in enumerate(values):
        history.add(step, value)
    points = re.search(r'points="([^"]+)"', chart(history.stretches(), "#777777"))
    assert points is not None
    for pair in points[1].split():
        x, y = map(float, pair.split(","))
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


@given(st.lists(finite, min_size=1, max_size=60), st.integers(1, 60))
def test_a_history_keeps_the_extremes_in_bounded_memory(values: list[float], times: int) -> None:
    history = History()
    many = values * times
    for step, value in enumerate(many):
        history.add(step, value)
    kept = history.stretches()
    assert len(kept) <= 2 * STRETCHES
    assert kept[0].step == 0
    assert min(s.low for s in kept) == min(many)
    assert max(s.high for s in kept) == max(many)
    assert [s.step for s in kept] == sorted({s.step for s in kept})
    assert all(math.isfinite(s.low) for s in kept)
