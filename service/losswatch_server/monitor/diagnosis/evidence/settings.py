"""Evidence in what the client says of the job: rate, momentum, batch, weight decay, clipping, precision, loss."""

from __future__ import annotations

from losswatch_server.monitor.diagnosis.evidence.causes import (
    BAD_BATCH,
    CLIP,
    DEAD,
    DECAY,
    INIT,
    LABELS,
    LINEAR,
    MOMENTUM,
    NO_WARMUP,
    NOT_UPDATED,
    PRECISION,
    RATE_HIGH,
    RATE_LOW,
    SATURATED,
    SMALL,
    TINY_BATCH,
    UNSCALED,
    WRONG_LOSS,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.row import (
    PLAIN,
    STRONG,
    WEAK,
    Evidence,
    Limit,
    Seen,
    above,
    below,
    decades,
    holds,
    within,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.optimizers import usual
from losswatch_server.monitor.loss_kind import Family
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.sentences import number, percent
from losswatch_server.monitor.vocabulary import Condition

SATURATING = frozenset({"sigmoid", "tanh", "softsign", "hard_sigmoid", "hardtanh", "softmax"})
RECTIFYING = frozenset(
    {"relu", "leaky_relu", "leakyrelu", "prelu", "elu", "selu", "gelu", "silu", "swish", "mish", "softplus", "relu6"}
)
LINEAR_NAMES = frozenset({"linear", "identity", "none", ""})
BLOWN_UP = frozenset({Condition.DIVERGING, Condition.NON_FINITE, Condition.EXPLODING_GRADIENT, Condition.OSCILLATION})


def kind(name: str) -> str | None:
    """Linear, saturating or rectifying; None for a name that says none of these."""
    word = name.strip().lower()
    if word in LINEAR_NAMES:
        return "linear"
    return "saturating" if word in SATURATING else "rectifying" if word in RECTIFYING else None


def activation(context: Context) -> str | None:
    """The kind of the hidden activations: as the facts state them, else as a hyper-parameter ``activation`` says."""
    if context.facts is not None and context.facts.hidden_activations:
        kinds = {kind(name) for name in context.facts.hidden_activations}
        if kinds == {"linear"}:
            return "linear"
        return next(iter(kinds - {"linear"})) if len(kinds - {"linear"}) == 1 else None
    name = str(context.extra.get("activation", ""))
    return kind(name) if name else None


def _named(wanted: str) -> tuple[Limit, ...]:
    return holds(
        lambda s: None if "activation" not in s.context.extra or s.facts.hidden_activations else
        activation(s.context) == wanted
    )  # fmt: skip


def _activation_text(seen: Seen) -> str:
    return f"the activation is {seen.context.extra.get('activation')}"


def _rate_decades(seen: Seen) -> float | None:
    return None if seen.measured.learning_rate is None else seen.measured.rate_decades


def _blows_up(seen: Seen) -> bool:
    return seen.finding.condition in BLOWN_UP


def _rate_text(seen: Seen) -> str:
    m, known = seen.measured, usual(seen.context)
    name = seen.context.optimizer or "this kind of optimizer"
    if known is None:
        common = "1e-3 to 0.1"
    else:
        common = number(known.rate) + (" on a trained model" if known.name == "fine-tuning" else "")
    away = m.rate_decades or 0.0
    where = (
        f"{number(10 ** min(away, 99.0), 2)} times" if away > 0.1
        else f"1/{number(10 ** min(-away, 99.0), 2)} of" if away < -0.1 else "near"
    )  # fmt: skip
    return f"the learning rate {number(m.learning_rate)} is {where} what is usual for {name} ({common})"


def _jump_text(seen: Seen) -> str:
    return f"the learning rate rose to {number(seen.measured.rate_jump)} times its value just before"


def _decay_text(seen: Seen) -> str:
    return f"weight decay is {number(seen.context.weight_decay)} (usual are 1e-4 to 1e-2; up to 0.1 with AdamW)"


def _clip_share(seen: Seen) -> float | None:
    m = seen.measured
    return None if m.clip is None or m.gradient is None else m.clipped_share


def _over_clip(seen: Seen) -> float | None:
    """How many times the clip value the 90th percentile of the norms is; needs norms from before clipping."""
    m = seen.measured
    if m.clip is None or m.gradient is None or m.clip_inferred or seen.context.grad_norm_is == "after_clip":
        return None
    return m.gradient.p90 / m.clip


def _clip_text(seen: Seen) -> str:
    m = seen.measured
    text = f"the gradient is clipped at {number(m.clip)}"
    return text if m.clipped_share is None else f"{text} in {percent(m.clipped_share)} of the log"


def _tight_text(seen: Seen) -> str:
    gradient = seen.measured.gradient
    return f"{_clip_text(seen)}; without it nine of ten norms lie below {number(gradient.p90 if gradient else None)}"


def _clip_alone(seen: Seen) -> float | None:
    m = seen.measured
    return decades(m.clip) if m.clip and (m.gradient is None or seen.context.grad_norm_is == "after_clip") else None


def _half(seen: Seen) -> bool | None:
    name = (seen.context.precision or "").lower()
    return (("16" in name and "bf" not in name) or "half" in name) if name else None


def _wide(seen: Seen) -> bool | None:
    half = _half(seen)
    return None if half is None else not half


def _classes(seen: Seen) -> bool | None:
    """A squared error for classes: of the kind of loss and the number of classes."""
    if not seen.context.loss_name or not seen.context.num_classes:
        return None
    return seen.measured.kind.squares


def _binary_for_many(seen: Seen) -> bool | None:
    classes = seen.context.num_classes
    if not seen.context.loss_name or not classes:
        return None
    return seen.measured.kind.family is Family.BINARY and classes > 2


def _momentum(seen: Seen) -> float | None:
    return seen.context.momentum


def _batch(seen: Seen) -> float | None:
    return None if seen.context.full_batch else seen.context.batch_size


def _batch_text(seen: Seen) -> str:
    size = seen.context.batch_size
    return f"a batch holds {size} sample{'' if size == 1 else 's'}"


SETTINGS: tuple[Evidence, ...] = (
    Evidence(
        name="rate_high", group="learning rate", when=above(_rate_decades, 1.1, 0.15),
        means="the learning rate is more than ten times what is usual for the optimiser",
        says=_rate_text, for_={RATE_HIGH: PLAIN, NO_WARMUP: WEAK},
        against={RATE_LOW: STRONG, UNSCALED: WEAK, LABELS: WEAK, SMALL: WEAK, LINEAR: WEAK},
    ),
    Evidence(
        name="rate_very_high", group="learning rate", when=above(_rate_decades, 2.0, 0.2),
        means="the learning rate is more than a hundred times what is usual for the optimiser",
        says=_rate_text, for_={RATE_HIGH: PLAIN}, against={UNSCALED: WEAK, INIT: WEAK, SATURATED: WEAK},
    ),
    Evidence(
        name="rate_low", group="learning rate",
        when=(*below(_rate_decades, -1.15, 0.15), *holds(lambda s: not _blows_up(s) and not s.measured.blew_up)),
        means="the learning rate is less than a tenth of what is usual for the optimiser",
        says=_rate_text, for_={RATE_LOW: STRONG},
        against={RATE_HIGH: STRONG, NOT_UPDATED: WEAK, LABELS: WEAK, SMALL: WEAK, LINEAR: WEAK, SATURATED: WEAK},
    ),
    Evidence(
        name="low_rate_blows_up", group="learning rate",
        when=(*below(_rate_decades, -1.4, 0.15), *holds(lambda s: _blows_up(s) or s.measured.blew_up)),
        means="the run blows up at a rate that is far below (a twenty-fifth of) what is usual",
        says=lambda s: f"{_rate_text(s)}, and the run blows up all the same",
        for_={UNSCALED: PLAIN, INIT: WEAK}, against={RATE_HIGH: WEAK, RATE_LOW: STRONG, NO_WARMUP: PLAIN},
    ),
    Evidence(
        name="rate_usual", group="learning rate", when=within(_rate_decades, -0.9, 0.9, 0.12),
        means="the learning rate is in the usual range of the optimiser",
        says=_rate_text, against={RATE_HIGH: WEAK, RATE_LOW: PLAIN},
    ),
    Evidence(
        name="rate_zero", group="learning rate",
        when=holds(lambda s: None if s.measured.learning_rate is None
                   else s.measured.learning_rate == 0 and not s.measured.rate_share),
        means="the learning rate is 0",
        says=lambda s: "the learning rate is 0", for_={NOT_UPDATED: STRONG, RATE_LOW: WEAK},
    ),
    Evidence(
        name="rate_jumped", group="learning rate", when=above(lambda s: s.measured.rate_jump, 3.0, 0.4),
        means="the learning rate was raised to three times its value or more just before",
        says=_jump_text, for_={RATE_HIGH: STRONG}, against={BAD_BATCH: PLAIN},
    ),
    Evidence(
        name="rate_kept", group="learning rate", when=below(lambda s: s.measured.rate_jump, 1.05, 0.01),
        means="the learning rate did not change before",
        says=lambda s: "the learning rate did not change before", against={RATE_HIGH: WEAK},
    ),
    Evidence(
        name="rate_lowered_without_effect", group="learning rate",
        when=(*above(lambda s: s.measured.rate_lowered, 2.5, 0.1), *holds(lambda s: s.finding.is_open)),
        means="the learning rate was lowered several times since, and the trouble stayed",
        says=lambda s: (
            f"the learning rate was lowered {number(s.measured.rate_lowered, 2)} times since step "
            f"{s.finding.onset_step}, and the trouble stayed"
        ),
        for_={UNSCALED: WEAK}, against={RATE_HIGH: STRONG, NO_WARMUP: PLAIN, RATE_LOW: WEAK},
    ),
    Evidence(
        name="warmup_used", group="learning rate",
        when=holds(lambda s: None if s.context.warmup_steps is None else s.context.warmup_steps > 0),
        means="a warm-up is in use",
        says=lambda s: f"a warm-up of {s.context.warmup_steps} steps is in use", against={NO_WARMUP: STRONG},
    ),
    Evidence(
        name="warmup_left_out", group="warm-up",
        when=holds(lambda s: None if s.context.warmup_steps is None else s.context.warmup_steps == 0),
        means="the client says that there is no warm-up",
        says=lambda s: "there is no warm-up (warmup_steps is 0)", for_={NO_WARMUP: WEAK},
    ),
    Evidence(
        name="momentum_high", group="settings", when=above(_momentum, 0.975, 0.003),
        means="the momentum is above 0.975, an average over more than 40 steps",
        says=lambda s: (
            f"momentum {number(s.context.momentum, 4)} averages over about "
            f"{number(1 / max(1 - (s.context.momentum or 0), 1e-6), 2)} steps (0.9: 10)"
        ),
        for_={MOMENTUM: STRONG},
    ),
    Evidence(
        name="momentum_usual", group="settings", when=below(_momentum, 0.96, 0.003),
        means="the momentum is at most 0.95",
        says=lambda s: f"momentum {number(s.context.momentum)} is usual", against={MOMENTUM: STRONG},
    ),
    Evidence(
        name="batch_tiny", group="settings", when=below(_batch, 4.5, 0.5),
        means="a batch holds at most 4 samples",
        says=_batch_text, for_={TINY_BATCH: STRONG},
    ),
    Evidence(
        name="batch_small", group="settings", when=within(_batch, 4.5, 12.0, 0.5),
        means="a batch holds 5 to 12 samples",
        says=_batch_text, for_={TINY_BATCH: WEAK},
    ),
    Evidence(
        name="batch_ample", group="settings", when=above(_batch, 14.0, 1.0),
        means="a batch holds more than 15 samples",
        says=lambda s: f"a batch of {s.context.batch_size} averages the noise well", against={TINY_BATCH: STRONG},
    ),
    Evidence(
        name="decay_strong", group="weight decay", when=above(lambda s: s.context.weight_decay, 0.15, 0.02),
        means="the weight decay is above 0.15",
        says=_decay_text, for_={DECAY: STRONG},
    ),
    Evidence(
        name="decay_notable", group="weight decay", when=within(lambda s: s.context.weight_decay, 0.02, 0.15, 0.005),
        means="the weight decay is 0.02 to 0.15",
        says=_decay_text, for_={DECAY: PLAIN},
    ),
    Evidence(
        name="decay_usual", group="weight decay", when=below(lambda s: s.context.weight_decay, 0.02, 0.004),
        means="the weight decay is at most 0.01",
        says=lambda s: f"weight decay {number(s.context.weight_decay)} is usual", against={DECAY: STRONG},
    ),
    Evidence(
        name="clip_tight", group="clipping", when=(*above(_clip_share, 0.5, 0.08), *above(_over_clip, 8.0, 1.0)),
        means="most norms are clipped, and without clipping they would be eight times as long or more",
        says=_tight_text,
        for_={CLIP: STRONG},
    ),
    Evidence(
        name="norms_all_equal", group="clipping",
        when=(*above(_clip_share, 0.5, 0.08), *holds(lambda s: s.measured.clip_inferred)),
        means="where no clip value is known: most gradient norms are the same number, as after clipping",
        says=lambda s: f"{percent(s.measured.clipped_share)} of the gradient norms are {number(s.measured.clip)}, "
        "as after clipping",
        for_={CLIP: PLAIN},
    ),
    Evidence(
        name="clip_small", group="clipping", when=below(_clip_alone, -1.0, 0.15),
        means="where no norms from before clipping are known: the clip value is below 0.1 (usual are 0.1 to 10)",
        says=lambda s: f"the gradient is clipped at {number(s.measured.clip)} (usual are 0.1 to 10)",
        for_={CLIP: STRONG},
    ),
    Evidence(
        name="clip_loose", group="clipping",
        when=(*below(_clip_share, 0.3, 0.05), *holds(lambda s: not s.measured.clip_inferred)),
        means="few norms are clipped",
        says=_clip_text, against={CLIP: STRONG},
    ),
    Evidence(
        name="half_precision", group="precision", when=holds(_half),
        means="the precision is fp16, which cannot hold numbers above 65504",
        says=lambda s: f"{s.context.precision} cannot hold numbers above 65504",
        for_={PRECISION: STRONG}, against={RATE_HIGH: WEAK},
    ),
    Evidence(
        name="wide_precision", group="precision", when=holds(_wide),
        means="the precision is fp32, bf16 or wider",
        says=lambda s: f"{s.context.precision} holds numbers up to 3e38", against={PRECISION: STRONG},
    ),
    Evidence(
        name="squared_error_for_classes", group="loss function", when=holds(_classes),
        means="the loss is a squared error although the task has classes",
        says=lambda s: f"the loss is {s.context.loss_name} although the task has {s.context.num_classes} classes",
        for_={WRONG_LOSS: STRONG},
    ),
    Evidence(
        name="binary_loss_for_many_classes", group="loss function", when=holds(_binary_for_many),
        means="the loss is binary although the task has more than two classes",
        says=lambda s: f"the loss is {s.context.loss_name} although the task has {s.context.num_classes} classes",
        for_={WRONG_LOSS: STRONG},
    ),
    Evidence(
        name="activation_linear", group="activation", when=_named("linear"),
        means="a hyper-parameter says that there is no activation",
        says=_activation_text, for_={LINEAR: STRONG}, against={DEAD: STRONG, SATURATED: STRONG},
    ),
    Evidence(
        name="activation_saturating", group="activation", when=_named("saturating"),
        means="a hyper-parameter says that the activation is a sigmoid or tanh",
        says=_activation_text, against={LINEAR: STRONG, DEAD: STRONG},
    ),
    Evidence(
        name="activation_rectifying", group="activation", when=_named("rectifying"),
        means="a hyper-parameter says that the activation is a ReLU or its kin",
        says=_activation_text, against={LINEAR: STRONG, SATURATED: PLAIN},
    ),
)  # fmt: skip
