"""Batching never matters: a fold that is stopped, frozen and thawed anywhere goes on byte for byte the same."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import assess
from losswatch_server.monitor.snapshot import freeze, thaw
from losswatch_server.monitor.vocabulary import DETECTION_VERSION
from monitor.curves import falling, flat, growing, points, watch

STREAMS = {
    "spike": points([*falling(150), 9.0, 8.0, *falling(80, start=0.5)], grad_norm=[1.0] * 232),
    "divergence": points([*falling(60), *growing(30, factor=1.4)]),
    "flat": [
        Point(i, loss, 0.3, layers={"a": 1e-9, "b": 0.3}, metrics={"acc": 0.1 + i / 1000})
        for i, loss in enumerate(flat(150))
    ],
    "validation": points(falling(60), validation_loss=[*falling(20), *growing(40, factor=1.05, start=0.3)]),
    "nan": points([*falling(30), *[float("nan")] * 5, *falling(40)]),
}
CONTEXT = Context(
    loss_name="cross_entropy",
    num_classes=10,
    total_steps=300,
    optimizer="sgd",
    learning_rate=0.1,
    baseline_loss=2.25,
    facts=ModelFacts(class_shares=(0.5, 0.5), input_mean=math.nan, hidden_activations=("relu", "linear")),
)


@pytest.mark.slow
@settings(max_examples=settings().max_examples // 3)
@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 231), max_size=6), st.booleans())
def test_freezing_and_thawing_anywhere_changes_nothing(name: str, cuts: list[int], watched: bool) -> None:
    whole = watch(STREAMS[name], CONTEXT, watched=watched)
    monitor = Monitor("test", watched=watched)
    monitor.see_context(CONTEXT)
    for i, point in enumerate(STREAMS[name]):
        if i in cuts:
            monitor = thaw(freeze(monitor))
        monitor.see(point)
    assert freeze(monitor) == freeze(whole)
    assert assess(monitor) == assess(whole)


@pytest.mark.parametrize("data", [b"", b"LWS1", b"LWS1\xff\xff\xff\xff{}", b"pickle", b"LWS1\x02\x00\x00\x00{}"])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        thaw(data)


def test_a_snapshot_of_other_rules_is_refused() -> None:
    data = freeze(watch(STREAMS["spike"]))
    with pytest.raises(ValueError, match="detection version"):
        thaw(data.replace(b'"detection_version":%d,' % DETECTION_VERSION, b'"detection_version":0,'))


def test_late_validation_enters_its_series_and_judges_nothing_anew() -> None:
    monitor = watch(points(falling(60)), CONTEXT)
    before = monitor.findings()
    for step, loss in enumerate([*falling(20), *growing(40, factor=1.05, start=0.3)]):
        monitor.see_late(Point(step, validation_loss=loss))
    assert monitor.memory.validation.n == 60
    assert monitor.memory.loss.n == 60
    assert [f.condition for f in monitor.findings()][: len(before)] == [f.condition for f in before]
    assert "overfitting" in [str(f.condition) for f in monitor.findings()]


def test_a_new_attempt_names_its_findings_anew() -> None:
    monitor = watch(points(falling(60)), CONTEXT)
    monitor.begin_attempt(2, 60)
    for i in range(5):
        monitor.see(Point(60 + i, float("nan")))
    (finding,) = [f for f in monitor.findings() if f.severity == "critical"]
    assert finding.attempt == 2


def test_a_damaged_snapshot_is_refused_or_read_and_never_fails_in_another_way() -> None:
    whole = freeze(watch(STREAMS["spike"], CONTEXT))
    rng = np.random.default_rng(0)
    for _ in range(500):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), size=int(rng.integers(1, 4))):
            data[place] = rng.integers(256)
        cut = int(rng.integers(len(data))) if rng.random() < 0.2 else len(data)
        with contextlib.suppress(ValueError):
            thaw(bytes(data[:cut]))
