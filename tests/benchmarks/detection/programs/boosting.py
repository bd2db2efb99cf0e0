"""Gradient boosting with trees of a few levels, own arithmetic: a program without gradients or weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.programs.feed import Feed
from benchmarks.detection.programs.program import JUDGED_ON, Program
from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.training import Trace

CUTS = 12
"""Thresholds tried a column: its quantiles."""
Values = NDArray[np.float64]


class Boosting(Program):
    """``hidden[0]`` is the depth of the trees, ``learning_rate`` the shrinkage, ``steps`` the rounds."""

    cannot = frozenset(
        {
            "missing_nonlinearity",
            "dead_activations",
            "saturated_activations",
            "poor_initialization",
            "gradients_accumulating",
            "data_not_shuffled",
            "batch_too_small",
            "weight_decay_too_strong",
            "no_warmup",
            "precision_overflow",
            "gradient_clip_too_tight",
            "momentum_too_high",
            "inputs_not_scaled",
            "wrong_loss_function",
            "bad_batch",
            "non_finite_data",
            "by-steps",
        }
    )

    def build(self) -> None:
        """No parameters; one that is never used, so that the machinery has something to lay out."""
        self.parameter("trees", (1,), 0.0)

    def loss(self, scores: Values, y: Values) -> float:
        """The mean loss of the scores; squared error."""
        return float(np.mean((scores - y) ** 2))

    def residual(self, scores: Values, y: Values) -> Values:
        """What the next tree is fitted to: the negative slope of the loss in each score."""
        return y - scores


Tree = tuple[int, float, Any, Any] | float


def grown(x: Values, residual: Values, depth: int, quantiles: Values) -> Tree:
    """A regression tree by exhaustive search over the columns' quantiles."""
    if depth == 0 or len(x) < 8:
        return float(residual.mean()) if len(residual) else 0.0
    best, chosen = 0.0, None
    mean = residual.mean()
    for column in range(x.shape[1]):
        left = x[:, column, None] <= quantiles[column]
        count = left.sum(axis=0)
        sums = residual @ left
        usable = (count >= 4) & (count <= len(x) - 4)
        with np.errstate(all="ignore"):
            gain = sums**2 / count + (residual.sum() - sums) ** 2 / (len(x) - count) - len(x) * mean**2
        gain = np.where(usable, gain, -np.inf)
        at = int(np.argmax(gain))
        if gain[at] > best:
            best, chosen = float(gain[at]), (column, float(quantiles[column][at]))
    if chosen is None:
        return float(mean)
    column, cut = chosen
    left = x[:, column] <= cut
    return (
        column,
        cut,
        grown(x[left], residual[left], depth - 1, quantiles),
        grown(x[~left], residual[~left], depth - 1, quantiles),
    )


def answers(tree: Tree, x: Values) -> Values:
    """What a tree says of each row."""
    if not isinstance(tree, tuple):
        return np.full(len(x), tree)
    column, cut, below, above = tree
    return np.where(x[:, column] <= cut, answers(below, x), answers(above, x))


def boost(program: type[Boosting], recipe: Recipe) -> Trace:
    """Boost for ``steps`` rounds from the best constant."""
    of = program(recipe)
    feed = Feed(recipe, of.data)
    y = feed.labels(recipe.label_noise)[:, 0].astype(float)
    x, held_x = feed.clean_x.astype(float), feed.held_x.astype(float)
    clean, held_y = feed.clean_y[:, 0].astype(float), feed.held_y[:, 0].astype(float)
    quantiles = np.quantile(x, np.linspace(0.05, 0.95, CUTS), axis=0).T
    generator = np.random.default_rng([recipe.seed, 31])
    scores, held = np.full(len(x), 0.0), np.full(len(held_x), 0.0)
    changes = {step: (name, value) for step, name, value in recipe.changes}
    rate, updates = recipe.learning_rate, recipe.steps_optimizer
    losses = np.empty(recipe.steps)
    evaluated, validation = [], {}
    for step in range(recipe.steps):
        if step in changes:
            name, value = changes[step]
            rate = value if name == "learning_rate" else rate
            updates = value if name == "steps_optimizer" else updates
            y = feed.labels(value)[:, 0].astype(float) if name == "label_noise" else y
        evaluated.append((step, of.loss(scores[:JUDGED_ON], clean[:JUDGED_ON])))
        chosen = generator.random(len(x)) < (1 - recipe.dropout)
        tree = grown(x[chosen], of.residual(scores, y)[chosen], recipe.hidden[0], quantiles)
        if updates:
            scores = scores + rate * answers(tree, x)
            held = held + rate * answers(tree, held_x)
        losses[step] = of.loss(scores, y)
        validation[step] = of.loss(held, held_y)
    evaluated.append((recipe.steps - 1, of.loss(scores[:JUDGED_ON], clean[:JUDGED_ON])))
    nothing = np.full(recipe.steps, np.nan)
    return Trace(
        recipe=recipe,
        loss=losses,
        grad_norm=nothing,
        learning_rate=np.full(recipe.steps, recipe.learning_rate),
        layers=nothing[:, None],
        validation=validation,
        evaluated_at=np.array([s for s, _ in evaluated]),
        evaluated=np.array([v for _, v in evaluated]),
        result=of.loss(held, held_y),
        chance=of.chance(),
        facts=((0, {"dataset_size": len(x), "target_kind": "classes" if of.data.classes else "values"}),),
        has_gradients=False,
    )
