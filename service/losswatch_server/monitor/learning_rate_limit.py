"""From the speed of a divergence to the largest stable learning rate, and to the step at which the loss overflows.

Gradient descent on a quadratic with sharpness s (the largest eigenvalue of the Hessian) multiplies the error along
the sharpest direction by 1 - lr s each step. Beyond the limit that factor is -rho with rho > 1, the excess loss
grows as rho**(2 t), and the growth itself tells lr s:

    plain SGD    lr s = 1 + rho                              limit = 2 / s
    heavy ball   lr s = (1 + rho) (rho + mu) / rho           limit = 2 (1 + mu) / s
    Nesterov     lr s = 1 + rho**2 / ((1 + mu) rho + mu)     limit = (2 + 2 mu) / ((1 + 2 mu) s)

These are the characteristic polynomials of the three recursions at the root -rho (Polyak 1964; Sutskever et al. 2013
for the form of Nesterov's method that PyTorch and Keras use). Ratios of successive loss *differences* are used, not
of losses: the floor cancels, and a negative loss does no harm.

On random quadratics of 20 dimensions the error of the limit is one-sided: 0 to +36 % from 6 points at five times
the limit, 0 to +11 % from 10. Hence the intervals. It holds only while the ratio is constant (largest / smallest of
at least three <= 1.15): deep networks far above the limit blow up faster than exponentially, and Adam's loss grows
like a power of the step; then a range is all that can be said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

STEADY_SPREAD = 1.15
"""Largest over smallest difference ratio up to which the growth counts as geometric."""

LARGEST = {"fp32": 3.4028234663852886e38, "bf16": 3.3895313892515355e38, "fp16": 65504.0, "fp64": 1.797e308}
"""The largest finite value of each precision."""

_PRECISIONS = {
    "float32": "fp32",
    "32": "fp32",
    "tf32": "fp32",
    "float16": "fp16",
    "half": "fp16",
    "16": "fp16",
    "bfloat16": "bf16",
    "float64": "fp64",
    "double": "fp64",
    "64": "fp64",
}

_GEOMETRIC_OPTIMIZERS = ("sgd", "momentum", "heavy_ball", "heavyball", "nesterov", "gd", "gradient_descent")


@dataclass(frozen=True, slots=True, kw_only=True)
class StabilityLimit:
    """What the growth says about the learning rate. ``factor``s multiply the present rate, known or not."""

    geometric: bool
    """True: growth at a constant ratio, so the formulas hold. False: only the interval is meant."""
    rho: float | None
    """Growth of the error along the sharpest direction, per optimiser step."""
    learning_rate_times_sharpness: float | None
    factor: float
    """Stable limit divided by the present learning rate."""
    factor_interval: tuple[float, float]
    recommended_factor: float
    """Half the limit where the formulas hold, else a tenth of the present rate."""
    learning_rate: float | None = None
    reason: str = ""

    @property
    def learning_rate_limit(self) -> float | None:
        """The largest stable learning rate, None when the present one is unknown."""
        return None if self.learning_rate is None else self.learning_rate * self.factor

    @property
    def interval(self) -> tuple[float, float] | None:
        """Bounds of the limit, None when the present learning rate is unknown."""
        if self.learning_rate is None:
            return None
        low, high = self.factor_interval
        return self.learning_rate * low, self.learning_rate * high

    @property
    def recommended_learning_rate(self) -> float | None:
        """A rate to try next, None when the present one is unknown."""
        return None if self.learning_rate is None else self.learning_rate * self.recommended_factor


def grows_geometrically(optimizer: str | None) -> bool | None:
    """Whether this optimiser diverges exponentially on a quadratic; None when it is not known."""
    if optimizer is None:
        return None
    name = optimizer.lower().replace("-", "_").replace(" ", "_")
    return name in _GEOMETRIC_OPTIMIZERS or name.startswith("sgd")


def difference_ratios(losses: Sequence[float]) -> list[float]:
    """Ratios of successive differences, newest last; a pair without growth gives NaN."""
    steps = [b - a for a, b in pairwise(losses)]
    return [
        after / before if before > 0 and after > 0 and math.isfinite(after) else math.nan
        for before, after in pairwise(steps)
    ]


def spread(ratios: Sequence[float]) -> float:
    """Largest over smallest of the ratios; infinite when one is NaN or there is none."""
    if not ratios or any(math.isnan(r) or r <= 0 for r in ratios):
        return math.inf
    return max(ratios) / min(ratios)


def limit_from_growth(
    loss_ratio_per_point: float,
    learning_rate: float | None = None,
    momentum: float | None = None,
    nesterov: bool | None = None,
    steps_per_point: int | None = None,
    *,
    points: int = 10,
    ratio_spread: float = 1.0,
    optimizer: str | None = None,
    full_batch: bool | None = None,
) -> StabilityLimit | None:
    """The stable learning rate that a growth ratio implies.

    ``loss_ratio_per_point``: ratio of successive loss differences, per logged point (or the square of the ratio of
    successive gradient norms). ``steps_per_point``: optimiser steps between points. ``points``: how many points the
    growth was seen over. ``ratio_spread``: largest over smallest of those ratios. None when nothing grew.
    """
    if not (math.isfinite(loss_ratio_per_point) and loss_ratio_per_point > 1):
        return None
    rate = learning_rate if learning_rate is not None and 0 < learning_rate < math.inf else None
    mu = momentum or 0.0
    if not 0 <= mu < 1:
        return None
    rho = loss_ratio_per_point ** (1 / (2 * max(1, steps_per_point or 1)))
    product, factor = _product_and_factor(rho, mu, bool(nesterov))
    if grows_geometrically(optimizer) is False:
        return StabilityLimit(
            geometric=False,
            rho=None,
            learning_rate_times_sharpness=None,
            factor=1 / 3,
            factor_interval=(0.1, 1 / 3),
            recommended_factor=0.1,
            learning_rate=rate,
            reason=f"{optimizer} bounds its own step, so its growth does not reveal the limit: "
            "only a range can be given",
        )
    if ratio_spread > STEADY_SPREAD:
        return StabilityLimit(
            geometric=False,
            rho=rho,
            learning_rate_times_sharpness=None,
            factor=1 / 3,
            factor_interval=(min(max(factor, 0.01), 1 / 3), 1 / 3),
            recommended_factor=0.1,
            learning_rate=rate,
            reason="the growth is not at a constant rate, so the network is not near its stable limit: "
            "only a range can be given",
        )
    low = factor * (0.9 if points >= 10 else 0.75)
    reason = ""
    if mu and not full_batch:
        # with small batches the edge moves from 2 (1 + mu) / s towards 2 (1 - mu) / s (arXiv 2604.14108)
        low *= (1 - mu) / (1 + mu)
        reason = "with momentum and small batches the limit may be lower: the interval's lower end is that bound"
    if momentum is None:
        reason = "no momentum is known; with momentum the limit would be higher, so this errs on the safe side"
    return StabilityLimit(
        geometric=True,
        rho=rho,
        learning_rate_times_sharpness=product,
        factor=factor,
        factor_interval=(low, factor),
        recommended_factor=0.5 * factor,
        learning_rate=rate,
        reason=reason,
    )


def _product_and_factor(rho: float, mu: float, nesterov: bool) -> tuple[float, float]:
    """Learning rate times sharpness, and the limit divided by the learning rate."""
    if mu and nesterov:
        product = 1 + rho * rho / ((1 + mu) * rho + mu)
        return product, (2 + 2 * mu) / (1 + 2 * mu) / product
    product = (1 + rho) * (rho + mu) / rho
    return product, 2 * (1 + mu) / product


def largest_finite(precision: str | None) -> float:
    """The largest finite number of a precision; float32's when it is unknown."""
    name = (precision or "fp32").lower()
    for prefix in ("mixed_", "torch."):
        name = name.removeprefix(prefix)
    for suffix in ("-mixed", "-true"):
        name = name.removesuffix(suffix)
    return LARGEST.get(_PRECISIONS.get(name, name), LARGEST["fp32"])


def overflow_step(
    step: float,
    loss: float,
    ratio_per_step: float,
    precision: str | None = None,
    terms: int | None = None,
) -> tuple[int, int] | None:
    """When a loss that grows by ``ratio_per_step`` exceeds the largest finite number: (early, late), rounded steps.

    Early: the sum over the ``terms`` samples of a batch overflows inside the mean (32 when not known, the usual
    default batch); late: the mean itself does. None when the loss does not grow.
    """
    if not (math.isfinite(loss) and loss > 0 and math.isfinite(ratio_per_step) and ratio_per_step > 1):
        return None
    speed = math.log(ratio_per_step)
    room = math.log(largest_finite(precision)) - math.log(loss)
    late = step + max(room, 0.0) / speed
    early = step + max(room - math.log(max(1, terms or 32)), 0.0) / speed
    if late > 2**53:
        return None
    return round(early), round(late)
