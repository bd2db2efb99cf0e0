"""Evidence in what the client states of its data: a fact outweighs whatever a curve suggests."""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.evidence.causes import (
    BAD_DATA,
    INIT,
    LABELS,
    LINEAR,
    SMALL,
    SMALL_DATA,
    UNSCALED,
    UNSHUFFLED,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.needed import CHANCE, FACTS, KIND
from losswatch_server.monitor.diagnosis.evidence.row import (
    FACT,
    PLAIN,
    STRONG,
    WEAK,
    Evidence,
    Limit,
    Seen,
    above,
    below,
    holds,
    within,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.start import ACUTE, EXACT, exactly_at_chance
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.sentences import number, percent

LARGE_INPUT, LARGE_SPREAD = 50.0, 6.0
"""Standardised inputs reach 5 to 30 (heavy tails); pixels reach 255, and raw tables thousands."""


def _finite(*values: float | None) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def input_size(seen: Seen) -> float | None:
    """How many times ordinary the inputs are: 1 is where inputs begin to be unscaled."""
    f = seen.facts
    sizes = [abs(v) / LARGE_SPREAD for v in _finite(f.input_std, f.input_mean)]
    sizes += [v / LARGE_INPUT for v in _finite(f.input_max_abs)]
    return max(sizes, default=None)


def _bare(seen: Seen) -> bool:
    return not seen.facts.normalization


def _input_text(seen: Seen) -> str:
    f = seen.facts
    named = (("mean", f.input_mean), ("standard deviation", f.input_std))
    have = ", ".join(f"{name} {number(value)}" for name, value in named if value is not None)
    reach = "" if f.input_max_abs is None else f"reach {number(f.input_max_abs)}"
    return f"the inputs {' and '.join(part for part in (have and f'have {have}', reach) if part)}"


def target_text(facts: ModelFacts) -> str:
    """Mean and spread of the targets, as far as they are known; one of them is."""
    if facts.target_mean is None:
        return f"the targets have standard deviation {number(facts.target_std)}"
    if facts.target_std is None:
        return f"the targets have mean {number(facts.target_mean)}"
    return f"the targets are {number(facts.target_mean)} +- {number(facts.target_std)}"


def _target_size(seen: Seen) -> float | None:
    f = seen.facts
    if f.target_kind == "classes":
        return None
    sizes = [abs(v) for v in _finite(f.target_mean, f.target_std)]
    return max(sizes, default=None)


def _broken_data(seen: Seen) -> bool | None:
    f = seen.facts
    given = [v for v in (f.input_mean, f.input_std, f.input_max_abs, f.target_mean, f.target_std) if v is not None]
    return not all(map(math.isfinite, given)) if given else None


def _initial_over_chance(seen: Seen) -> float | None:
    f, m = seen.facts, seen.measured
    chance = m.chance if m.chance and not m.chance_inferred else None
    if chance is None and f.target_kind == "values" and f.target_std and math.isfinite(f.target_std):
        chance = f.target_std * f.target_std if m.kind.squares else None  # infinite where a power would raise
    return f.initial_loss / chance if f.initial_loss is not None and chance else None


def _initially_exact(seen: Seen) -> bool | None:
    """Only where it never got below chance: many models that train well begin with a last layer of 0."""
    f, m = seen.facts, seen.measured
    classes = seen.context.num_classes or len(f.class_shares or ())
    if f.initial_loss is None or m.now_over_chance is None or not m.cross_entropy or classes < 2:
        return None
    return abs(f.initial_loss / math.log(classes) - 1) < EXACT / 10 and m.now_over_chance > 0.95


def _initial_text(seen: Seen) -> str:
    return f"before training the loss is {number(seen.facts.initial_loss)}, {number(_initial_over_chance(seen), 2)} " \
        "times that of the best constant answer"  # fmt: skip


def _largest_class(seen: Seen) -> float | None:
    return max(seen.facts.class_shares) if seen.facts.class_shares else None


def _per_sample(seen: Seen) -> float | None:
    f = seen.facts
    return math.log10(max(f.parameters, 1) / f.dataset_size) if f.parameters and f.dataset_size else None


FACTS_OF_DATA: tuple[Evidence, ...] = (
    Evidence(
        name="inputs_are_large", group="facts", needs=(FACTS,), when=(*above(input_size, 1.0, 0.1), *holds(_bare)),
        means="the inputs have a mean or spread above 6, or reach beyond 50, and nothing normalises them",
        says=_input_text, for_={UNSCALED: FACT},
    ),
    Evidence(
        name="inputs_are_large_but_normalized", group="facts", needs=(FACTS,),
        when=(*above(input_size, 1.0, 0.1), *holds(lambda s: not _bare(s))),
        means="the inputs are large, and a normalisation layer follows somewhere",
        says=_input_text, for_={UNSCALED: PLAIN},
    ),
    Evidence(
        name="inputs_are_scaled", group="facts", needs=(FACTS,),
        when=(*below(input_size, 0.75, 0.08), *holds(lambda s: None if s.facts.input_std is None
                                                      else s.facts.input_std > 0.05)),
        means="the inputs are of ordinary size",
        says=_input_text, against={UNSCALED: FACT},
    ),
    Evidence(
        name="inputs_hardly_vary", group="facts", needs=(FACTS,),
        when=(Limit(lambda s: s.facts.input_std, 0.02, -0.003), *holds(_bare)),
        means="the inputs hardly vary: their spread is below 0.02",
        says=_input_text, for_={UNSCALED: STRONG},
    ),
    Evidence(
        name="targets_are_large", group="facts", needs=(FACTS,), when=above(_target_size, 20.0, 3.0),
        means="the targets are values with a mean or spread above 20",
        says=lambda s: target_text(s.facts),
        for_={UNSCALED: STRONG},
    ),
    Evidence(
        name="data_not_finite", group="facts", needs=(FACTS,), when=holds(_broken_data),
        means="the inputs or targets hold NaN or infinity",
        says=lambda s: "the statistics of inputs and targets are not finite: the data hold NaN or infinity",
        for_={BAD_DATA: FACT},
    ),
    Evidence(
        name="data_are_finite", group="facts", needs=(FACTS,),
        when=holds(lambda s: None if _broken_data(s) is None else
                                                          not _broken_data(s)),
        means="the statistics of inputs and targets are finite",
        says=lambda s: "the statistics of inputs and targets are finite", against={BAD_DATA: PLAIN},
    ),
    Evidence(
        name="starts_exactly_at_chance", group="start of the weights", needs=(FACTS, CHANCE, KIND),
        when=(*holds(_initially_exact), *holds(lambda s: not exactly_at_chance(s))),
        means="where the log does not show it: before training the loss is chance level to the last digit, and "
        "so every output is the same",
        says=lambda s: (
            f"before training the loss is {number(s.facts.initial_loss, 6)}, chance level to the last digit: every "
            "output is the same"
        ),
        for_={INIT: STRONG}, against={LABELS: WEAK, LINEAR: WEAK, SMALL: WEAK},
    ),
    Evidence(
        name="starts_far_above_chance", group="facts", needs=(CHANCE, FACTS),
        when=above(_initial_over_chance, 2.5, 0.25),
        means="before training the loss is more than 2.5 times that of the best constant answer",
        says=_initial_text, for_={INIT: STRONG, UNSCALED: PLAIN},
    ),
    Evidence(
        name="starts_near_chance", group="facts", needs=(CHANCE, FACTS),
        when=within(_initial_over_chance, 0.8, 1.6, 0.05),
        means="before training the loss is near that of the best constant answer",
        says=_initial_text, against={UNSCALED: WEAK},
    ),
    Evidence(
        name="starts_near_chance_and_blows_up", group="facts", needs=(FACTS, CHANCE),
        when=(*within(_initial_over_chance, 0.8, 1.6, 0.05), *holds(lambda s: s.finding.condition in ACUTE)),
        means="in a run that blows up, the loss before training is near that of the best constant answer: the weights "
        "were not too large",
        says=_initial_text, against={INIT: WEAK},
    ),
    Evidence(
        name="one_class", group="facts", needs=(FACTS,), when=above(_largest_class, 0.985, 0.004),
        means="nearly all labels are of one class",
        says=lambda s: f"{percent(_largest_class(s))} of the labels are of one class", for_={LABELS: STRONG},
    ),
    Evidence(
        name="more_parameters_than_samples", group="facts", needs=(FACTS,), when=above(_per_sample, 0.0, 0.2),
        means="the model has more parameters than there are training samples",
        says=lambda s: f"{s.facts.parameters:,} parameters are trained on {s.facts.dataset_size:,} samples",
        for_={SMALL_DATA: PLAIN}, against={SMALL: PLAIN},
    ),
    Evidence(
        name="more_samples_than_parameters", group="facts", needs=(FACTS,), when=below(_per_sample, -1.5, 0.2),
        means="there are more than thirty samples for each parameter",
        says=lambda s: f"{s.facts.parameters:,} parameters are trained on {s.facts.dataset_size:,} samples",
        for_={SMALL: PLAIN}, against={SMALL_DATA: WEAK},
    ),
    Evidence(
        name="not_shuffled", group="facts", needs=(FACTS,), when=holds(lambda s: None if s.facts.shuffled is None
                                                       else not s.facts.shuffled and not s.context.full_batch),
        means="the training data are not shuffled",
        says=lambda s: "the training data are not shuffled", for_={UNSHUFFLED: FACT},
    ),
    Evidence(
        name="shuffled", group="facts", needs=(FACTS,), when=holds(lambda s: s.facts.shuffled),
        means="the training data are shuffled",
        says=lambda s: "the training data are shuffled", against={UNSHUFFLED: FACT},
    ),
)  # fmt: skip
