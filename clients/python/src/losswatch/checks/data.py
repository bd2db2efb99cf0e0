"""What one batch shows of the data, and its loss before any step: ranges, chance, what the loss expects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from losswatch.checks.report import Finding
from losswatch.facts.graph import GraphFacts

if TYPE_CHECKING:
    torch: Any
else:
    pass

LARGE, LARGE_SPREAD = 50.0, 6.0
"""Standardised inputs reach 5 to 30 (heavy tails); pixels reach 255, raw tables thousands."""
SMALL_SPREAD = 0.02
LARGE_TARGETS = 20.0
FAR_ABOVE_CHANCE = 2.5
"""Times that of the best constant answer: initialisations that are in use stay below 2."""


def of_inputs(facts: Dict[str, Any]) -> List[Finding]:
    """Not finite, too large, or hardly different from each other."""
    if "input_max_abs" not in facts:
        return []
    mean, std, largest = facts["input_mean"], facts["input_std"], facts["input_max_abs"]
    numbers = {"input_mean": mean, "input_std": std, "input_max_abs": largest}
    if not math.isfinite(largest) or not math.isfinite(mean):
        return [
            Finding(
                "inputs", "critical", "non_finite", "The inputs hold NaN or infinity.", "check_data",
                "Find the samples that are not finite and leave them out or mend them.", "non_finite_data",
                evidence=numbers,
            )
        ]  # fmt: skip
    is_large = max(abs(mean) / LARGE_SPREAD, std / LARGE_SPREAD, largest / LARGE) > 1
    if facts.get("normalization") or not (is_large or std < SMALL_SPREAD):
        return []
    what = f"mean {mean:.3g}, standard deviation {std:.3g}, up to {largest:.3g}"
    said = f"The inputs are not scaled: {what}." if is_large else f"The inputs hardly differ: {what}."
    return [
        Finding(
            "inputs", "warning", "exploding_gradient" if is_large else "slow_convergence", said, "scale_inputs",
            "Bring every input to mean 0 and standard deviation 1.", "inputs_not_scaled", evidence=numbers,
        )
    ]  # fmt: skip


def of_targets(
    facts: Dict[str, Any], targets: Any, graph: Optional[GraphFacts], outputs: Optional[int]
) -> List[Finding]:
    """Not finite, of the wrong kind, outside of the classes, or out of the reach of the last layer."""
    if targets is None:
        return []
    if targets.is_floating_point():
        mean, std = float(targets.float().mean()), float(targets.float().std(unbiased=False))
        numbers = {"target_mean": mean, "target_std": std}
        if not math.isfinite(mean):
            return [
                Finding(
                    "targets", "critical", "non_finite", "The targets hold NaN or infinity.", "check_data",
                    "Find the samples that are not finite and leave them out or mend them.", "non_finite_data",
                    evidence=numbers,
                )
            ]  # fmt: skip
        end = graph.output_activation if graph else None
        low, high = {"sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, math.inf)}.get(
            end or "", (-math.inf, math.inf)
        )
        smallest, largest = float(targets.min()), float(targets.max())
        if smallest < low - 1e-3 or largest > high + 1e-3:
            said = f"The targets go from {smallest:.3g} to {largest:.3g}, and the last layer ends in {end}."
            return [
                Finding(
                    "targets", "critical", "plateau", said, "check_output",
                    "Leave the activation of the last layer out, or scale the targets into its range.",
                    "wrong_loss_function", evidence=numbers,
                )
            ]  # fmt: skip
        if max(abs(mean), std) > LARGE_TARGETS and (graph is None or graph.loss_expects == "values"):
            return [
                Finding(
                    "targets", "warning", "exploding_gradient",
                    f"The targets are not scaled: mean {mean:.3g}, standard deviation {std:.3g}.", "scale_inputs",
                    "Bring the targets to mean 0 and standard deviation 1.", "inputs_not_scaled", evidence=numbers,
                )
            ]  # fmt: skip
        return []
    return _of_classes(facts, outputs)


def _of_classes(facts: Dict[str, Any], outputs: Optional[int]) -> List[Finding]:
    shares = facts.get("class_shares")
    found = []
    if shares and outputs is not None and outputs > 1 and len(shares) > outputs:
        found.append(
            Finding(
                "targets", "critical", "non_finite",
                f"There is a label {len(shares) - 1}, and the model has {outputs} outputs.", "check_labels",
                "Give the last layer as many outputs as there are classes, counted from 0.", "labels_uninformative",
            )
        )  # fmt: skip
    if shares and max(shares) > 0.985:
        said = f"{max(shares):.0%} of the labels of this batch are of one class."
        found.append(
            Finding(
                "targets", "warning", "not_learning", said, "check_labels",
                "Shuffle the data, and look at inputs and labels side by side.", "labels_uninformative",
            )
        )  # fmt: skip
    if outputs == 1 and facts.get("loss_expects") == "logits" and shares and len(shares) > 2:
        found.append(
            Finding(
                "targets", "critical", "not_learning", f"The model has one output for {len(shares)} classes.",
                "check_output", "Give the last layer as many outputs as there are classes.", "wrong_loss_function",
            )
        )  # fmt: skip
    return found


def of_end(graph: Optional[GraphFacts], facts: Dict[str, Any]) -> List[Finding]:
    """What the model ends in does not fit what the loss expects; no activation between the layers."""
    found = []
    if graph is not None:
        end, expects = graph.output_activation, graph.loss_expects
        wrong = {
            ("softmax", "logits"): "The model ends in a softmax, and the loss applies one again.",
            ("sigmoid", "logits"): "The model ends in a sigmoid, and the loss applies its own.",
            ("relu", "logits"): "The model ends in a ReLU: it cannot say that a class is unlikely.",
            ("linear", "probabilities"): "The loss expects probabilities, and the model ends without a sigmoid.",
            ("relu", "probabilities"): "The loss expects probabilities, and the model ends in a ReLU.",
            ("linear", "log_probabilities"): "The loss expects log-probabilities, and the model gives none.",
            ("softmax", "log_probabilities"): "The loss expects log-probabilities, and the model gives probabilities.",
        }.get((end or "", expects or ""))
        if wrong is not None and graph.loss_name == "cross_entropy":
            wrong = wrong.replace("without a sigmoid", "without a softmax")
        if wrong is None and expects == "values" and facts.get("target_kind") == "classes":
            wrong = "The targets are classes, and the loss is one for values."
        if wrong is not None:
            found.append(
                Finding(
                    "end", "critical", "not_learning", wrong, "check_output",
                    "Let the model end without activation and use a loss that takes logits.", "wrong_loss_function",
                    evidence={"output_activation": end, "loss_expects": expects},
                )
            )  # fmt: skip
        hidden = graph.hidden_activations
        if hidden and set(hidden) == {"linear"}:
            found.append(
                Finding(
                    "activations", "critical", "plateau", "The model has no activation between its layers.",
                    "change_activation", "Put a ReLU between the layers.", "missing_nonlinearity", "relu",
                )
            )  # fmt: skip
    return found


def chance(graph: Optional[GraphFacts], facts: Dict[str, Any], targets: Any, outputs: Optional[int]) -> Optional[float]:
    """The loss of the best constant answer on this batch; for classes that of all being equally likely."""
    if graph is None or targets is None:
        return None
    if graph.loss_name == "cross_entropy" and outputs and outputs > 1:
        return math.log(outputs)
    if graph.loss_name == "binary_cross_entropy":
        return math.log(2)
    if targets.is_floating_point() and graph.loss_name == "mse":
        return float(targets.float().var(unbiased=False))
    if targets.is_floating_point() and graph.loss_name == "l1":
        return float((targets.float() - targets.float().median()).abs().mean())
    return None


def of_start(loss: float, best_constant: Optional[float]) -> List[Finding]:
    """The loss before the first step."""
    if not math.isfinite(loss):
        return [
            Finding(
                "start", "critical", "non_finite", f"The loss is {loss} before the first step.", "check_data",
                "Look for values that are not finite in inputs, targets and initial weights.", "non_finite_data",
                evidence={"initial_loss": loss},
            )
        ]  # fmt: skip
    if best_constant is None or best_constant <= 0 or loss <= FAR_ABOVE_CHANCE * best_constant:
        return []
    times = loss / best_constant
    said = f"Before training the loss is {loss:.3g}, {times:.2g} times that of the best constant answer."
    return [
        Finding(
            "start", "warning", "exploding_gradient", said, "change_initialization",
            "Scale inputs and targets; else draw smaller initial weights.", "poor_initialization",
            "he", {"initial_loss": loss, "baseline_loss": best_constant},
        )
    ]  # fmt: skip
