"""Losses that say nothing of progress: an adversarial pair and a policy gradient, sent in three ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.develop_half.adversarial import adversarial_pair, policy_gradient
from benchmarks.detection.labels import LabelledRun
from benchmarks.detection.programs.games import game_run

STEPS = 800


def runs(seed: int) -> Iterator[LabelledRun]:
    """Every game of that seed in every way of sending it, and a policy whose rewards become NaN."""
    maker, judge = adversarial_pair(seed, STEPS)
    policy, rewards = policy_gradient(seed, STEPS)
    curves: Mapping[str, tuple[tuple[NDArray[np.float64], NDArray[np.float64]], dict[str, NDArray[np.float64]]]] = {
        "generator": (maker, {"d_loss": judge[0]}),
        "discriminator": (judge, {"g_loss": maker[0]}),
        "policy": (policy, {"reward": rewards}),
    }
    for name, ((losses, norms), metrics) in curves.items():
        for told in ("objective", "name", "metrics"):
            yield game_run(f"{name}-{seed}", told, losses, norms, metrics, loss_name=f"{name}_loss")
    (losses, norms), rewards = policy_gradient(seed + 50, STEPS, broken_from=STEPS // 2)
    yield game_run(f"broken-policy-{seed}", "objective", losses, norms, {"reward": rewards}, broken_from=STEPS // 2)
