"""Evidence in what the client says of the job: momentum, batch, weight decay, clipping, precision, loss."""

from __future__ import annotations

from losswatch_server.monitor.diagnosis.evidence.causes import (
    CLIP,
    DEAD,
    DECAY,
    LABELS,
    LINEAR,
    MOMENTUM,
    PRECISION,
    RATE_HIGH,
    SATURATED,
    TINY_BATCH,
    WRONG_LOSS,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.needed import KIND, NORMS, RATE, SETTING, UNCLIPPED
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
from losswatch_server.monitor.loss_kind import Family
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.sentences import number, percent

SATURATING = frozenset({"sigmoid", "tanh", "softsign", "hard_sigmoid", "hardtanh", "softmax"})
RECTIFYING = frozenset(
    {"relu", "leaky_relu", "leakyrelu", "prelu", "elu", "selu", "gelu", "silu", "swish", "mish", "softplus", "relu6"}
)
LINEAR_NAMES = frozenset({"linear", "identity", "none", ""})


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


def _named_but(seen: Seen, value: float | None) -> bool | None:
    """The client says what it knows of the optimiser, and this is not among it."""
    c = seen.context
    named = c.optimizer is not None and c.learning_rate is not None and (c.batch_size is not None or c.full_batch)
    return value is None if named else None


def _momentum(seen: Seen) -> float | None:
    return seen.context.momentum


def _batch(seen: Seen) -> float | None:
    return None if seen.context.full_batch else seen.context.batch_size


def _batch_text(seen: Seen) -> str:
    size = seen.context.batch_size
    return f"a batch holds {size} sample{'' if size == 1 else 's'}"


SETTINGS: tuple[Evidence, ...] = (
    Evidence(
        name="momentum_high", group="settings", needs=(SETTING,), when=above(_momentum, 0.975, 0.003),
        means="the momentum is above 0.975, an average over more than 40 steps",
        says=lambda s: (
            f"momentum {number(s.context.momentum, 4)} averages over about "
            f"{number(1 / max(1 - (s.context.momentum or 0), 1e-6), 2)} steps (0.9: 10)"
        ),
        for_={MOMENTUM: STRONG}, against={RATE_HIGH: WEAK, LABELS: WEAK},
    ),
    Evidence(
        name="momentum_usual", group="settings", needs=(SETTING,), when=below(_momentum, 0.96, 0.003),
        means="the momentum is at most 0.95",
        says=lambda s: f"momentum {number(s.context.momentum)} is usual", against={MOMENTUM: STRONG},
    ),
    Evidence(
        name="batch_tiny", group="settings", needs=(SETTING,), when=below(_batch, 4.5, 0.5),
        means="a batch holds at most 4 samples",
        says=_batch_text, for_={TINY_BATCH: STRONG}, against={RATE_HIGH: PLAIN, LABELS: WEAK},
    ),
    Evidence(
        name="batch_small", group="settings", needs=(SETTING,), when=within(_batch, 4.5, 12.0, 0.5),
        means="a batch holds 5 to 12 samples",
        says=_batch_text, for_={TINY_BATCH: WEAK},
    ),
    Evidence(
        name="batch_ample", group="settings", needs=(SETTING,), when=above(_batch, 14.0, 1.0),
        means="a batch holds more than 15 samples",
        says=lambda s: f"a batch of {s.context.batch_size} averages the noise well", against={TINY_BATCH: STRONG},
    ),
    Evidence(
        name="decay_strong", group="weight decay", needs=(SETTING,),
        when=above(lambda s: s.context.weight_decay, 0.15, 0.02),
        means="the weight decay is above 0.15",
        says=_decay_text, for_={DECAY: STRONG},
    ),
    Evidence(
        name="decay_notable", group="weight decay", needs=(SETTING,),
        when=within(lambda s: s.context.weight_decay, 0.02, 0.15, 0.005),
        means="the weight decay is 0.02 to 0.15",
        says=_decay_text, for_={DECAY: PLAIN},
    ),
    Evidence(
        name="decay_usual", group="weight decay", needs=(SETTING,),
        when=below(lambda s: s.context.weight_decay, 0.02, 0.004),
        means="the weight decay is at most 0.01",
        says=lambda s: f"weight decay {number(s.context.weight_decay)} is usual", against={DECAY: STRONG},
    ),
    Evidence(
        name="decay_not_named", group="weight decay", needs=(RATE, SETTING),
        when=holds(lambda s: _named_but(s, s.context.weight_decay)),
        means="the client names optimiser, learning rate and batch size, and no weight decay: it is most likely 0",
        says=lambda s: "no weight decay is named beside the optimizer's other settings", against={DECAY: PLAIN},
    ),
    Evidence(
        name="momentum_not_named", group="settings", needs=(RATE, SETTING),
        when=holds(lambda s: _named_but(s, s.context.momentum)),
        means="the client names optimiser, learning rate and batch size, and no momentum: most likely a usual one",
        says=lambda s: "no momentum is named beside the optimizer's other settings", against={MOMENTUM: PLAIN},
    ),
    Evidence(
        name="clip_not_named", group="clipping", needs=(RATE, SETTING),
        when=holds(lambda s: _named_but(s, s.measured.clip)),
        means="the client names optimiser, learning rate and batch size, and no clipping: most likely there is none",
        says=lambda s: "no clipping is named beside the optimizer's other settings", against={CLIP: PLAIN},
    ),
    Evidence(
        name="clip_tight", group="clipping", needs=(NORMS, UNCLIPPED, SETTING),
        when=(*above(_clip_share, 0.5, 0.08), *above(_over_clip, 8.0, 1.0)),
        means="most norms are clipped, and without clipping they would be eight times as long or more",
        says=_tight_text,
        for_={CLIP: STRONG},
    ),
    Evidence(
        name="norms_all_equal", group="clipping", needs=(NORMS,),
        when=(*above(_clip_share, 0.5, 0.08), *holds(lambda s: s.measured.clip_inferred)),
        means="where no clip value is known: most gradient norms are the same number, as after clipping",
        says=lambda s: f"{percent(s.measured.clipped_share)} of the gradient norms are {number(s.measured.clip)}, "
        "as after clipping",
        for_={CLIP: PLAIN},
    ),
    Evidence(
        name="clip_small", group="clipping", needs=(SETTING,), when=below(_clip_alone, -1.0, 0.15),
        means="where no norms from before clipping are known: the clip value is below 0.1 (usual are 0.1 to 10)",
        says=lambda s: f"the gradient is clipped at {number(s.measured.clip)} (usual are 0.1 to 10)",
        for_={CLIP: STRONG},
    ),
    Evidence(
        name="clip_loose", group="clipping", needs=(NORMS, SETTING),
        when=(*below(_clip_share, 0.3, 0.05), *holds(lambda s: not s.measured.clip_inferred)),
        means="few norms are clipped",
        says=_clip_text, against={CLIP: STRONG},
    ),
    Evidence(
        name="half_precision", group="precision", needs=(SETTING,), when=holds(_half),
        means="the precision is fp16, which cannot hold numbers above 65504",
        says=lambda s: f"{s.context.precision} cannot hold numbers above 65504",
        for_={PRECISION: STRONG}, against={RATE_HIGH: WEAK},
    ),
    Evidence(
        name="wide_precision", group="precision", needs=(SETTING,), when=holds(_wide),
        means="the precision is fp32, bf16 or wider",
        says=lambda s: f"{s.context.precision} holds numbers up to 3e38", against={PRECISION: STRONG},
    ),
    Evidence(
        name="squared_error_for_classes", group="loss function", needs=(KIND, SETTING), when=holds(_classes),
        means="the loss is a squared error although the task has classes",
        says=lambda s: f"the loss is {s.context.loss_name} although the task has {s.context.num_classes} classes",
        for_={WRONG_LOSS: STRONG},
    ),
    Evidence(
        name="binary_loss_for_many_classes", group="loss function", needs=(KIND, SETTING),
        when=holds(_binary_for_many),
        means="the loss is binary although the task has more than two classes",
        says=lambda s: f"the loss is {s.context.loss_name} although the task has {s.context.num_classes} classes",
        for_={WRONG_LOSS: STRONG},
    ),
    Evidence(
        name="activation_linear", group="activation", needs=(SETTING,), when=_named("linear"),
        means="a hyper-parameter says that there is no activation",
        says=_activation_text, for_={LINEAR: STRONG}, against={DEAD: STRONG, SATURATED: STRONG},
    ),
    Evidence(
        name="activation_saturating", group="activation", needs=(SETTING,), when=_named("saturating"),
        means="a hyper-parameter says that the activation is a sigmoid or tanh",
        says=_activation_text, against={LINEAR: STRONG, DEAD: STRONG},
    ),
    Evidence(
        name="activation_rectifying", group="activation", needs=(SETTING,), when=_named("rectifying"),
        means="a hyper-parameter says that the activation is a ReLU or its kin",
        says=_activation_text, against={LINEAR: STRONG, SATURATED: PLAIN},
    ),
)  # fmt: skip
