"""The runs that the conditions' pictures show, as data: ``curves.jsonl``, one run a line.

``make docs-curves`` trains them anew. They are kept because a training amplifies the last bit of every sum, and that
bit differs between processors: the same recipe ends in another curve, and now and then in another finding, elsewhere.
From the data a picture comes out the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from benchmarks.detection.labels import LabelledRun, read_corpus, write_corpus
from benchmarks.detection.zoo import faulty_run, healthy_run
from benchmarks.detection.zoo.faults import faults
from benchmarks.detection.zoo.healthy import healthy
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.vocabulary import Condition

CURVES = Path(__file__).with_name("curves.jsonl")
SEEDS = 3
"""Draws of the zoo among which the runs are found."""
DIGITS = 6
"""Significant digits of a kept value: more than a log prints, and a third of the size."""

RUNS: Mapping[Condition, str] = {
    Condition.NON_FINITE: "learning_rate_too_high-x40-teacher-momentum-2",
    Condition.DIVERGING: "learning_rate_too_high-later-x40-glyphs-momentum-1",
    Condition.EXPLODING_GRADIENT: "inputs_not_scaled-x300+offset-tokens-adam-2",
    Condition.VANISHING_GRADIENT: "poor_initialization-tiny-deep-rings-sgd-0",
    Condition.NOT_LEARNING: "parameters_not_updated-start-rings-sgd-0",
    Condition.OVERFITTING: "overfit_small_data-150-glyphs-sgd-2",
    Condition.OSCILLATION: "data_not_shuffled-later-friedman-sgd-2",
    Condition.LOSS_SPIKE: "bad_batch-x30-rings-sgd-0",
    Condition.PLATEAU: "labels_uninformative-all-friedman-adam-62",
    Condition.SLOW_CONVERGENCE: "learning_rate_too_low-/400-friedman-adam-0",
    Condition.CONVERGED: "healthy-saddle-rings-adam-0",
}
"""Which run of the zoo shows a condition. Silence is told by the clock alone, so no curve shows it."""


def trained(name: str) -> LabelledRun:
    """That run of the zoo, trained now, on this machine."""
    for fault in faults(range(SEEDS)):
        if fault.id == name:
            return faulty_run(fault)
    return healthy_run(next(run for run in healthy(range(1)) if run.id == name))


def shortened(point: Point) -> Point:
    """The point with as many digits as are kept."""

    def short(value: float | None) -> float | None:
        return None if value is None else float(f"{value:.{DIGITS}g}")

    return point._replace(
        loss=short(point.loss),
        grad_norm=short(point.grad_norm),
        learning_rate=short(point.learning_rate),
        validation_loss=short(point.validation_loss),
        layers=None if point.layers is None else {name: float(f"{v:.{DIGITS}g}") for name, v in point.layers.items()},
    )


def train_all() -> None:
    """Train every run and keep it."""
    runs = (trained(name) for name in RUNS.values())
    write_corpus(CURVES, (replace(run, points=tuple(map(shortened, run.points))) for run in runs))


@cache
def kept() -> Mapping[str, LabelledRun]:
    """The runs as they are kept, by name."""
    return {run.id: run for run in read_corpus(CURVES)}


if __name__ == "__main__":
    train_all()
