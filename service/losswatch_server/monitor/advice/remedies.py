"""For each cause what to do, most important first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from losswatch_server.monitor.advice.learning_rate import higher, lower, rounded, warmup
from losswatch_server.monitor.advice.units import dead_units, he, saturated_units, scaled_inputs
from losswatch_server.monitor.diagnosis.evidence.settings import activation
from losswatch_server.monitor.diagnosis.evidence.start import EXACT
from losswatch_server.monitor.diagnosis.measures import Measured
from losswatch_server.monitor.diagnosis.optimizers import fine_tunes
from losswatch_server.monitor.findings import Advice, Finding
from losswatch_server.monitor.loss_kind import Family
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.sentences import number
from losswatch_server.monitor.vocabulary import CauseName, Condition

NO_FACTS = ModelFacts()
MOVES = 1e-4
"""Relative size of a step from which on the weights plainly move (usual is 1e-3)."""
HARDLY_LEARNED = 0.7
"""Share of chance level above which a model that is too small is far too small."""
STUCK = (Condition.NOT_LEARNING, Condition.PLATEAU, Condition.SLOW_CONVERGENCE)

Remedy = Callable[[Finding, Measured, Context], Iterator[Advice]]


def _rate_too_high(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    lowered = lower(finding, measured, context)
    if lowered is not None:
        yield lowered
    warm = context.warmup_steps and context.warmup_steps > 0
    if not warm and measured.from_start and (measured.adaptive or finding.evidence.get("steady") is False):
        yield warmup(measured, context)


def _rate_too_low(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    raised = higher(finding, measured, context)
    if raised is not None:
        yield raised


def _missing_nonlinearity(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    if activation(context) in (None, "linear"):
        yield Advice(
            action="change_activation",
            value="relu",
            summary="Put a non-linear activation (relu, or tanh for a small network) after every hidden layer: without "
            "one, any number of layers is only a linear model, and this floor is the best it can do.",
        )


def _insufficient_capacity(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    if finding.condition is Condition.OVERFITTING:
        return
    # little was learned of what there is to learn: a model with a few units, which 4 times as many do not mend
    fall = measured.loss.fall if measured.loss else 1.0
    left = measured.now_over_chance if measured.now_over_chance is not None else 1 - fall
    if left > HARDLY_LEARNED:
        factor, text = 32.0, "Make each hidden layer 32 times as wide if it has only a few units (4 become 128)"
    else:
        factor, text = 4.0, "Make each hidden layer 4 times as wide (10 units become 40)"
    rests = measured.loss is not None and not measured.risen
    floor = f": training longer will hardly go below {number(measured.loss.latest)}" if measured.loss and rests else ""
    if finding.condition in STUCK:
        yield from _do_all_layers_learn(finding, measured, context)
    yield Advice(action="increase_capacity", value=factor, summary=f"{text}, or add one{floor}.")


def _do_all_layers_learn(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    """A look of a minute before the dearest remedy: frozen layers leave a curve like that of a small model."""
    facts = context.facts or NO_FACTS
    counted = {facts.parameters, facts.trainable_parameters, facts.optimizer_parameters}
    if (len(counted) == 1 and None not in counted) or fine_tunes(context):
        return
    for look in _parameters_not_updated(finding, measured, context):
        yield replace(
            look,
            cause=CauseName.PARAMETERS_NOT_UPDATED,
            summary="First print how far each layer's weights move in one step: in a layer that is frozen, detached or "
            "not given to the optimizer they do not, and the rest then learns no more than a model that is too small.",
        )


def _wrong_loss_function(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    """For classes a cross entropy; for values never: the task is known, or only the look at both ends is advised."""
    facts = context.facts or NO_FACTS
    many = context.num_classes or len(facts.class_shares or ())
    if measured.kind.family is Family.BINARY and many > 2:
        yield _loss("cross_entropy", context, f"Use cross entropy over all {many} classes instead of a binary one.")
    elif measured.cross_entropy or (facts.loss_expects == "logits" and measured.cross_entropy is None):
        yield _loss(
            "cross_entropy_from_logits",
            context,
            "Give the cross entropy raw logits: take the softmax (or sigmoid) off the last layer, or tell the loss so.",
        )
    elif facts.loss_expects == "probabilities":
        yield Advice(
            action="change_activation",
            value="softmax" if many > 2 else "sigmoid",
            current=facts.output_activation,
            summary="End the last layer in a sigmoid (a softmax for more than two classes), or take the variant of the "
            "loss that expects logits.",
        )
    elif many >= 2 or facts.target_kind == "classes":
        yield _loss(
            "binary_cross_entropy" if many == 2 else "cross_entropy",
            context,
            "For classes, use cross entropy on logits instead of a squared error: its gradient does not vanish when "
            "the output is confidently wrong.",
        )
    yield Advice(
        action="check_output",
        summary="Print the shape, the range and the sign of what the last layer gives beside the targets and the loss: "
        "equal shapes, no squashing that the targets exceed, and a loss that is to be minimised.",
    )


def _loss(name: str, context: Context, summary: str) -> Advice:
    return Advice(action="change_loss", value=name, current=context.loss_name, summary=summary)


def _poor_initialization(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    at_chance = measured.loss and measured.chance and abs(measured.loss.very_first / measured.chance - 1) < EXACT
    why = "is chance level to the last digit, as where all weights are 0" if at_chance else "should be at chance level"
    draw = "Draw the weights with variance 2 / inputs of the layer (He; 1 / inputs for tanh) and set biases to 0"
    yield from he(context, f"{draw}: the first loss {why}.")
    if finding.condition is Condition.EXPLODING_GRADIENT:
        yield from _clip(measured)


def _clip(measured: Measured) -> Iterator[Advice]:
    gradient = measured.gradient
    if gradient is None or measured.clip is not None or gradient.p90 <= 0:
        return
    value = rounded(gradient.p90, 2)
    yield Advice(
        action="clip_gradients",
        value=value,
        summary=f"Clip the gradient norm at {number(value)}, which nine of ten steps so far stayed below.",
    )


def _parameters_not_updated(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    facts = context.facts or NO_FACTS
    if facts.update_to_weight is not None and facts.update_to_weight > MOVES:
        return
    yield Advice(
        action="update_parameters",
        summary="See that the optimizer was given this model's parameters, that its step() runs after backward(), that "
        "no layer is frozen or detached, and that the learning rate is not 0.",
    )


def _gradients_accumulating(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    if any("accum" in name.lower() for name in context.extra):
        yield Advice(
            action="zero_gradients",
            summary="Set the gradients to zero after every step of the optimizer, and not between the batches that "
            "one step sums.",
        )
        return
    yield Advice(
        action="zero_gradients",
        summary="Set the gradients to zero before every backward pass (optimizer.zero_grad()): now each step adds to "
        "the gradients of all the steps before.",
    )


def _labels_uninformative(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    yield Advice(
        action="check_labels",
        summary="Look at ten inputs and their labels side by side, as the training loop sees them: the labels carry "
        "nothing that the inputs could predict. Often one of the two was shuffled without the other.",
    )


def _bad_batch(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    if context.full_batch:
        yield from _clip(measured)
        return
    step = finding.onset_step
    if finding.condition is not Condition.LOSS_SPIKE and measured.jump is not None and measured.jump.step is not None:
        step = measured.jump.step
    if finding.condition is Condition.OSCILLATION or finding.episode > 1:
        yield Advice(
            action="filter_batch",
            summary="It comes again and again, so more than one batch is bad: check each for outliers, wrong labels "
            "and values out of range, and leave such samples out.",
        )
    yield Advice(
        action="skip_batch",
        value=float(step),
        summary=f"Look at the batch of step {step:,} for outliers, wrong labels or values that are not "
        "finite, and leave it out.",
    )
    if finding.condition is Condition.NON_FINITE:
        yield Advice(
            action="filter_batch",
            summary="Assert that inputs and targets are finite before each step, and leave such samples out.",
        )
    else:
        yield from _clip(measured)


def _non_finite_data(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    yield Advice(
        action="check_data",
        summary="Look for NaN and infinity in inputs and labels before anything else: np.isnan(X).any(), "
        "np.isinf(X).any(), the same for y; and for divisions by 0 and logarithms of 0 on the way from the file.",
    )
    yield Advice(
        action="filter_batch",
        summary="Assert that inputs and targets are finite before each step, and leave such samples out.",
    )


def _data_not_shuffled(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    if context.full_batch or (context.facts is not None and context.facts.shuffled):
        return
    yield Advice(
        action="shuffle_data",
        summary="Shuffle the samples anew in every epoch: now each stretch of an epoch is of one kind, and the model "
        "forgets the others meanwhile.",
    )


def _batch_too_small(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    if context.full_batch:
        return
    size = max(32, 8 * (context.batch_size or 1))
    text = f"Use a batch of about {size} samples"
    if context.batch_size:
        text = f"Raise the batch size from {context.batch_size} to about {size}"
    yield Advice(
        action="increase_batch_size",
        value=float(size),
        current=context.batch_size,
        summary=f"{text} (or accumulate gradients over that many samples): the noise of a step falls with the square "
        "root of the batch.",
    )


def _weight_decay_too_strong(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    if context.weight_decay is not None and context.weight_decay <= 1e-4:
        return
    yield Advice(
        action="reduce_weight_decay",
        value=1e-4,
        current=context.weight_decay,
        summary=f"Lower the weight decay from {number(context.weight_decay)} to 1e-4: now it pulls the weights to 0 "
        "faster than the data can move them."
        if context.weight_decay is not None
        else "If a weight decay is set, bring it down to 1e-4: a strong one pulls the weights to 0 faster than the "
        "data can move them.",
    )


def _no_warmup(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    if not context.warmup_steps:
        yield warmup(measured, context)


def _precision_overflow(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    if context.precision and ("bf" in context.precision.lower() or "16" not in context.precision):
        return  # it has the range of float32 already
    yield Advice(
        action="change_precision",
        value="bf16",
        current=context.precision,
        summary="Use bf16, or fp32, or fp16 with a loss scaler; and keep log and division away from 0 (add 1e-8).",
    )


def _overfit_small_data(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    best = measured.validation.best_step if measured.validation else finding.evidence.get("best_step")
    if isinstance(best, int):
        yield Advice(
            action="stop_at_best_step",
            value=float(best),
            summary=f"Stop, and keep the parameters of step {best:,}: the validation loss was lowest there.",
        )
    if context.weight_decay is not None and context.weight_decay >= 0.01:
        return
    yield Advice(
        action="regularize",
        value=0.01,
        summary="To get further, use more data or augmentation, weight decay of about 0.01, or dropout of 0.1 to 0.5.",
    )


def _clip_too_tight(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    if measured.clip is None or measured.blew_up:
        return
    value = rounded(measured.gradient.p90, 2) if measured.gradient and not measured.clip_inferred else None
    raised = f"Raise the clip value from {number(measured.clip)} to {number(value or measured.clip * 10)}"
    if value:
        raised += ", which nine of ten norms stay below"
    yield Advice(
        action="loosen_gradient_clip",
        value=value if value is not None else (measured.clip * 10 if measured.clip else None),
        current=measured.clip,
        summary=f"{raised}: now nearly every step is cut to the same short length.",
    )


def _momentum_too_high(finding: Finding, measured: Measured, context: Context) -> Iterator[Advice]:
    if context.momentum is not None and context.momentum <= 0.9:
        return
    lowered = "Set the momentum"
    if context.momentum is not None:
        lowered = f"Lower the momentum from {number(context.momentum, 4)}"
    yield Advice(
        action="set_momentum",
        value=0.9,
        current=context.momentum,
        summary=f"{lowered} to 0.9: it averages over 10 steps instead of hundreds, and so stops overshooting.",
    )


REMEDIES: dict[CauseName, Remedy] = {
    CauseName.LEARNING_RATE_TOO_HIGH: _rate_too_high,
    CauseName.LEARNING_RATE_TOO_LOW: _rate_too_low,
    CauseName.INPUTS_NOT_SCALED: scaled_inputs,
    CauseName.MISSING_NONLINEARITY: _missing_nonlinearity,
    CauseName.INSUFFICIENT_CAPACITY: _insufficient_capacity,
    CauseName.WRONG_LOSS_FUNCTION: _wrong_loss_function,
    CauseName.DEAD_ACTIVATIONS: dead_units,
    CauseName.SATURATED_ACTIVATIONS: saturated_units,
    CauseName.POOR_INITIALIZATION: _poor_initialization,
    CauseName.PARAMETERS_NOT_UPDATED: _parameters_not_updated,
    CauseName.GRADIENTS_ACCUMULATING: _gradients_accumulating,
    CauseName.LABELS_UNINFORMATIVE: _labels_uninformative,
    CauseName.BAD_BATCH: _bad_batch,
    CauseName.NON_FINITE_DATA: _non_finite_data,
    CauseName.DATA_NOT_SHUFFLED: _data_not_shuffled,
    CauseName.BATCH_TOO_SMALL: _batch_too_small,
    CauseName.WEIGHT_DECAY_TOO_STRONG: _weight_decay_too_strong,
    CauseName.NO_WARMUP: _no_warmup,
    CauseName.PRECISION_OVERFLOW: _precision_overflow,
    CauseName.OVERFIT_SMALL_DATA: _overfit_small_data,
    CauseName.GRADIENT_CLIP_TOO_TIGHT: _clip_too_tight,
    CauseName.MOMENTUM_TOO_HIGH: _momentum_too_high,
}
