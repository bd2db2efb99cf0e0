"""Evidence in what the client states of model, data and optimiser: a fact outweighs whatever a curve suggests."""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.evidence.causes import (
    BAD_DATA,
    CLIP,
    DEAD,
    INIT,
    LABELS,
    LINEAR,
    NO_WARMUP,
    NOT_UPDATED,
    PRECISION,
    RATE_HIGH,
    RATE_LOW,
    SATURATED,
    SMALL,
    SMALL_DATA,
    UNSCALED,
    UNSHUFFLED,
    WRONG_LOSS,
)  # fmt: skip
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
from losswatch_server.monitor.diagnosis.evidence.settings import kind
from losswatch_server.monitor.diagnosis.optimizers import fine_tunes
from losswatch_server.monitor.sentences import number, percent

SQUASHING = frozenset({"sigmoid", "softmax"})
LARGE_INPUT, LARGE_SPREAD = 50.0, 6.0
"""Standardised inputs reach 5 to 30 (heavy tails); pixels reach 255, and raw tables thousands."""
PARAMETERS_A_SAMPLE = 1.0


def _held(seen: Seen) -> float | None:
    """Share of the trainable parameters that the optimiser holds; 0 also where nothing is trainable."""
    f = seen.facts
    if f.trainable_parameters == 0 or f.optimizer_parameters == 0:
        return 0.0
    of = f.trainable_parameters or f.parameters
    return None if f.optimizer_parameters is None or not of else f.optimizer_parameters / of


def _frozen(seen: Seen) -> bool | None:
    """Part of a model is frozen, and nothing says that a trained one is tuned further."""
    f = seen.facts
    if not f.parameters or f.trainable_parameters is None:
        return None
    return 0 < f.trainable_parameters < f.parameters and not fine_tunes(seen.context)


def _held_text(seen: Seen) -> str:
    f = seen.facts
    if f.trainable_parameters == 0:
        return "none of the model's parameters is trainable"
    of = f.trainable_parameters or f.parameters
    return f"the optimizer holds {f.optimizer_parameters:,} of the model's {of:,} trainable parameters"


def _kinds(seen: Seen) -> frozenset[str | None] | None:
    names = seen.facts.hidden_activations
    return frozenset(map(kind, names)) if names else None


def _all(seen: Seen, wanted: str) -> bool | None:
    kinds = _kinds(seen)
    return None if kinds is None else kinds == {wanted}


def _has(seen: Seen, *wanted: str) -> bool | None:
    kinds = _kinds(seen)
    if kinds is None:
        return None
    return None if None in kinds else bool(kinds & set(wanted))


def _activations_text(seen: Seen) -> str:
    return f"the hidden activations are {', '.join(dict.fromkeys(seen.facts.hidden_activations or ()))}"


def _output(seen: Seen) -> str | None:
    return None if seen.facts.output_activation is None else seen.facts.output_activation.strip().lower()


def _twice(seen: Seen) -> bool | None:
    output = _output(seen)
    return None if output is None or seen.facts.loss_expects is None else (
        seen.facts.loss_expects == "logits" and output in SQUASHING
    )  # fmt: skip


def _not_squashed(seen: Seen) -> bool | None:
    output = _output(seen)
    return None if output is None or seen.facts.loss_expects is None else (
        seen.facts.loss_expects == "probabilities" and kind(output) in ("linear", "rectifying")
    )  # fmt: skip


def _cannot_reach(seen: Seen) -> bool | None:
    """The last layer's range does not hold the targets."""
    f, output = seen.facts, _output(seen)
    if output is None or f.target_mean is None or f.target_std is None or f.target_kind == "classes":
        return None
    low, high = f.target_mean - f.target_std, f.target_mean + f.target_std
    if output in ("sigmoid", "softmax"):
        return low < -0.05 or high > 1.05
    return (low < -1.05 or high > 1.05) if output == "tanh" else low < 0 if output == "relu" else False


def _fits(seen: Seen) -> bool | None:
    answers = (_twice(seen), _not_squashed(seen), _cannot_reach(seen))
    return None if all(a is None for a in answers) else not any(answers)


def _values_for_classes(seen: Seen) -> bool | None:
    f = seen.facts
    return None if f.target_kind is None or f.loss_expects is None else (
        f.target_kind == "classes" and f.loss_expects == "values"
    )  # fmt: skip


def _output_text(seen: Seen) -> str:
    return f"the last layer ends in {_output(seen)}, and the loss expects {seen.facts.loss_expects}"


def _finite(*values: float | None) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _input_size(seen: Seen) -> float | None:
    """How many times ordinary the inputs are: 1 is where inputs begin to be unscaled."""
    f = seen.facts
    sizes = [abs(v) / LARGE_SPREAD for v in _finite(f.input_std, f.input_mean)]
    sizes += [v / LARGE_INPUT for v in _finite(f.input_max_abs)]
    return max(sizes, default=None)


def _bare(seen: Seen) -> bool:
    return not seen.facts.normalization


def _input_text(seen: Seen) -> str:
    f = seen.facts
    parts = [
        f"{name} {number(value)}"
        for name, value in (("mean", f.input_mean), ("standard deviation", f.input_std), ("up to", f.input_max_abs))
        if value is not None
    ]
    return f"the inputs have {', '.join(parts)}"


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


def _whole_data(seen: Seen) -> bool | None:
    f = seen.facts
    inputs = [v for v in (f.input_mean, f.input_std, f.input_max_abs) if v is not None]
    targets = [v for v in (f.target_mean, f.target_std) if v is not None]
    if not inputs or not (targets or f.target_kind == "classes"):
        return None
    return all(map(math.isfinite, inputs + targets))


def _initial_over_chance(seen: Seen) -> float | None:
    f, m = seen.facts, seen.measured
    chance = m.chance if m.chance and not m.chance_inferred else None
    if chance is None and f.target_kind == "values" and f.target_std and math.isfinite(f.target_std):
        chance = f.target_std**2 if m.kind.squares else None
    return f.initial_loss / chance if f.initial_loss is not None and chance else None


def _initial_text(seen: Seen) -> str:
    return f"before training the loss is {number(seen.facts.initial_loss)}, {number(_initial_over_chance(seen), 2)} " \
        "times that of the best constant answer"  # fmt: skip


def _largest_class(seen: Seen) -> float | None:
    return max(seen.facts.class_shares) if seen.facts.class_shares else None


def _per_sample(seen: Seen) -> float | None:
    f = seen.facts
    return math.log10(max(f.parameters, 1) / f.dataset_size) if f.parameters and f.dataset_size else None


def _update(seen: Seen) -> float | None:
    ratio = seen.facts.update_to_weight
    return None if ratio is None or not math.isfinite(ratio) or ratio < 0 else math.log10(max(ratio, 1e-12))


def _update_text(seen: Seen) -> str:
    return f"a step changes the weights by {number(seen.facts.update_to_weight)} of their size (usual is about 1e-3)"


def _scale(seen: Seen) -> float | None:
    return seen.facts.loss_scale


def _calm(seen: Seen) -> bool:
    return not seen.measured.blew_up


FACTS: tuple[Evidence, ...] = (
    Evidence(
        name="optimizer_lacks_parameters", group="facts", when=below(_held, 0.999, 0.0001),
        means="the optimiser holds none, or not all, of the parameters that should train",
        says=_held_text, for_={NOT_UPDATED: FACT},
    ),
    Evidence(
        name="optimizer_holds_all", group="facts",
        when=(*above(_held, 0.999, 0.0001), *holds(lambda s: None if _frozen(s) is None else not _frozen(s))),
        means="the optimiser holds every parameter of the model",
        says=_held_text, against={NOT_UPDATED: PLAIN},
    ),
    Evidence(
        name="part_is_frozen", group="facts", when=holds(_frozen),
        means="a part of the model is frozen, and nothing says that a trained model is tuned further",
        says=lambda s: f"only {s.facts.trainable_parameters:,} of {s.facts.parameters:,} parameters are trainable",
        for_={NOT_UPDATED: FACT},
    ),
    Evidence(
        name="no_activation", group="facts", when=holds(lambda s: _all(s, "linear")),
        means="the model has no activation between its layers",
        says=lambda s: "the model has no activation between its layers",
        for_={LINEAR: FACT}, against={DEAD: FACT, SATURATED: FACT},
    ),
    Evidence(
        name="has_activation", group="facts", when=holds(lambda s: _has(s, "rectifying", "saturating")),
        means="the hidden layers have activations",
        says=_activations_text, against={LINEAR: FACT},
    ),
    Evidence(
        name="activations_rectify", group="facts", when=holds(lambda s: _all(s, "rectifying")),
        means="every hidden activation is a ReLU or its kin",
        says=_activations_text, against={SATURATED: STRONG},
    ),
    Evidence(
        name="activations_saturate", group="facts", when=holds(lambda s: _all(s, "saturating")),
        means="every hidden activation is a sigmoid or tanh",
        says=_activations_text, against={DEAD: FACT},
    ),
    Evidence(
        name="softmax_twice", group="facts", when=holds(_twice),
        means="the last layer applies a softmax or sigmoid, and the loss applies it again",
        says=lambda s: f"{_output_text(s)}: it is applied twice", for_={WRONG_LOSS: FACT},
    ),
    Evidence(
        name="no_probabilities", group="facts", when=holds(_not_squashed),
        means="the loss expects probabilities, and the last layer gives none",
        says=_output_text, for_={WRONG_LOSS: FACT},
    ),
    Evidence(
        name="output_cannot_reach_targets", group="facts", when=holds(_cannot_reach),
        means="the targets lie outside of what the last layer can give",
        says=lambda s: (
            f"the last layer ends in {_output(s)}, and the targets are {number(s.facts.target_mean)} +- "
            f"{number(s.facts.target_std)}"
        ),
        for_={WRONG_LOSS: FACT},
    ),
    Evidence(
        name="values_for_classes", group="facts", when=holds(_values_for_classes),
        means="the targets are classes, and the loss is one for values",
        says=lambda s: "the targets are classes, and the loss is one for values", for_={WRONG_LOSS: STRONG},
    ),
    Evidence(
        name="output_fits_loss", group="facts", when=holds(_fits),
        means="the last layer gives what the loss expects",
        says=_output_text, against={WRONG_LOSS: WEAK},
    ),
    Evidence(
        name="inputs_are_large", group="facts", when=(*above(_input_size, 1.0, 0.1), *holds(_bare)),
        means="the inputs have a mean or spread above 6, or reach beyond 50, and nothing normalises them",
        says=_input_text, for_={UNSCALED: FACT},
    ),
    Evidence(
        name="inputs_are_large_but_normalized", group="facts",
        when=(*above(_input_size, 1.0, 0.1), *holds(lambda s: not _bare(s))),
        means="the inputs are large, and a normalisation layer follows somewhere",
        says=_input_text, for_={UNSCALED: PLAIN},
    ),
    Evidence(
        name="inputs_are_scaled", group="facts",
        when=(*below(_input_size, 0.75, 0.08), *holds(lambda s: None if s.facts.input_std is None
                                                      else s.facts.input_std > 0.05)),
        means="the inputs are of ordinary size",
        says=_input_text, against={UNSCALED: FACT},
    ),
    Evidence(
        name="inputs_hardly_vary", group="facts",
        when=(Limit(lambda s: s.facts.input_std, 0.02, -0.003), *holds(_bare)),
        means="the inputs hardly vary: their spread is below 0.02",
        says=_input_text, for_={UNSCALED: STRONG},
    ),
    Evidence(
        name="targets_are_large", group="facts", when=above(_target_size, 20.0, 3.0),
        means="the targets are values with a mean or spread above 20",
        says=lambda s: f"the targets are {number(s.facts.target_mean)} +- {number(s.facts.target_std)}",
        for_={UNSCALED: STRONG},
    ),
    Evidence(
        name="data_not_finite", group="facts", when=holds(_broken_data),
        means="the inputs or targets hold NaN or infinity",
        says=lambda s: "the statistics of inputs and targets are not finite: the data hold NaN or infinity",
        for_={BAD_DATA: FACT},
    ),
    Evidence(
        name="data_finite", group="facts", when=holds(_whole_data),
        means="the statistics of inputs and targets are finite",
        says=lambda s: "the statistics of inputs and targets are finite", against={BAD_DATA: STRONG},
    ),
    Evidence(
        name="starts_far_above_chance", group="facts", when=above(_initial_over_chance, 2.5, 0.25),
        means="before training the loss is more than 2.5 times that of the best constant answer",
        says=_initial_text, for_={INIT: STRONG, UNSCALED: PLAIN},
    ),
    Evidence(
        name="starts_near_chance", group="facts", when=within(_initial_over_chance, 0.8, 1.6, 0.05),
        means="before training the loss is near that of the best constant answer",
        says=_initial_text, against={INIT: WEAK, UNSCALED: WEAK},
    ),
    Evidence(
        name="one_class", group="facts", when=above(_largest_class, 0.985, 0.004),
        means="nearly all labels are of one class",
        says=lambda s: f"{percent(_largest_class(s))} of the labels are of one class", for_={LABELS: STRONG},
    ),
    Evidence(
        name="more_parameters_than_samples", group="facts", when=above(_per_sample, 0.0, 0.2),
        means="the model has more parameters than there are training samples",
        says=lambda s: f"{s.facts.parameters:,} parameters are trained on {s.facts.dataset_size:,} samples",
        for_={SMALL_DATA: PLAIN}, against={SMALL: PLAIN},
    ),
    Evidence(
        name="more_samples_than_parameters", group="facts", when=below(_per_sample, -1.5, 0.2),
        means="there are more than thirty samples for each parameter",
        says=lambda s: f"{s.facts.parameters:,} parameters are trained on {s.facts.dataset_size:,} samples",
        for_={SMALL: PLAIN}, against={SMALL_DATA: WEAK},
    ),
    Evidence(
        name="not_shuffled", group="facts", when=holds(lambda s: None if s.facts.shuffled is None
                                                       else not s.facts.shuffled and not s.context.full_batch),
        means="the training data are not shuffled",
        says=lambda s: "the training data are not shuffled", for_={UNSHUFFLED: FACT},
    ),
    Evidence(
        name="shuffled", group="facts", when=holds(lambda s: s.facts.shuffled),
        means="the training data are shuffled",
        says=lambda s: "the training data are shuffled", against={UNSHUFFLED: FACT},
    ),
    Evidence(
        name="normalized_layers", group="facts", when=holds(lambda s: None if s.facts.normalization is None
                                                            else bool(s.facts.normalization)),
        means="the model normalises its layers",
        says=lambda s: f"the model has {', '.join(dict.fromkeys(s.facts.normalization or ()))}",
        against={INIT: PLAIN, SATURATED: WEAK, UNSCALED: WEAK},
    ),
    Evidence(
        name="units_are_dead", group="facts",
        when=(*above(lambda s: s.facts.dead_unit_share, 0.5, 0.04), *holds(_calm)),
        means="most hidden units are 0 for every sample, and the loss did not blow up",
        says=lambda s: f"{percent(s.facts.dead_unit_share)} of the hidden units are 0 for every sample",
        for_={DEAD: FACT},
    ),
    Evidence(
        name="units_died_of_blow_up", group="facts",
        when=(*above(lambda s: s.facts.dead_unit_share, 0.5, 0.04), *holds(lambda s: not _calm(s))),
        means="most hidden units are 0 for every sample, after the loss had blown up",
        says=lambda s: (
            f"{percent(s.facts.dead_unit_share)} of the hidden units are 0 for every sample, after the loss had "
            "blown up"
        ),
        for_={DEAD: PLAIN, RATE_HIGH: PLAIN, UNSCALED: WEAK},
    ),
    Evidence(
        name="units_live", group="facts", when=below(lambda s: s.facts.dead_unit_share, 0.35, 0.04),
        means="most hidden units are active for some samples",
        says=lambda s: f"{percent(s.facts.dead_unit_share)} of the hidden units are 0 for every sample",
        against={DEAD: FACT},
    ),
    Evidence(
        name="units_are_saturated", group="facts", when=above(lambda s: s.facts.saturated_unit_share, 0.5, 0.04),
        means="most hidden units are at the end of their range",
        says=lambda s: f"{percent(s.facts.saturated_unit_share)} of the hidden units are at the end of their range",
        for_={SATURATED: FACT, INIT: STRONG},
    ),
    Evidence(
        name="units_not_saturated", group="facts", when=below(lambda s: s.facts.saturated_unit_share, 0.2, 0.03),
        means="few hidden units are at the end of their range",
        says=lambda s: f"{percent(s.facts.saturated_unit_share)} of the hidden units are at the end of their range",
        against={SATURATED: STRONG},
    ),
    Evidence(
        name="weights_do_not_move", group="facts", when=below(_update, -8.0, 0.3),
        means="a step does not change the weights",
        says=_update_text, for_={NOT_UPDATED: FACT, RATE_LOW: STRONG},
    ),
    Evidence(
        name="weights_hardly_move", group="facts", when=within(_update, -8.0, -4.6, 0.2),
        means="a step changes the weights by less than a forty-thousandth of their size",
        says=_update_text, for_={RATE_LOW: STRONG, CLIP: PLAIN}, against={RATE_HIGH: PLAIN, NOT_UPDATED: STRONG},
    ),
    Evidence(
        name="weights_move", group="facts", when=above(_update, -4.0, 0.15),
        means="a step changes the weights by a ten-thousandth of their size or more",
        says=_update_text, against={RATE_LOW: STRONG, CLIP: PLAIN, NOT_UPDATED: STRONG},
    ),
    Evidence(
        name="weights_leap", group="facts", when=above(_update, -1.4, 0.15),
        means="a step changes the weights by a twenty-fifth of their size or more",
        says=_update_text, for_={RATE_HIGH: PLAIN, NO_WARMUP: WEAK},
    ),
    Evidence(
        name="fits_one_batch", group="facts", when=holds(lambda s: s.facts.overfits_one_batch),
        means="the model learns a single batch by heart",
        says=lambda s: "the model learns a single batch by heart",
        for_={LABELS: WEAK},
        against={NOT_UPDATED: FACT, WRONG_LOSS: STRONG, DEAD: STRONG, SATURATED: STRONG, LINEAR: PLAIN, SMALL: PLAIN},
    ),
    Evidence(
        name="cannot_fit_one_batch", group="facts",
        when=holds(lambda s: None if s.facts.overfits_one_batch is None else not s.facts.overfits_one_batch),
        means="the model cannot learn a single batch by heart",
        says=lambda s: "the model cannot learn even a single batch by heart",
        for_={SMALL: WEAK, LINEAR: WEAK, NOT_UPDATED: WEAK, WRONG_LOSS: WEAK, DEAD: WEAK, SATURATED: WEAK},
        against={LABELS: STRONG, SMALL_DATA: STRONG},
    ),
    Evidence(
        name="loss_scale_collapsed", group="facts", when=below(_scale, 1.0, 0.02),
        means="the loss scaler has come down below 1: every step overflows",
        says=lambda s: f"the loss scale has come down to {number(_scale(s))}: every step overflows",
        for_={PRECISION: FACT},
    ),
    Evidence(
        name="loss_scale_huge", group="facts", when=above(_scale, 65536.5, 100.0),
        means="the loss is scaled by more than 65536, beyond what fp16 holds",
        says=lambda s: f"the loss is scaled by {number(_scale(s))}, and fp16 holds numbers up to 65504",
        for_={PRECISION: STRONG},
    ),
)  # fmt: skip
