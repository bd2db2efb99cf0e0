"""Evidence in what the client states of its model and optimiser: a fact outweighs whatever a curve suggests."""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.evidence.causes import (
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
    WRONG_LOSS,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.row import (
    FACT,
    PLAIN,
    STRONG,
    WEAK,
    Evidence,
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
    if not of:
        return "the optimizer holds none of the model's parameters"
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
    expects = seen.facts.loss_expects
    if output is None or expects is None:
        return None
    if expects == "log_probabilities":
        return output in SQUASHING or kind(output) in ("linear", "rectifying")
    return expects == "probabilities" and kind(output) in ("linear", "rectifying")


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
    return f"the last layer ends in {_output(seen)}, and the loss expects {seen.facts.loss_expects or ''}".replace(
        "_", "-"
    )


def _update(seen: Seen) -> float | None:
    ratio = seen.facts.update_to_weight
    return None if ratio is None or not math.isfinite(ratio) or ratio < 0 else math.log10(max(ratio, 1e-12))


def _update_text(seen: Seen) -> str:
    return f"a step changes the weights by {number(seen.facts.update_to_weight)} of their size (usual is about 1e-3)"


def _scale(seen: Seen) -> float | None:
    return seen.facts.loss_scale


def _calm(seen: Seen) -> bool:
    return not seen.measured.blew_up


FACTS_OF_MODEL: tuple[Evidence, ...] = (
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
        means="the loss expects probabilities or their logarithms, and the last layer gives none",
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
        name="normalized_layers", group="facts", when=holds(lambda s: None if s.facts.normalization is None
                                                            else bool(s.facts.normalization)),
        means="the model normalises its layers",
        says=lambda s: f"the model has {', '.join(dict.fromkeys(s.facts.normalization or ()))}",
        against={INIT: PLAIN, SATURATED: WEAK, UNSCALED: WEAK},
    ),
    Evidence(
        name="units_are_dead", group="facts",
        when=(*above(lambda s: s.facts.dead_unit_share, 0.8, 0.03), *holds(_calm)),
        means="more than four fifths of the hidden units are 0 for every sample, and the loss did not blow up",
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
