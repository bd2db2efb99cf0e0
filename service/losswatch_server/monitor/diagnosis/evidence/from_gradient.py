"""Signs in the gradient norm, the layers, and the actual against the predicted fall of the loss."""

from __future__ import annotations

import math
from collections.abc import Iterator

from losswatch_server.monitor.diagnosis.evidence.signs import Sign, between, soft
from losswatch_server.monitor.diagnosis.facts import Facts
from losswatch_server.monitor.diagnosis.series_facts import GradientFacts, LayerFacts
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.sentences import number


def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    """Every sign that gradients give."""
    size = finding.evidence.get("input_size")
    if isinstance(size, float) and size > 0:
        text = f"for a squared error, gradients this large need inputs of size {number(size)} or more"
        yield Sign("inputs_out_of_proportion", soft(math.log10(size), 2.0, 0.15), text)
    if facts.gradient and facts.gradient.points >= 5:
        yield from _norm(facts, facts.gradient)
    if facts.layers:
        yield from _layers(facts.layers, blown_up=_blown_up(facts))
    yield from _actual_to_predicted(facts)


def _norm(facts: Facts, gradient: GradientFacts) -> Iterator[Sign]:
    first, now, ratio = gradient.first, gradient.now, gradient.ratio
    loss = facts.loss
    text = f"the first gradient norms are about {number(first)}, far above the 0.1 to 10 of scaled data"
    ordinary = f"the first gradient norms are about {number(first)}, which is ordinary"
    yield Sign("gradient_huge_at_start", soft(math.log10(max(first, 1e-30)), 1.1, 0.1), text)
    yield Sign("gradient_enormous_at_start", soft(math.log10(max(first, 1e-30)), 2.2, 0.15), text)
    yield Sign("gradient_ordinary_at_start", soft(math.log10(max(first, 1e-30)), 0.6, -0.1), ordinary)
    if gradient.peak == 0:
        yield Sign("gradient_always_zero", 1.0, "the gradient norm is exactly 0 at every step")
        if facts.first_over_chance is not None and not facts.chance_inferred:
            text = f"the gradient is 0 although the loss is {facts.first_over_chance:.1f} times that of guessing"
            yield Sign("gradient_zero_above_chance", soft(math.log(max(facts.first_over_chance, 1e-9)), 0.6, 0.1), text)
    if ratio is None or loss is None:
        return
    decades = math.log10(max(ratio, 1e-30))
    change = f"the gradient norm went from {number(first)} to {number(now)}"
    quiet = soft(gradient.log_noise / max(gradient.log_noise_first, 1e-3), 0.35, -0.06)
    yield Sign(
        "gradient_grown_and_smooth",
        soft(decades, 0.75, 0.08) * quiet,
        f"{change} and hardly scatters any more, as a sum over many steps would",
    )
    if gradient.growth_exponent is not None:
        steady = between(gradient.growth_exponent, 0.45, 1.7, 0.06) * soft(gradient.growth_fit, 0.75, 0.04)
        yield Sign(
            "gradient_grows_with_steps",
            steady,
            f"over the first steps the gradient norm grew like the step count to the power "
            f"{gradient.growth_exponent:.2f}",
        )
    yield Sign("gradient_not_grown", soft(decades, 0.5, -0.06), change)
    high = soft(loss.fall, 0.9, -0.02)
    yield Sign(
        "gradient_gone", soft(decades, -2.3, -0.25) * high, f"{change}: a stationary point, with the loss still high"
    )
    yield Sign("gradient_shrunk", between(decades, -2.3, -0.25, 0.05) * high, f"{change} while the loss stayed high")
    yield Sign(
        "gradient_is_noise",
        soft(gradient.log_noise, 0.42, 0.03)
        * soft(gradient.log_noise_first / max(gradient.log_noise, 1e-9), 1.3, -0.1),
        f"the gradient norm scatters by a factor of {math.exp(min(gradient.log_noise, 99.0)):.2f} from step to step: "
        "what is left is the noise of a few parameters",
    )
    yield Sign("gradient_alike", between(decades, -0.15, 0.15, 0.03), f"{change}: unchanged")
    yield Sign(
        "gradient_risen", between(decades, 0.18, 1.0, 0.04) * high, f"{change}: the model is pulled harder, not less"
    )


def _blown_up(facts: Facts) -> bool:
    return facts.loss is not None and facts.loss.first > 0 and facts.loss.peak > 4 * facts.loss.first


def _layers(layers: LayerFacts, *, blown_up: bool) -> Iterator[Sign]:
    n = layers.count
    dead = layers.dead_from_start + layers.became_dead
    if layers.became_dead:
        yield Sign(
            "layers_died_after_blow_up" if blown_up else "layers_died",
            1.0,
            f"{layers.became_dead} of {n} layers got a gradient at first and get none now",
        )
    if layers.dead_from_start:
        yield Sign("layers_dead_from_start", 1.0, f"{layers.dead_from_start} of {n} layers never got a gradient")
    if not dead:
        yield Sign("layers_alive", 1.0, "every layer gets a gradient")
    ratio = layers.first_over_last
    if ratio is None or n < 2 or dead:
        return
    decades = math.log10(max(ratio, 1e-300))
    text = f"the first layer's gradient is {number(ratio)} times the last layer's"
    yield Sign("layers_vanish", soft(decades, -2.2, -0.25), text)
    yield Sign("layers_explode", soft(decades, 1.5, 0.15), text)
    yield Sign("layers_even", between(decades, -1.3, 1.3, 0.12), text)


def _actual_to_predicted(facts: Facts) -> Iterator[Sign]:
    promised, share = facts.predicted_in_errors, facts.actual_to_predicted
    if promised is None or share is None or facts.loss is None or facts.predicted_fall is None:
        return
    if facts.loss.fall < -1:
        return
    fall = f"learning rate x gradient norm squared promised a fall of {number(facts.predicted_fall)}"
    plain = soft(math.log10(max(promised, 1e-9)), 1.3, 0.15)
    yield Sign(
        "promise_below_noise",
        soft(math.log10(max(promised, 1e-9)), 0.65, -0.12),
        f"{fall}, which the noise of the loss hides: no optimiser could show progress at this rate",
    )
    yield Sign("promise_not_kept", plain * soft(abs(share), 0.03, -0.006), f"{fall}, and {share:.1%} of it came")
    if facts.loss.change is not None:
        steady = soft(facts.loss.change, 5.0, 0.6) * soft(facts.loss.late_change or 0.0, 1.5, 0.3)
        yield Sign(
            "promise_kept_in_small_part",
            plain * steady * between(share, 5e-4, 0.06, 0.004),
            f"{fall}; the loss falls steadily, but by only {share:.1%} of that",
        )
    yield Sign("promise_kept", plain * between(share, 0.15, 1.5, 0.04), f"{fall}, and {share:.0%} of it came")
