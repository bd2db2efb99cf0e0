"""Healthy runs whose loss is no measure of progress: a generative adversarial pair and a policy gradient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.zoo.losses import softmax
from benchmarks.detection.zoo.network import Network
from benchmarks.detection.zoo.optimizer import Optimizer
from benchmarks.detection.zoo.recipe import Recipe

Curves = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Loss and gradient norm, one a step."""


def sigmoid(z: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logistic."""
    out: NDArray[np.float32] = 0.5 * (1 + np.tanh(0.5 * z))
    return out


def adversarial_pair(seed: int, steps: int) -> tuple[Curves, Curves]:
    """A generator of a bimodal plane distribution and its discriminator: (generator, discriminator) curves."""
    generator = np.random.default_rng([seed, 23])
    recipe = Recipe(task="", optimizer="adam", momentum=0.5)
    maker = Network((4, 24, 2), "relu", 1.0, 0.0, seed)
    judge = Network((2, 24, 1), "leaky_relu", 1.0, 0.0, seed + 1)
    optimizers = Optimizer(maker), Optimizer(judge)
    curves = np.empty((4, steps))
    for step in range(steps):
        real = generator.normal(0, 0.3, (32, 2)) + np.where(generator.random((32, 1)) < 0.5, 1.5, -1.5)
        noise = generator.normal(0, 1, (32, 4)).astype(np.float32)
        made = maker.forward(noise)
        judge.gradient[:] = 0
        loss = 0.0
        for x, truth in ((real.astype(np.float32), 1.0), (made[-1], 0.0)):
            values = judge.forward(x)
            p = sigmoid(values[-1])
            loss -= float(np.mean(np.log(np.maximum(p if truth else 1 - p, 1e-7)))) / 2
            judge.propagate(values, (p - np.float32(truth)) / np.float32(64))
        curves[2:, step] = loss, float(np.linalg.norm(judge.gradient))
        optimizers[1].step(recipe, judge.gradient, 0.0, 2e-3)
        judge.gradient[:] = 0
        maker.gradient[:] = 0
        values = judge.forward(made[-1])
        p = sigmoid(values[-1])
        maker.propagate(made, judge.propagate(values, (p - 1) / np.float32(32)))
        curves[:2, step] = float(-np.mean(np.log(np.maximum(p, 1e-7)))), float(np.linalg.norm(maker.gradient))
        optimizers[0].step(recipe, maker.gradient, 0.0, 1e-3)
    return (curves[0], curves[1]), (curves[2], curves[3])


def policy_gradient(seed: int, steps: int, broken_from: int | None = None) -> tuple[Curves, NDArray[np.float64]]:
    """Curves and mean reward a step; from ``broken_from`` on one reward in a batch is NaN.

    REINFORCE on a contextual bandit of five arms, with a running baseline: the loss hovers about 0 throughout.
    """
    generator = np.random.default_rng([seed, 29])
    recipe = Recipe(task="", optimizer="adam")
    policy = Network((6, 24, 5), "tanh", 1.0, 0.0, seed)
    best = Network((6, 16, 5), "tanh", 2.0, 0.0, seed + 100)
    optimizer = Optimizer(policy)
    baseline = 0.0
    losses, norms, rewards = np.empty(steps), np.empty(steps), np.empty(steps)
    for step in range(steps):
        x = generator.normal(0, 1, (64, 6)).astype(np.float32)
        values = policy.forward(x)
        p = softmax(values[-1])
        chosen = np.argmax(np.log(p + 1e-9) + generator.gumbel(0, 1, p.shape), axis=1)
        reward = (np.argmax(best.forward(x)[-1], axis=1) == chosen) + generator.normal(0, 0.3, 64)
        if broken_from is not None and step >= broken_from:
            reward[0] = np.nan
        rewards[step] = reward.mean()
        gain = (reward - baseline).astype(np.float32)
        baseline += 0.05 * (float(reward.mean()) - baseline)
        rows = np.arange(64)
        losses[step] = float(-np.mean(gain * np.log(p[rows, chosen] + 1e-9)))
        delta = p.copy()
        delta[rows, chosen] -= 1
        policy.gradient[:] = 0
        policy.propagate(values, delta * gain[:, None] / np.float32(64))
        norms[step] = float(np.linalg.norm(policy.gradient))
        optimizer.step(recipe, policy.gradient, 0.0, 3e-3)
    return (losses, norms), rewards
