"""Evidence in what the client states of its model and optimiser: a fact outweighs whatever a curve suggests."""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.evidence.causes import (
    DEAD,
    INIT,
    LABELS,
    LINEAR,
    NOT_UPDATED,
    SATURATED,
    SMALL,
    SMALL_DATA,
    UNSCALED,
    WRONG_LOSS,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.facts_of_data import target_text
from losswatch_server.monitor.diagnosis.evidence.needed import FACTS, SETTING
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
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.settings import kind
from losswatch_server.monitor.diagnosis.optimizers import fine_tunes

SQUASHING = frozenset({"sigmoid", "softmax"})
TINY_WEIGHTS = -1.5
"""log10 of a step relative to the weights: of 330 calm runs with facts only those begun at weights of 0 take longer."""
FEW = 2.0
"""log10 of the parameters below which a model is smaller than nearly any task asks for."""


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


def _sigmoids(seen: Seen) -> bool | None:
    names = seen.facts.hidden_activations
    return all(name.strip().lower() in ("sigmoid", "hard_sigmoid") for name in names) if names else None


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


def _values_for_declared_classes(seen: Seen) -> bool | None:
    """More than two: a squared error of 0 and 1 is the Brier score, and a mark from 1 to 5 is a value unless somebody
    says that it is a class."""
    wrong, classes = _values_for_classes(seen), seen.context.num_classes
    return None if wrong is None or classes is None else wrong and classes > 2


def _values_for_other_classes(seen: Seen) -> bool | None:
    wrong = _values_for_classes(seen)
    return None if wrong is None else wrong and not _values_for_declared_classes(seen)


def _output_text(seen: Seen) -> str:
    return f"the last layer ends in {_output(seen)}, and the loss expects {seen.facts.loss_expects or ''}".replace(
        "_", "-"
    )


def _parameters(seen: Seen) -> float | None:
    count = seen.facts.parameters
    return math.log10(count) if count else None


FACTS_OF_MODEL: tuple[Evidence, ...] = (
    Evidence(
        name="optimizer_lacks_parameters", group="facts", needs=(FACTS,), when=below(_held, 0.999, 0.0001),
        means="the optimiser holds none, or not all, of the parameters that should train",
        says=_held_text, for_={NOT_UPDATED: FACT},
    ),
    Evidence(
        name="optimizer_holds_all", group="facts", needs=(FACTS,),
        when=(*above(_held, 0.999, 0.0001), *holds(lambda s: None if _frozen(s) is None else not _frozen(s))),
        means="the optimiser holds every parameter of the model",
        says=_held_text, against={NOT_UPDATED: PLAIN},
    ),
    Evidence(
        name="part_is_frozen", group="facts", needs=(FACTS,), when=holds(_frozen),
        means="a part of the model is frozen, and nothing says that a trained model is tuned further",
        says=lambda s: f"only {s.facts.trainable_parameters:,} of {s.facts.parameters:,} parameters are trainable",
        for_={NOT_UPDATED: FACT},
    ),
    Evidence(
        name="no_activation", group="facts", needs=(FACTS,), when=holds(lambda s: _all(s, "linear")),
        means="the model has no activation between its layers",
        says=lambda s: "the model has no activation between its layers",
        for_={LINEAR: FACT}, against={DEAD: FACT, SATURATED: FACT},
    ),
    Evidence(
        name="has_activation", group="facts", needs=(FACTS,),
        when=holds(lambda s: _has(s, "rectifying", "saturating")),
        means="the hidden layers have activations",
        says=_activations_text, against={LINEAR: FACT},
    ),
    Evidence(
        name="activations_rectify", group="facts", needs=(FACTS,), when=holds(lambda s: _all(s, "rectifying")),
        means="every hidden activation is a ReLU or its kin",
        says=_activations_text, against={SATURATED: STRONG},
    ),
    Evidence(
        name="activations_saturate", group="facts", needs=(FACTS,), when=holds(lambda s: _all(s, "saturating")),
        means="every hidden activation is a sigmoid or tanh",
        says=_activations_text, against={DEAD: FACT},
    ),
    Evidence(
        name="activations_are_sigmoids", group="facts", needs=(FACTS,), when=holds(_sigmoids),
        means="every hidden activation is a sigmoid, whose slope of at most a quarter shrinks the gradient",
        says=lambda s: f"{_activations_text(s)}: each such layer shrinks the gradient to a quarter or less",
        for_={SATURATED: STRONG}, against={LABELS: WEAK},
    ),
    Evidence(
        name="softmax_twice", group="facts", needs=(FACTS,), when=holds(_twice),
        means="the last layer applies a softmax or sigmoid, and the loss applies it again",
        says=lambda s: f"{_output_text(s)}: it is applied twice", for_={WRONG_LOSS: FACT},
    ),
    Evidence(
        name="no_probabilities", group="facts", needs=(FACTS,), when=holds(_not_squashed),
        means="the loss expects probabilities or their logarithms, and the last layer gives none",
        says=_output_text, for_={WRONG_LOSS: FACT},
    ),
    Evidence(
        name="output_cannot_reach_targets", group="facts", needs=(FACTS,), when=holds(_cannot_reach),
        means="the targets lie outside of what the last layer can give",
        says=lambda s: (
            f"the last layer ends in {_output(s)}, and {target_text(s.facts)}"
        ),
        for_={WRONG_LOSS: FACT},
    ),
    Evidence(
        name="values_for_declared_classes", group="facts", needs=(FACTS, SETTING),
        when=holds(_values_for_declared_classes),
        means="the targets are more than two classes, the client says how many, and the loss is one for values",
        says=lambda s: f"the targets are {s.context.num_classes} classes, and the loss is one for values",
        for_={WRONG_LOSS: FACT},
    ),
    Evidence(
        name="values_for_classes", group="facts", needs=(FACTS,), when=holds(_values_for_other_classes),
        means="the targets are classes as far as is seen, and the loss is one for values",
        says=lambda s: "the targets are classes, and the loss is one for values", for_={WRONG_LOSS: STRONG},
    ),
    Evidence(
        name="output_fits_loss", group="facts", needs=(FACTS,), when=holds(_fits),
        means="the last layer gives what the loss expects",
        says=_output_text, against={WRONG_LOSS: WEAK},
    ),
    Evidence(
        name="normalized_layers", group="facts", needs=(FACTS,),
        when=holds(lambda s: None if s.facts.normalization is None
                                                            else bool(s.facts.normalization)),
        means="the model normalises its layers",
        says=lambda s: f"the model has {', '.join(dict.fromkeys(s.facts.normalization or ()))}",
        against={INIT: PLAIN, SATURATED: WEAK, UNSCALED: WEAK},
    ),
    Evidence(
        name="few_parameters", group="size of the model", needs=(FACTS,), when=below(_parameters, FEW, 0.12),
        means="the model has fewer than a hundred parameters",
        says=lambda s: f"the model has only {s.facts.parameters} parameters",
        for_={SMALL: STRONG}, against={LABELS: WEAK},
    ),
    Evidence(
        name="many_parameters", group="size of the model", needs=(FACTS,), when=above(_parameters, 2.5, 0.1),
        means="the model has more than three hundred parameters",
        says=lambda s: f"the model has {s.facts.parameters:,} parameters", against={SMALL: PLAIN},
    ),
    Evidence(
        name="fits_one_batch", group="facts", needs=(FACTS,), when=holds(lambda s: s.facts.overfits_one_batch),
        means="the model learns a single batch by heart",
        says=lambda s: "the model learns a single batch by heart",
        for_={LABELS: WEAK},
        against={NOT_UPDATED: FACT, WRONG_LOSS: STRONG, DEAD: STRONG, SATURATED: STRONG, LINEAR: PLAIN, SMALL: PLAIN},
    ),
    Evidence(
        name="cannot_fit_one_batch", group="facts", needs=(FACTS,),
        when=holds(lambda s: None if s.facts.overfits_one_batch is None else not s.facts.overfits_one_batch),
        means="the model cannot learn a single batch by heart",
        says=lambda s: "the model cannot learn even a single batch by heart",
        for_={SMALL: WEAK, LINEAR: WEAK, NOT_UPDATED: WEAK, WRONG_LOSS: WEAK, DEAD: WEAK, SATURATED: WEAK},
        against={LABELS: STRONG, SMALL_DATA: STRONG},
    ),
)  # fmt: skip
