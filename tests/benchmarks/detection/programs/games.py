"""Runs whose loss is no measure of progress, sent with the objective, with the loss's usual name, or with metrics."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.labels import HEALTHY, Label, LabelledRun, context_of
from benchmarks.detection.programs.confusable import confusable
from losswatch_server.monitor.points import Point

Curve = NDArray[np.float64]


def game_run(
    name: str,
    told: str,
    losses: Curve,
    norms: Curve,
    metrics: Mapping[str, Curve],
    *,
    loss_name: str = "policy_loss",
    optimizer: str = "adam",
    broken_from: int | None = None,
) -> LabelledRun:
    """One curve as it is sent: ``told`` is objective, name (of the loss) or metrics (alone).

    ``broken_from``: the step from which values that are not finite go in; None: nothing is wrong.
    """
    every = 10
    everything = {"framework": "numpy", "optimizer": optimizer, "total_steps": len(losses)}
    everything |= {"objective": "none"} if told == "objective" else {}
    everything |= {"loss_name": loss_name} if told == "name" else {}
    points = tuple(
        Point(
            step=i,
            loss=float(f"{a:.7g}"),
            grad_norm=float(f"{b:.7g}"),
            metrics={n: float(f"{np.mean(of[i - every + 1 : i + 1]):.7g}") for n, of in metrics.items()}
            if told != "objective" and i % every == every - 1
            else None,
        )
        for i, (a, b) in enumerate(zip(losses, norms, strict=True))
    )
    label = Label(condition=HEALTHY, why="the loss is no measure of progress")
    if broken_from is not None:
        label = Label(
            condition="non_finite",
            onset_step=broken_from,
            cause="non_finite_data",
            cause_also_ok=confusable("non_finite_data", "full"),
            why="a reward is NaN from there on",
        )
    return LabelledRun(
        id=f"game-{name}-{told}",
        points=points,
        context=context_of(everything),
        label=label,
        family=f"game {name.split('-')[0]}",
        full_context=everything,
        sent="full",
    )
