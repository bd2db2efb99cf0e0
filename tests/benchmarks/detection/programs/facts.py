"""What an integration sees of model, data and optimiser, under the contract's names of ``context.facts``."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.detection.programs.criteria import BELIEVED_OUTPUT
from benchmarks.detection.programs.feed import Feed
from benchmarks.detection.programs.program import Array, Program
from benchmarks.detection.zoo.recipe import Recipe

PROBED = 64
"""Samples whose activations are looked at."""
SATURATED = {"tanh": 0.97, "sigmoid": 0.97}


def plain(value: Any) -> float:
    """To six significant digits."""
    return float(f"{float(value):.6g}")


def facts_at_start(program: Program, feed: Feed, recipe: Recipe) -> dict[str, Any]:
    """What is known before the first step."""
    head = program.slices[-1][1] - program.slices[-1][0]
    count = len(program.parameters)
    classes = program.data.classes
    facts: dict[str, Any] = {
        "parameters": count,
        "trainable_parameters": head if recipe.frozen else count,
        "optimizer_parameters": head if recipe.frozen else count,
        "hidden_activations": sorted({recipe.activation}),
        "output_activation": BELIEVED_OUTPUT.get(recipe.loss, "linear"),
        "loss_expects": "logits" if classes else "values",
        "target_kind": "classes" if classes else "values",
        "dataset_size": len(feed.x),
        "shuffled": recipe.shuffle,
        "initial_loss": plain(program.evaluate(feed.clean_x[:PROBED], feed.clean_y[:PROBED])[0]),
        "normalization": [],
    }
    if feed.x.dtype.kind == "f":
        with np.errstate(all="ignore"):
            facts |= {
                "input_mean": plain(np.mean(feed.x)),
                "input_std": plain(np.std(feed.x)),
                "input_max_abs": plain(np.max(np.abs(feed.x))),
            }
    if classes:
        shares = np.bincount(feed.clean_y.reshape(-1), minlength=classes) / feed.clean_y.size
        facts["class_shares"] = [plain(share) for share in shares]
    elif feed.y.size:
        facts |= {"target_mean": plain(np.mean(feed.y)), "target_std": plain(np.std(feed.y))}
    return facts


def facts_of_state(program: Program, before: Array, loss_scale: float | None) -> dict[str, Any]:
    """What a look at the model in mid-run shows; ``before`` are the parameters before the last step."""
    facts: dict[str, Any] = {}
    ratios = []
    for a, b in program.slices:
        size = float(np.linalg.norm(before[a:b]))
        if size > 0:
            ratios.append(float(np.linalg.norm(program.parameters[a:b] - before[a:b])) / size)
    if ratios and np.isfinite(ratios).all():
        facts["update_to_weight"] = plain(np.median(ratios))
    values = [v.reshape(-1, v.shape[-1]) for v in program.hidden_values]
    activation = program.recipe.activation
    if values and activation == "relu":
        facts["dead_unit_share"] = plain(np.mean(np.concatenate([(v <= 0).all(axis=0) for v in values])))
    if values and activation in SATURATED:
        limit = SATURATED[activation]
        beyond = [np.abs(v if activation == "tanh" else 2 * v - 1) > limit for v in values]
        facts["saturated_unit_share"] = plain(np.mean(np.concatenate([(b.mean(axis=0) > 0.9) for b in beyond])))
    if loss_scale is not None:
        facts["loss_scale"] = loss_scale
    return facts
