"""Losses that say nothing of progress: temporal differences on a chain of states, and the critic of a maker."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.labels import LabelledRun
from benchmarks.detection.programs.games import game_run
from benchmarks.detection.zoo.network import Network
from benchmarks.detection.zoo.optimizer import Optimizer
from benchmarks.detection.zoo.recipe import Recipe

STEPS = 900
Curve = NDArray[np.float64]


def temporal_differences(seed: int, broken_from: int | None = None) -> tuple[Curve, Curve, Curve]:
    """Loss, gradient norm and return of a learner of action values on a chain of ten states with a moving target."""
    generator = np.random.default_rng([seed, 41])
    recipe = Recipe(task="", optimizer="rmsprop")
    values, target = (Network((10, 20, 2), "relu", 1.0, 0.0, seed) for _ in range(2))
    optimizer = Optimizer(values)
    out = np.empty((3, STEPS))
    eye = np.eye(10, dtype=np.float32)
    state, gained = 0, 0.0
    memory: list[tuple[int, int, float, int]] = []
    for step in range(STEPS):
        for _ in range(4):
            explores = generator.random() < max(0.1, 1 - step / 400)
            action = int(generator.integers(2)) if explores else int(np.argmax(values.forward(eye[[state]])[-1]))
            after = min(9, state + 1) if action == 1 and generator.random() < 0.85 else max(0, state - 1)
            reward = 1.0 if after == 9 else 0.02 * generator.normal()
            memory = [*memory[-400:], (state, action, reward, after)]
            state = 0 if after == 9 else after
            gained = 0.99 * gained + 0.01 * reward
        chosen = [memory[i] for i in generator.integers(0, len(memory), 24)]
        s, a, r, n = (np.array(column) for column in zip(*chosen, strict=True))
        if broken_from is not None and step >= broken_from:
            r = r.astype(float)
            r[0] = np.inf
        aim = r + 0.95 * target.forward(eye[n])[-1].max(axis=1)
        layers = values.forward(eye[s])
        error = (layers[-1][np.arange(24), a] - aim).astype(np.float32)
        delta = np.zeros_like(layers[-1])
        delta[np.arange(24), a] = 2 * error / 24
        values.gradient[:] = 0
        values.propagate(layers, delta)
        norm = float(np.linalg.norm(values.gradient))
        out[:, step] = float(np.mean(error * error)), norm, gained
        optimizer.step(recipe, values.gradient, norm, 2e-3)
        if step % 60 == 59:
            target.parameters[:] = values.parameters
    return out[0], out[1], out[2]


def critic(seed: int) -> tuple[Curve, Curve, Curve]:
    """Critic's loss, its gradient norm and the maker's loss, with clipped weights."""
    generator = np.random.default_rng([seed, 43])
    recipe = Recipe(task="", optimizer="rmsprop")
    maker, judge = Network((3, 20, 2), "relu", 1.0, 0.0, seed), Network((2, 20, 1), "relu", 1.0, 0.0, seed + 1)
    optimizers = Optimizer(maker), Optimizer(judge)
    out = np.empty((3, STEPS))
    for step in range(STEPS):
        for _ in range(2):
            angle = generator.uniform(0, 2 * np.pi, 32)
            real = np.stack([np.cos(angle), np.sin(angle)], axis=1) + generator.normal(0, 0.1, (32, 2))
            made = maker.forward(generator.normal(0, 1, (32, 3)).astype(np.float32))
            judge.gradient[:] = 0
            levels = []
            for x, sign in ((real.astype(np.float32), -1.0), (made[-1], 1.0)):
                layers = judge.forward(x)
                levels.append(float(layers[-1].mean()))
                judge.propagate(layers, np.full((32, 1), sign / 32, np.float32))
            norm = float(np.linalg.norm(judge.gradient))
            optimizers[1].step(recipe, judge.gradient, norm, 1e-3)
            np.clip(judge.parameters, -0.3, 0.3, out=judge.parameters)
        made = maker.forward(generator.normal(0, 1, (32, 3)).astype(np.float32))
        layers = judge.forward(made[-1])
        judge.gradient[:] = 0
        maker.gradient[:] = 0
        maker.propagate(made, judge.propagate(layers, np.full((32, 1), -1 / 32, np.float32)))
        optimizers[0].step(recipe, maker.gradient, 0.0, 1e-3)
        out[:, step] = levels[1] - levels[0], norm, -float(layers[-1].mean())
    return out[0], out[1], out[2]


def runs(seed: int) -> Iterator[LabelledRun]:
    """Every game in every way of sending it, at a few seeds, and a learner whose rewards become infinite."""
    with np.errstate(all="ignore"):
        for s in range(3 * seed, 3 * seed + 3):
            loss, norm, gained = temporal_differences(s)
            judged, judge_norm, made = critic(s)
            for told in ("objective", "name", "metrics"):
                yield game_run(f"values-{s}", told, loss, norm, {"mean_reward": gained}, loss_name="dqn_loss",
                               optimizer="rmsprop")  # fmt: skip
                yield game_run(f"critic-{s}", told, judged, judge_norm, {"g_loss": made}, loss_name="critic_loss",
                               optimizer="rmsprop")  # fmt: skip
            half = STEPS // 3
            loss, norm, gained = temporal_differences(s + 70, broken_from=half)
            yield game_run(
                f"broken-values-{s}", "objective", loss, norm, {"mean_reward": gained}, optimizer="rmsprop",
                broken_from=half,
            )  # fmt: skip
