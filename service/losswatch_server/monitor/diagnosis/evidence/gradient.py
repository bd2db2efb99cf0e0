"""Evidence in the gradient norm, the layers, and the fall that the gradient predicts against the one that came."""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.evidence import loss as losses
from losswatch_server.monitor.diagnosis.evidence.causes import (
    ACCUMULATING,
    BAD_BATCH,
    CLIP,
    DEAD,
    DECAY,
    INIT,
    LABELS,
    LINEAR,
    MOMENTUM,
    NOT_UPDATED,
    RATE_HIGH,
    RATE_LOW,
    SATURATED,
    SMALL,
    TINY_BATCH,
    UNSCALED,
    UNSHUFFLED,
    WRONG_LOSS,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.needed import BEGINNING, CHANCE, LAYERED, NORMS, RATE, SETTING, Noise
from losswatch_server.monitor.diagnosis.evidence.row import (
    PLAIN,
    STRONG,
    WEAK,
    Evidence,
    Seen,
    above,
    below,
    decades,
    holds,
    within,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.series_measures import GradientMeasures, LayerMeasures
from losswatch_server.monitor.sentences import number, percent


def of(seen: Seen) -> GradientMeasures | None:
    """What is known of the gradient norm."""
    gradient = seen.measured.gradient
    return gradient if gradient is not None and gradient.points >= 5 else None


def _growth(seen: Seen) -> float | None:
    gradient = of(seen)
    ratio = gradient.ratio if gradient and seen.measured.from_start and seen.measured.loss else None
    return None if ratio is None else decades(ratio)


def _steadier(seen: Seen) -> float | None:
    gradient = of(seen)
    return gradient.log_noise / max(gradient.log_noise_first, 1e-3) if gradient else None


def _scatter(seen: Seen) -> float | None:
    gradient = of(seen)
    return gradient.log_noise if gradient else None


def _scatter_at_start(seen: Seen) -> float | None:
    gradient = of(seen)
    if gradient is None or gradient.points < 20 or seen.context.batch_size is not None:
        return None
    return gradient.log_noise_first if seen.measured.from_start else None


def _power(seen: Seen) -> float | None:
    gradient = of(seen)
    return gradient.growth_exponent if gradient and seen.measured.from_start else None


def _power_fits(seen: Seen) -> float | None:
    gradient = of(seen)
    return gradient.growth_fit if gradient else None


def _always_zero(seen: Seen) -> bool | None:
    gradient = of(seen)
    return None if gradient is None else gradient.peak == 0


def _became_zero(seen: Seen) -> bool | None:
    gradient = of(seen)
    return None if gradient is None else gradient.now == 0 < gradient.peak


def _nearly_gone(seen: Seen) -> bool | None:
    gradient = of(seen)
    return None if gradient is None else gradient.now > 0


def _zero_above_chance(seen: Seen) -> float | None:
    m = seen.measured
    if not _always_zero(seen) or m.now_over_chance is None or m.chance_inferred:
        return None
    return m.now_over_chance


def _layers(seen: Seen) -> LayerMeasures | None:
    return seen.measured.layers


def _died(seen: Seen) -> bool | None:
    layers = _layers(seen)
    return None if layers is None else layers.became_dead > 0


def _dead_from_start(seen: Seen) -> bool | None:
    layers = _layers(seen)
    return None if layers is None or not seen.measured.from_start else layers.dead_from_start > 0


def _alive(seen: Seen) -> bool | None:
    layers = _layers(seen)
    return None if layers is None else not (layers.dead_from_start or layers.became_dead)


def _never_text(seen: Seen) -> str:
    layers = _layers(seen)
    assert layers is not None
    return f"{layers.dead_from_start} of {layers.count} layers never got a gradient"


def _blown_up(seen: Seen) -> bool:
    loss = losses.of(seen)
    return loss.first > 0 and loss.peak > 4 * loss.first


def _depth(seen: Seen) -> float | None:
    layers = _layers(seen)
    if layers is None or layers.count < 2 or layers.first_over_last is None:
        return None
    if layers.dead_from_start or layers.became_dead:
        return None
    return math.log10(max(layers.first_over_last, 1e-300))


def _predicted(seen: Seen) -> float | None:
    """log10 of the predicted fall, in standard errors of the loss."""
    m = seen.measured
    if m.predicted_in_errors is None or m.actual_to_predicted is None or m.predicted_fall is None:
        return None
    return None if m.loss is None or m.loss.fall < -1 else math.log10(max(m.predicted_in_errors, 1e-9))


def _kept(seen: Seen) -> float | None:
    return None if _predicted(seen) is None else seen.measured.actual_to_predicted


def _change_text(seen: Seen) -> str:
    gradient = of(seen)
    assert gradient is not None
    return f"the gradient norm went from {number(gradient.first)} to {number(gradient.now)}"


def _scatter_text(seen: Seen) -> str:
    gradient = of(seen)
    assert gradient is not None
    factor = number(math.exp(min(gradient.log_noise_first, 99.0)))
    return f"at the start the gradient norm changed by a factor of about {factor} from one step to the next"


def _predicted_text(seen: Seen) -> str:
    return f"the gradients predict a fall of {number(seen.measured.predicted_fall)} (rate x norm squared, summed)"


def _layer_text(seen: Seen) -> str:
    layers = _layers(seen)
    ratio = number(layers.first_over_last if layers else None)
    return f"the gradient of the first layer is {ratio} times that of the last"


def _dead_text(seen: Seen) -> str:
    layers = _layers(seen)
    assert layers is not None
    return f"{layers.became_dead} of {layers.count} layers got a gradient at first and get none now"


GRADIENT: tuple[Evidence, ...] = (
    Evidence(
        name="gradient_always_zero", group="gradient norm", needs=(NORMS,), when=holds(_always_zero),
        means="the gradient norm is exactly 0 at every step",
        says=lambda s: "the gradient norm is exactly 0 at every step",
        for_={WRONG_LOSS: PLAIN, NOT_UPDATED: WEAK, DEAD: WEAK, SATURATED: WEAK},
        against={RATE_HIGH: PLAIN, RATE_LOW: PLAIN},
    ),
    Evidence(
        name="gradient_became_zero", group="gradient norm", needs=(NORMS,), when=holds(_became_zero),
        means="there was a gradient, and by now its norm is exactly 0: that is no stationary point",
        says=lambda s: "there was a gradient at first, and by now its norm is exactly 0",
        for_={DEAD: STRONG, SATURATED: PLAIN, WRONG_LOSS: WEAK},
        against={RATE_LOW: STRONG, NOT_UPDATED: STRONG, CLIP: PLAIN},
    ),
    Evidence(
        name="gradient_zero_above_chance", group="loss function", needs=(CHANCE, NORMS),
        when=above(_zero_above_chance, 1.8, 0.15),
        means="the gradient is 0 although the loss is far above chance level: the loss does not see the outputs",
        says=lambda s: (
            f"the gradient is 0 although the loss is {number(s.measured.now_over_chance, 2)} times chance level"
        ),
        for_={WRONG_LOSS: STRONG}, against={NOT_UPDATED: PLAIN},
    ),
    Evidence(
        name="gradient_grown_and_smooth", group="gradient norm", needs=(BEGINNING, NORMS),
        when=(*above(_growth, 0.75, 0.08), *below(_steadier, 0.35, 0.06)),
        means="the gradient norm grew many times and hardly scatters any more, as a sum over many steps would",
        says=lambda s: f"{_change_text(s)} and hardly scatters any more, as a sum over many steps would",
        for_={ACCUMULATING: STRONG}, against={RATE_HIGH: WEAK, BAD_BATCH: PLAIN, LABELS: WEAK},
    ),
    Evidence(
        name="gradient_grows_with_steps", group="gradient norm", needs=(BEGINNING, NORMS),
        when=(*within(_power, 0.45, 1.7, 0.06), *above(_power_fits, 0.75, 0.04)),
        means="over the first steps the gradient norm grew in proportion to the step count, or nearly",
        says=lambda s: (
            "over the first steps the gradient norm grew like the step count to the power "
            f"{_power(s):.2f}"
        ),
        for_={ACCUMULATING: PLAIN},
    ),
    Evidence(
        name="gradient_largest_at_low_loss", group="sum of gradients", needs=(BEGINNING, NORMS),
        when=below(lambda s: s.measured.gradient_with_loss, -0.3, 0.06),
        means="the gradient norm grew and is largest where the loss is lowest, as a sum of all gradients so far is",
        says=lambda s: (
            "the gradient norm is largest where the loss is lowest (rank correlation "
            f"{s.measured.gradient_with_loss:.2f}), as a sum over all steps would be"
        ),
        for_={ACCUMULATING: STRONG}, against={RATE_HIGH: WEAK},
    ),
    Evidence(
        name="gradient_follows_loss", group="sum of gradients", needs=(BEGINNING, NORMS),
        when=above(lambda s: s.measured.gradient_with_loss, 0.2, 0.06),
        means="the gradient norm is larger where the loss is higher",
        says=lambda s: "the gradient norm is larger where the loss is higher, as it should be",
        against={ACCUMULATING: PLAIN},
    ),
    Evidence(
        name="gradient_not_grown", group="gradient norm", needs=(BEGINNING, NORMS), when=below(_growth, 0.5, 0.06),
        means="the gradient norm is not three times what it was at the start",
        says=_change_text, against={ACCUMULATING: STRONG},
    ),
    Evidence(
        name="gradient_gone", group="gradient norm", needs=(BEGINNING, NORMS),
        when=(*below(_growth, -2.3, 0.25), *below(losses.fall, 0.9, 0.02), *holds(_nearly_gone)),
        means="the gradient norm fell to a hundredth or less with the loss still high: a stationary point",
        says=lambda s: f"{_change_text(s)}: a stationary point, with the loss still high",
        for_={LINEAR: PLAIN, SMALL: PLAIN, SATURATED: WEAK, DEAD: WEAK},
        against={RATE_LOW: STRONG, NOT_UPDATED: STRONG, CLIP: PLAIN, UNSHUFFLED: PLAIN},
    ),
    Evidence(
        name="gradient_shrunk", group="gradient norm", needs=(BEGINNING, NORMS),
        when=(*within(_growth, -2.3, -0.25, 0.05), *below(losses.fall, 0.9, 0.02)),
        means="the gradient norm fell by more than a half while the loss stayed high",
        says=lambda s: f"{_change_text(s)} while the loss stayed high",
        for_={LINEAR: WEAK, SATURATED: WEAK, DECAY: WEAK},
        against={NOT_UPDATED: STRONG, RATE_LOW: PLAIN, CLIP: WEAK},
    ),
    Evidence(
        name="gradient_same", group="gradient norm", needs=(BEGINNING, NORMS),
        when=within(_growth, -0.045, 0.045, 0.01),
        means="the gradient norm is within a tenth of what it was at the start",
        says=lambda s: f"{_change_text(s)}: about the same",
        for_={NOT_UPDATED: WEAK, RATE_LOW: WEAK, CLIP: WEAK},
    ),
    Evidence(
        name="gradient_risen", group="gradient norm", needs=(BEGINNING, NORMS),
        when=(*within(_growth, 0.18, 1.0, 0.04), *below(losses.fall, 0.9, 0.02)),
        means="the gradient norm rose while the loss stayed high",
        says=lambda s: f"{_change_text(s)} while the loss stayed high",
        against={NOT_UPDATED: PLAIN, DEAD: WEAK, DECAY: WEAK, SATURATED: WEAK},
    ),
    Evidence(
        name="gradient_is_noise", group="gradient norm", needs=(BEGINNING, NORMS),
        when=(*above(_scatter, 0.42, 0.03), *above(_steadier, 1 / 1.3, 0.06)),
        means="the gradient norm scatters widely from step to step, as at the start: nothing steady pulls",
        says=lambda s: (
            "the gradient norm scatters by a factor of "
            f"{number(math.exp(min(_scatter(s) or 0.0, 99.0)))} from step to step: nothing steady pulls"
        ),
        for_={DEAD: WEAK, SATURATED: WEAK}, against={NOT_UPDATED: WEAK, RATE_LOW: WEAK},
    ),
    Evidence(
        name="gradient_scatters_at_start", group="settings", needs=(BEGINNING, NORMS, Noise("gradient norm", 20)),
        when=above(_scatter_at_start, 0.5, 0.05),
        means="where the batch size is not known: at the start the gradient norm scatters widely from step to step",
        says=_scatter_text, for_={TINY_BATCH: PLAIN},
    ),
    Evidence(
        name="gradient_steady_at_start", group="settings", needs=(BEGINNING, NORMS, Noise("gradient norm", 20)),
        when=below(_scatter_at_start, 0.4, 0.05),
        means="where the batch size is not known: at the start the gradient norm hardly scatters",
        says=_scatter_text, against={TINY_BATCH: PLAIN},
    ),
    Evidence(
        name="layers_died", group="layers", needs=(LAYERED,),
        when=(*holds(_died), *holds(lambda s: None if _layers(s) is None else not _blown_up(s))),
        means="a layer got a gradient at first and gets none now",
        says=_dead_text, for_={DEAD: STRONG, DECAY: PLAIN},
    ),
    Evidence(
        name="layers_died_after_blow_up", group="layers", needs=(LAYERED,),
        when=(*holds(_died), *holds(lambda s: None if _layers(s) is None else _blown_up(s))),
        means="a layer lost its gradient after the loss had blown up",
        says=lambda s: f"{_dead_text(s)}, after the loss had blown up",
        for_={RATE_HIGH: PLAIN, UNSCALED: PLAIN, DEAD: WEAK, MOMENTUM: WEAK, INIT: WEAK},
    ),
    Evidence(
        name="layers_dead_from_start", group="layers", needs=(BEGINNING, LAYERED), when=holds(_dead_from_start),
        means="a layer never got a gradient",
        says=_never_text, for_={DEAD: PLAIN, INIT: WEAK}, against={SATURATED: WEAK},
    ),
    Evidence(
        name="layers_alive", group="layers", needs=(LAYERED,), when=holds(_alive),
        means="every layer gets a gradient",
        says=lambda s: "every layer gets a gradient", against={DEAD: PLAIN},
    ),
    Evidence(
        name="layers_vanish", group="layers", needs=(LAYERED,), when=below(_depth, -2.2, 0.25),
        means="the gradient of the first layer is less than a hundredth of the last layer's",
        says=_layer_text, for_={SATURATED: STRONG, INIT: WEAK, DECAY: WEAK}, against={NOT_UPDATED: WEAK},
    ),
    Evidence(
        name="layers_explode", group="layers", needs=(LAYERED,), when=above(_depth, 1.5, 0.15),
        means="the gradient of the first layer is more than thirty times the last layer's",
        says=_layer_text, for_={INIT: WEAK, UNSCALED: WEAK},
    ),
    Evidence(
        name="predicted_fall_below_noise", group="predicted fall", needs=(NORMS, RATE, SETTING, Noise("loss", 12)),
        when=below(_predicted, 0.65, 0.12),
        means="plain SGD: the fall that the gradients predict is smaller than the noise of the loss",
        says=lambda s: f"{_predicted_text(s)}, which the noise of the loss hides: the steps are too short to show",
        for_={RATE_LOW: STRONG, CLIP: WEAK},
        against={NOT_UPDATED: WEAK, LABELS: PLAIN, SMALL: PLAIN, LINEAR: PLAIN, SATURATED: WEAK},
    ),
    Evidence(
        name="predicted_fall_did_not_come", group="predicted fall", needs=(NORMS, RATE, SETTING, Noise("loss", 12)),
        when=(*above(_predicted, 1.3, 0.15), *below(lambda s: None if _kept(s) is None else abs(_kept(s) or 0.0),
                                                    0.03, 0.006)),
        means="plain SGD: nearly nothing came of the fall that the gradients predict",
        says=lambda s: f"{_predicted_text(s)}, and {percent(_kept(s))} of it came",
        for_={NOT_UPDATED: WEAK, LINEAR: WEAK, LABELS: WEAK, SATURATED: WEAK}, against={RATE_LOW: PLAIN, CLIP: PLAIN},
    ),
    Evidence(
        name="predicted_fall_came_in_small_part", group="predicted fall",
        needs=(NORMS, RATE, SETTING, Noise("loss", 12)),
        when=(*above(_predicted, 1.3, 0.15), *within(_kept, 5e-4, 0.06, 0.004),
              *above(lambda s: losses.of(s).change, 5.0, 0.6), *above(lambda s: losses.of(s).late_change, 1.5, 0.3)),
        means="plain SGD: the loss falls steadily, but by a few percent of what the gradients predict",
        says=lambda s: f"{_predicted_text(s)}; the loss falls steadily, but only by {percent(_kept(s))} of that",
        for_={CLIP: WEAK}, against={NOT_UPDATED: PLAIN},
    ),
    Evidence(
        name="predicted_fall_came", group="predicted fall", needs=(NORMS, RATE, SETTING, Noise("loss", 12)),
        when=(*above(_predicted, 1.3, 0.15), *within(_kept, 0.15, 1.5, 0.04)),
        means="plain SGD: the loss fell by about what the gradients predict",
        says=lambda s: f"{_predicted_text(s)}, and {percent(_kept(s))} of it came",
        for_={RATE_LOW: PLAIN, CLIP: WEAK}, against={NOT_UPDATED: STRONG, LINEAR: WEAK, LABELS: WEAK, RATE_HIGH: WEAK},
    ),
)  # fmt: skip
