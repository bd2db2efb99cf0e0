"""Signs in what the client told of the job: rate, momentum, batch, weight decay, clipping, precision, loss."""

from __future__ import annotations

import math
from collections.abc import Iterator

from losswatch_server.monitor.diagnosis.evidence.signs import Sign, between, soft, times
from losswatch_server.monitor.diagnosis.facts import Facts
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.sentences import number


def signs(facts: Facts, context: Context) -> Iterator[Sign]:
    """Every sign that the context gives."""
    yield from _rate(facts, context)
    yield from _momentum(facts, context)
    yield from _batch(facts, context)
    yield from _weight_decay(context)
    yield from _clipping(facts, context)
    yield from _precision(facts, context)
    yield from _activation(context)
    if context.num_classes and facts.cross_entropy is False and "squared" in _plain(context.loss_name):
        yield Sign(
            "squared_error_for_classes",
            1.0,
            f"the loss is {context.loss_name} although the task has {context.num_classes} classes",
        )


_SATURATING = ("sigmoid", "tanh", "softsign", "hard_sigmoid", "hardtanh")
_RECTIFYING = ("relu", "leaky_relu", "leakyrelu", "prelu", "elu", "selu", "gelu", "silu", "swish", "mish", "softplus")


def activation(context: Context) -> str | None:
    """The kind of activation that the client named: linear, saturating or rectifying; None when unknown."""
    name = str(context.extra.get("activation", "")).lower()
    if name in ("linear", "identity", "none"):
        return "linear"
    return "saturating" if name in _SATURATING else "rectifying" if name in _RECTIFYING else None


def _activation(context: Context) -> Iterator[Sign]:
    kind = activation(context)
    if kind is not None:
        names = {
            "linear": "activation_linear",
            "saturating": "activation_saturating",
            "rectifying": "activation_rectifying",
        }
        yield Sign(names[kind], 1.0, f"the activation is {context.extra['activation']}")


def _plain(name: str | None) -> str:
    words = (name or "").lower().replace("-", "_")
    return "squared" if words in ("mse", "l2", "rmse", "mse_loss", "mseloss") or "squared" in words else words


def _rate(facts: Facts, context: Context) -> Iterator[Sign]:
    rate, decades = facts.learning_rate, facts.rate_decades
    if rate == 0 and (facts.rate_share is None or facts.rate_share == 0):
        yield Sign("rate_zero", 1.0, "the learning rate is 0")
    if rate is not None and decades is not None:
        name = context.optimizer or "this kind of optimizer"
        usual = (
            "1e-3" if facts.adaptive else ("0.1 (momentum counted in)" if facts.adaptive is False else "1e-3 to 0.1")
        )
        text = f"the learning rate {number(rate)} is %s what is usual for {name} ({usual})"
        yield Sign("rate_high", soft(decades, 1.1, 0.15), text % f"about {10 ** min(decades, 99.0):.0f} times")
        yield Sign("rate_very_high", soft(decades, 2.0, 0.2), text % f"about {10 ** min(decades, 99.0):.0f} times")
        yield Sign("rate_low", soft(decades, -1.15, -0.15), text % f"about 1/{10 ** min(-decades, 99.0):.0f} of")
        yield Sign("rate_very_low", soft(decades, -2.2, -0.2), text % f"about 1/{10 ** min(-decades, 99.0):.0f} of")
        usual_text = f"the learning rate {number(rate)} is in the usual range for {name}"
        known = 0.6 if facts.adaptive is None and context.momentum is None else 1.0
        yield Sign("rate_usual", known * between(decades, -0.9, 0.9, 0.12), usual_text)
    if facts.rate_jump is not None:
        jump = facts.rate_jump
        yield Sign("rate_jumped", soft(jump, 3.0, 0.4), f"the learning rate rose {times(jump)} just before")
        yield Sign("rate_kept", soft(jump, 1.05, -0.01), "the learning rate did not change before")
    if facts.first_learning_rate and context.warmup_steps and facts.rate_share is not None:
        yield Sign("warmup_used", 1.0, f"a warm-up of {context.warmup_steps} steps is in use")


def _momentum(facts: Facts, context: Context) -> Iterator[Sign]:
    momentum = context.momentum
    if momentum is not None:
        reach = 1 / max(1 - momentum, 1e-6)
        text = f"momentum {number(momentum)} averages over about {reach:.0f} steps (0.9: 10)"
        yield Sign("momentum_high", soft(momentum, 0.975, 0.003), text)
        yield Sign("momentum_usual", soft(momentum, 0.96, -0.003), f"momentum {number(momentum)} is usual")
    elif facts.adaptive is False and facts.learning_rate:
        yield Sign("momentum_unknown", 1.0, "no momentum was reported beside the learning rate")
    elif facts.adaptive:
        yield Sign("momentum_usual", 0.7, f"{context.optimizer} was used, with no unusual momentum reported")


def _batch(facts: Facts, context: Context) -> Iterator[Sign]:
    if context.batch_size is not None:
        size = context.batch_size
        yield Sign("batch_tiny", soft(size, 2.5, -0.3), f"a batch holds {size} sample{'s' if size > 1 else ''}")
        yield Sign("batch_small", between(size, 2.5, 7.0, 0.3), f"a batch holds only {size} samples")
        yield Sign("batch_ample", soft(size, 14.0, 1.0), f"a batch of {size} averages the noise well")
    elif facts.gradient and facts.gradient.points >= 20:
        noise = facts.gradient.log_noise_first
        factor = math.exp(min(noise, 99.0))
        text = f"at the start the gradient norm changed by a factor of about {factor:.2f} from one step to the next"
        yield Sign("gradient_scatters", soft(noise, 0.5, 0.05), text)
        yield Sign("gradient_steady_at_start", soft(noise, 0.4, -0.05), text)


def _weight_decay(context: Context) -> Iterator[Sign]:
    decay = context.weight_decay
    if decay is not None:
        usual = "usual are 1e-4 to 1e-2; up to 0.1 with AdamW"
        yield Sign("decay_strong", soft(decay, 0.15, 0.02), f"weight decay is {number(decay)} ({usual})")
        yield Sign("decay_notable", between(decay, 0.03, 0.15, 0.01), f"weight decay is {number(decay)} ({usual})")
        yield Sign("decay_usual", soft(decay, 0.03, -0.005), f"weight decay {number(decay)} is usual ({usual})")
    else:
        told = 1.0 if context.optimizer and context.learning_rate else 0.5
        yield Sign("decay_unknown", told, "no weight decay was reported")


def _clipping(facts: Facts, context: Context) -> Iterator[Sign]:
    if facts.clip is None:
        told = 1.0 if context.optimizer and context.learning_rate else 0.6
        yield Sign("clip_unknown", told, "no gradient clipping was reported")
        return
    if facts.clipped_share is None or facts.gradient is None:
        text = f"the gradient is clipped at {number(facts.clip)} (usual are 0.1 to 10)"
        yield Sign("clip_small", soft(math.log10(facts.clip), -1.5, -0.15), text)
        return
    share = facts.clipped_share
    norm = facts.gradient.p90
    text = f"the gradient is clipped at {number(facts.clip)} in {share:.0%} of the history"
    if not facts.clip_inferred:
        text += f"; without it, nine of ten norms lie below {number(norm)}"
        tight = soft(norm / facts.clip, 8.0, 1.0)
    else:
        tight = 0.5
    yield Sign("clip_tight", soft(share, 0.5, 0.08) * tight, text)
    yield Sign("clip_loose", soft(share, 0.3, -0.05), text)


def _precision(facts: Facts, context: Context) -> Iterator[Sign]:
    if facts.grad_nonfinite:
        text = f"{facts.grad_nonfinite} gradient norm(s) were not finite"
        yield Sign("gradient_nonfinite", 1.0, text)
    name = (context.precision or "").lower()
    if not name:
        return
    half = ("16" in name and "bf" not in name) or "half" in name
    if half:
        yield Sign("half_precision", 1.0, f"{context.precision} cannot hold numbers above 65504")
    elif "bf" in name:
        yield Sign("wide_precision", 0.6, f"{context.precision} has the range of float32")
    else:
        yield Sign("wide_precision", 1.0, f"{context.precision} holds numbers up to 3.4e38")
