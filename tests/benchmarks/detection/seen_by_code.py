"""Facts that an integration reads off the program itself, laid over what the zoo's runs kept while they were trained.

``programs.facts`` tells what is measured of model and data. What the program *does* is known of every run by its name
alone, and so is added where runs are read: a new fact need not train four thousand networks anew. Nothing is added that
the clients of PyTorch do not send: whether gradients are cleared (``torch_clearing``), what the loss at the end of the
graph expects, and the activation before it (``facts.graph``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.detection.labels import LabelledRun

UNCLEARED = "-gradients_accumulating-"
OF_LOSSES: Mapping[str, Mapping[str, Any]] = {
    "class_numbers": {"loss_expects": "values"},
    "likelihood_without_logarithm": {"loss_expects": "log_probabilities"},
    "clipped_output": {"output_activation": "relu"},
}
"""By the wrong loss of a run: a squared error of the numbers of the classes; the likelihood of a loss that takes
logarithms; a ReLU after the last layer. Of the others the graph looks as the runs say."""


def completed(run: LabelledRun) -> LabelledRun:
    """The run with these facts. A client knows them once it has seen a few steps."""
    if not run.facts or "parameters" not in run.facts[0][1]:  # without a network there is no graph to read
        return run
    (first, at_start), *later = run.facts
    wrong = run.id.rpartition("-wrong_loss_function-")[2] if "-wrong_loss_function-" in run.id else ""
    at_start = {**at_start, **OF_LOSSES.get(wrong, {})}
    cleared = {"gradients_cleared": UNCLEARED not in run.id}
    if later:
        later[0] = later[0][0], {**later[0][1], **cleared}
    else:
        at_start |= cleared
    return replace(run, facts=((first, at_start), *later))
