"""What to do about units that are dead or saturated, and what keeps them alive: the data's scale, the first weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from losswatch_server.monitor.advice.learning_rate import lower, usual_rate
from losswatch_server.monitor.diagnosis.evidence.settings import activation
from losswatch_server.monitor.diagnosis.measures import Measured
from losswatch_server.monitor.diagnosis.optimizers import fine_tunes
from losswatch_server.monitor.findings import Advice, Finding
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName

NO_FACTS = ModelFacts()
KILLS = 5.0
"""Times what is usual from which on it is the rate that killed units: others in their place would carry the same steps,
and blow up."""
LARGE_NORM = 4.0
"""Times the loss, of the 90th percentile of the gradient norms, from which on what comes into saturated units is large:
of units that saturate for another reason it is 2.8 at most, of data 300 times too large 8."""


def _rate_first(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    rate, usual = measured.learning_rate, usual_rate(context)
    high = rate is not None and usual is not None and rate > KILLS * usual
    lowered = lower(finding, measured, context) if high else None
    if lowered is not None:
        yield replace(lowered, cause=CauseName.LEARNING_RATE_TOO_HIGH)


def scaled_inputs(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    """Unless the client states that they are scaled."""
    facts = context.facts or NO_FACTS
    if facts.input_std is not None and 0.3 < facts.input_std < 3 and (facts.target_std or 1.0) < 10:
        return
    yield Advice(
        action="scale_inputs",
        value="standardize",
        summary="Subtract the mean of each input and divide by its standard deviation (a regression target too): the "
        "stable learning rate grows with the inverse square of the inputs' size.",
    )


def dead_units(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    """Units that never lived are begun anew, units that died are kept alive: by the rate, where that killed them."""
    leaky = Advice(
        action="change_activation",
        value="leaky_relu",
        summary="Use leaky_relu (slope 0.01): a plain ReLU that is 0 for every sample "
        "gets no gradient and never returns.",
    )
    start = list(
        he(context, "Start with He-initialised weights and biases of 0, so that half of the units are active.")
    )
    loss = measured.loss
    never_lived = loss is not None and loss.best_level > 0.8 * loss.very_first > 0
    if not never_lived:
        yield from _rate_first(finding, measured, context)
    yield from (*start, leaky) if never_lived else (leaky, *start)


def saturated_units(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    """Units saturate where what comes into them is large. Where the data are, units whose range has no end let it
    through to the loss, which blows up: data are scaled first."""
    gradient = measured.gradient
    yield from _rate_first(finding, measured, context)
    large = gradient and measured.loss and gradient.p90 > LARGE_NORM * abs(measured.loss.now)
    if large and measured.from_start:
        for scaled in scaled_inputs(finding, measured, context):
            yield replace(scaled, cause=CauseName.INPUTS_NOT_SCALED)
    if activation(context) != "rectifying":
        yield Advice(
            action="change_activation",
            value="relu",
            summary="Use relu instead of sigmoid or tanh in the hidden layers (or add batch normalisation): saturated "
            "units shrink the gradient in every layer it passes.",
        )
    yield from he(context, "Start with He-initialised weights, so that no unit begins at the end of its range.")


def he(context: Context, summary: str) -> Iterator[Advice]:
    """Not for a model that was trained before: its weights are what it knows."""
    if not fine_tunes(context):
        yield Advice(action="change_initialization", value="he", summary=summary)
