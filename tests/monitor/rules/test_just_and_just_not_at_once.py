"""For each parameter of the rules that speak at once a pair of runs to its two sides: one alarms, one does not."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import assess
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import falling, points
from monitor.rules.straddling import (
    EPOCHS,
    NOTHING,
    SQUARES,
    Pair,
    Run,
    Said,
    a_run,
    alarms_of,
    decay,
    found_any,
    noise,
    severe,
    still_open,
    wandering,
)
from monitor.rules.test_just_and_just_not import LN10, TEN, jump

C = Condition
DIVERGING, SPIKE = alarms_of(C.DIVERGING), alarms_of(C.LOSS_SPIKE)
EXPLODING, VANISHING = alarms_of(C.EXPLODING_GRADIENT), alarms_of(C.VANISHING_GRADIENT)
BROKEN = severe(C.NON_FINITE, 1)
PLANNED = Context(total_steps=400)


# --- diverging --------------------------------------------------------------------------------------------------------


def in_order_but(swaps: int, n: int) -> list[int]:
    """0 to n - 1, with so many neighbours swapped."""
    values = list(range(n))
    for i in range(swaps):
        values[2 * i], values[2 * i + 1] = values[2 * i + 1], values[2 * i]
    return values


def both_rise(rise: float, n: int = 10, order: list[int] | None = None) -> Run:
    train = [1 + rise * place / (n - 1) for place in order or range(n)]
    return a_run(train, EPOCHS, validation_loss=[loss + 0.3 for loss in train])


def steps_of(spread: float) -> Run:
    """Rises that grow by 1.5, now a little more and now a little less."""
    losses, rise = [1.0], 0.1
    for i in range(14):
        losses.append(losses[-1] + rise)
        rise *= 1.5 * (spread if i % 2 else 1 / spread)
    return a_run(losses)


def climbs(height: float, n: int, up: int, size: float = 0.01, seed: int = 1) -> Run:
    """Slow noise, that climbs over the last points."""
    return a_run(1 + wandering(n, size, seed) + height * np.clip((np.arange(n) - (n - up)) / up, 0, 1))


def back_up(share: float) -> Run:
    """From 3 to 1, and back up by a share of that."""
    down = 1 + 2 * decay(160, 20) + noise(160, 0.01)
    return a_run([*down, *(1 + 2 * share * np.arange(32) / 32 + noise(32, 0.01, 1))])


def lost(level: float) -> Run:
    """A level for a while, then above the start for the last third; single points scatter by far more."""
    levels = np.concatenate([np.full(16, 1.0), np.full(56, level), np.linspace(1.08, 1.03, 40)])
    return a_run(levels + 0.2 * (-1.0) ** np.arange(112) + noise(112, 0.003))


def is_certain(monitor: Monitor) -> bool:
    """Enough for a training loop to stop."""
    return any(f.condition is C.DIVERGING and f.confidence >= 0.99 for f in monitor.findings())


def foretells_overflow(monitor: Monitor) -> bool:
    return any("overflow_step" in f.evidence for f in monitor.findings() if f.condition is C.DIVERGING)


def meanwhile(losses: Iterable[float], held_out: Iterable[float]) -> Run:
    """A loss by the epoch, and the validation loss beside it."""
    return a_run(losses, EPOCHS, validation_loss=list(held_out))


ORDERLY = [1.0, *np.linspace(1.0, 1.8, 9)]
OF_DIVERGING = {
    "AloneParameters.blow_up_anyway": Pair(
        still_open(C.DIVERGING),
        lambda times: meanwhile([*[1.0] * 9, *np.linspace(1.0, times, 20)], np.linspace(3.0, 2.0, 29)),
        *(10.5, 9.5),
    ),
    "AloneParameters.orderly_gain": Pair(
        DIVERGING,
        lambda order: meanwhile(ORDERLY, [3.0 - 0.1 * place for place in order]),
        *([0, 2, 1, *range(3, 9), -1], [*range(9), -1]),  # 10 pairs out of order of 45: 1.4 %; 9: 0.8 %
    ),
    "AloneParameters.material_gain": Pair(
        DIVERGING, lambda gain: meanwhile(ORDERLY, np.linspace(3.0, 3.0 - 2 * gain * 3.0, 10)), 0.03, 0.07
    ),
    "FewParameters.few_points": Pair(DIVERGING, lambda n: a_run([1.0] * n + [1100.0] * 3), 35, 45),
    "FewParameters.jump": Pair(DIVERGING, jump, 1010.0, 990.0),
    "FewParameters.jump_stays": Pair(DIVERGING, lambda now: a_run([1.0, 0.9, 1.0, 0.9, 1.0, 2000.0, now]), 110.0, 90.0),
    "FewParameters.unspoken_points": Pair(DIVERGING, lambda n: a_run([1.0] * (n - 1) + [2000.0]), 4, 5),
    "FewParameters.two_rises": Pair(DIVERGING, lambda rise: a_run([1.0, 1.0, 1.0, rise, max(60.0, rise**2)]), 5.5, 4.5),
    "FewParameters.two_rises_total": Pair(DIVERGING, lambda total: a_run([1.0, 1.0, 1.0, total**0.5, total]), 60, 42),
    "FewParameters.total_rise": Pair(
        DIVERGING,
        lambda rise: a_run([1.02, 1.03, 1.01, 1.02, 1.01, 1.0, *(1 + rise * i / 6 for i in range(1, 7))], EPOCHS),
        0.6,
        0.4,
    ),
    "FewParameters.monotone_share": Pair(
        DIVERGING,
        lambda n: a_run([1.9, *[1.0] * (n - 9), *(1 + 0.15 * place for place in in_order_but(2, 8))], EPOCHS),
        12,
        16,
    ),
    "FewParameters.doubling_share": Pair(DIVERGING, lambda bent: a_run([1.0, 2.0 - bent, 4.0, 8.0], EPOCHS), 0.05, 0.2),
    "FewParameters.doubling_total": Pair(
        DIVERGING, lambda factor: a_run([1.0, factor, factor**2, factor**3], EPOCHS), 1.73, 1.69
    ),
    "FewParameters.doubling_points": Pair(
        DIVERGING, lambda n: a_run([*[1.0] * (n - 3), 2.0, 4.0, 8.0], EPOCHS), 16, 17
    ),
    "FewParameters.above_scatter": Pair(
        DIVERGING,
        lambda factor: a_run([1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 3.1, 3.3, 3.8, factor * 3.0], SQUARES),
        20.0,
        5.0,
    ),
    "FewParameters.risen_share": Pair(
        DIVERGING, lambda low: a_run([1.0, low, 1.0, low, 2.2, 2.3, 2.2, 2.3], EPOCHS), 0.62, 0.6
    ),
    "FewParameters.risen": Pair(DIVERGING, lambda level: a_run([1.0] * 6 + [level] * 6, EPOCHS), 2.2, 1.8),
    "FewParameters.risen_points": Pair(DIVERGING, lambda n: a_run([1.0] * 4 + [2.2] * n, EPOCHS), 4, 3),
    "FewParameters.rise_of_both": Pair(DIVERGING, both_rise, 0.075, 0.055),
    "FewParameters.significance_of_both": Pair(
        DIVERGING, lambda n: both_rise(0.2, n, [2, 1, 0, *range(3, 10)] if n == 10 else None), 10, 7
    ),
    "Diverging.fell": Pair(DIVERGING, lambda times: a_run([2e7] + [2e7 / times] * 30, TEN), 12, 8),
    "Diverging.ladder_sds": Pair(DIVERGING, lambda height: climbs(height, 512, 160, 0.03, 2), 0.8, 0.5),
    "Diverging.fine_ladder_sds": Pair(DIVERGING, lambda height: climbs(height, 160, 64), 0.35, 0.2),
    "Diverging.lost_progress": Pair(DIVERGING, back_up, 0.6, 0.45),
    "Diverging.learned": Pair(DIVERGING, lost, 0.6, 0.75),
    "Diverging.relative_rise": Pair(
        DIVERGING,
        lambda rise: a_run([*(1 + noise(160, 0.0005)), *(1 + rise * np.arange(96) / 96 + noise(96, 0.0005, 1))]),
        0.13,
        0.08,
    ),
    "Diverging.steady_spread": Pair(foretells_overflow, steps_of, 1.05, 1.1),
    "Diverging.blow_up": Pair(
        is_certain,
        lambda times: a_run([1, 0.9, 1.1, 1, 0.9, 1, 0.9, 1, 1.5, 3, 5, 10, 20, 25, 40, 60, times]),
        115.0,
        85.0,
    ),
    "Diverging.unbounded": Pair(
        DIVERGING, lambda times: a_run([*(1 - times * np.geomspace(1e-9, 1, 100)), *[1 - times] * 12]), 1.1e6, 0.9e6
    ),
}


# --- spikes -----------------------------------------------------------------------------------------------------------


def settled(n: int = 200, size: float = 0.01) -> list[float]:
    return [*falling(60, start=3, floor=1, noise=0.01), *(1 + noise(n - 60, size))]


def outlier(sds: float, n: int = 200) -> Run:
    return a_run([*settled(n), 1 + 0.01 * sds, *(1 + noise(6, 0.01, 2))])


def among_others(height: float) -> Run:
    """Every seventh loss stands out by 0.12."""
    losses = np.array(settled())
    losses[100::7] += 0.12
    return a_run([*losses, 1 + height, *(1 + noise(6, 0.01, 2))])


def above_a_low_tail(height: float) -> Run:
    """Losses that are often far below their usual level, never far above it."""
    low = 0.1 * np.exp(-2.0 * np.abs(np.random.default_rng(3).normal(size=200)))
    return a_run([*falling(60, start=3, floor=0.1, noise=0.1), *low, height, *low[:6]])


def step_up(start: float, level: float, peak: float) -> Run:
    """From ``start`` to a level where it rests; then 5 points higher, and back."""
    down = np.geomspace(start, level, 60)
    return a_run([*down, *(level + noise(200, 0.0005)), *[peak] * 5, *(level + noise(6, 0.0005, 2))])


def after_a_restart(points_before: int) -> Run:
    """A jump so many points after a schedule of the learning rate began anew."""
    falls = 200 - points_before
    rates = [*np.geomspace(0.1, 0.001, falls), *[0.1] * (208 - falls)]
    return a_run([*(1 + noise(200, 0.01)), *[1.5] * 4, *(1 + noise(4, 0.01, 2))], learning_rate=rates)


def spikes_told(count: int) -> Said:
    return lambda monitor: (
        count == max((f.evidence["spikes"] for f in monitor.findings() if f.condition is C.LOSS_SPIKE), default=0)
    )


HEAVY = 1 + 0.01 * np.random.default_rng(5).standard_t(3, size=260)
FEW = [1.0, 0.98, 1.01, 0.99, 1.0, 0.97, 5.0, 1.0]
OF_SPIKES = {
    "LossSpike.sds": Pair(found_any(C.LOSS_SPIKE), outlier, 11.5, 8.5),
    "LossSpike.excess": Pair(found_any(C.LOSS_SPIKE), among_others, 0.22, 0.18),
    "LossSpike.raw_sds": Pair(found_any(C.LOSS_SPIKE), above_a_low_tail, 0.6, 0.4),
    "LossSpike.warmup": Pair(
        found_any(C.LOSS_SPIKE), lambda n: a_run([*(1 + noise(n, 0.01)), 1.5, *(1 + noise(6, 0.01, 2))]), 44, 36
    ),
    "LossSpike.early_points": Pair(
        found_any(C.LOSS_SPIKE), lambda n: a_run([*0.99 ** np.arange(n), 5.0, 1.0], EPOCHS), 4, 3
    ),
    "LossSpike.early_share": Pair(
        SPIKE, lambda low: a_run([1.0, 1.02, 1.0, 1.01, low, 1.0, 0.99, 5.0, 1.0], EPOCHS), 0.6, 0.53
    ),
    "LossSpike.early_stride": Pair(
        found_any(C.LOSS_SPIKE),
        lambda stride: ([Point(stride * i, loss=loss) for i, loss in enumerate(FEW)], NOTHING),
        12,
        8,
    ),
    "LossSpike.early_jump": Pair(
        found_any(C.LOSS_SPIKE), lambda times: a_run([1.0, 0.98, 0.95, 0.99, 0.97, 0.95, times, 0.9]), 1100.0, 900.0
    ),
    "LossSpike.least_rise": Pair(
        SPIKE,
        lambda rise: a_run([*(1 + noise(100, 0.001)), *[1 + rise] * 3, *(1 + noise(6, 0.001, 2))]),
        0.12,
        0.08,
    ),
    "LossSpike.least_undone": Pair(SPIKE, lambda share: step_up(1.2, 1.0, 1 + 0.2 * share), 0.36, 0.26),
    "LossSpike.least_of_level": Pair(SPIKE, lambda rise: step_up(1.06, 1.0, 1 + rise), 0.056, 0.044),
    "LossSpike.least_of_progress": Pair(SPIKE, lambda share: step_up(8.3, 0.3, 0.3 + 8 * share), 0.06, 0.04),
    "LossSpike.record": Pair(SPIKE, lambda times: step_up(4.02, 0.02, 0.02 * times), 3.5, 2.5),
    "LossSpike.certain_sds": Pair(
        SPIKE, lambda sds: a_run([*(1 + noise(60, 0.01)), 1 + 0.01 * sds, *(1 + noise(6, 0.01, 2))]), 26, 18
    ),
    "LossSpike.restart_points": Pair(SPIKE, after_a_restart, 8, 3),
    "LossSpike.lasting": Pair(
        SPIKE,
        lambda n: a_run([*falling(60, start=3, floor=1, noise=0.01), *HEAVY, *[1.25] * n, *(1 + noise(8, 0.01, 2))]),
        4,
        2,
    ),
    "LossSpike.recovered_after": Pair(
        spikes_told(1), lambda n: a_run([*settled(), 5.0, *(1 + noise(n, 0.01, 2)), 15.0]), 2, 4
    ),
    "LossSpike.gives_up_after": Pair(
        spikes_told(1),
        lambda n: a_run([*settled(), *(1.3 + noise(n, 0.01, 4)), 3.0, *(1.3 + noise(3, 0.01, 2))]),
        180,
        230,
    ),
}


# --- gradients --------------------------------------------------------------------------------------------------------


def broken_gradients(count: int, at: int = 30) -> Run:
    return a_run(falling(60), grad_norm=[math.inf if at <= i < at + count else 1.0 for i in range(60)])


def broken_every(points_apart: int) -> Run:
    norms = [math.inf if i % points_apart == points_apart - 1 else 1.0 for i in range(400)]
    return a_run(falling(400), grad_norm=norms)


def loss_scale(low: float, high: float = 2.0**16) -> Run:
    scales = [high] * 30 + [low] * 30
    return [p._replace(metrics={"loss_scale": s}) for p, s in zip(points(falling(60)), scales, strict=True)], NOTHING


def norms(late: float) -> Run:
    return a_run(falling(300), grad_norm=[*(1 + noise(200, 0.1)), *(late + noise(100, 0.1))])


def gone_and_back(share: float, losses: list[float] | None = None, high: int = 0) -> Run:
    """The norm falls from 100, after so many norms of 1000, to 0.01, and comes back to a share of 100."""
    series = [1000.0] * high + [100.0] * (40 - high)
    series += [*np.geomspace(100, 0.01, 60), *[0.01] * 100, *[100 * share] * 100]
    return a_run(losses or falling(300), grad_norm=series)


def gains(share: float) -> Run:
    """Unscaled inputs, of which that share of the loss is gone soon."""
    return a_run([1000.0] * 8 + [1000 * (1 - share)] * 60, SQUARES, grad_norm=[2e5] * 8 + [1.0] * 60)


def first_layer(ratio: float = 1e-5, losses: object = None, context: Context = TEN) -> Run:
    """The first layer gets that share of the last one's gradient; at chance level, where nothing else is said."""
    series = list(losses if losses is not None else LN10 + noise(400, 0.02))  # type: ignore[call-overload]
    run = points(series, grad_norm=[0.3] * len(series))
    return [p._replace(layers={"a": ratio, "b": 1.0}) for p in run], context


OF_GRADIENTS = {
    "NonFiniteLoss.stays_after": Pair(
        lambda monitor: assess(monitor).action == "stop", lambda n: a_run([*falling(30), *[math.nan] * n]), 4, 2
    ),
    "NonFiniteGradient.warning_consecutive": Pair(BROKEN, broken_gradients, 4, 2),
    "NonFiniteGradient.critical_consecutive": Pair(severe(C.NON_FINITE, 2), broken_gradients, 11, 9),
    "NonFiniteGradient.warning_share": Pair(BROKEN, broken_every, 18, 34),
    "NonFiniteGradient.scaler_start": Pair(BROKEN, lambda at: broken_gradients(4, at), 14, 12),
    "NonFiniteGradient.least_scale": Pair(BROKEN, loss_scale, 0.8, 1.2),
    "NonFiniteGradient.scale_fall": Pair(BROKEN, lambda times: loss_scale(0.5, 0.5 * times), 1100.0, 900.0),
    "ExplodingGradient.warning_ratio": Pair(EXPLODING, norms, 33.0, 27.0),
    "ExplodingGradient.critical_ratio": Pair(severe(C.EXPLODING_GRADIENT, 2), norms, 1100.0, 900.0),
    "ExplodingGradient.warmup": Pair(EXPLODING, lambda count: gone_and_back(0.36, high=count), 12, 20),
    "ExplodingGradient.near_the_start": Pair(EXPLODING, gone_and_back, 0.36, 0.24),
    "ExplodingGradient.harmed": Pair(
        EXPLODING,
        lambda level: gone_and_back(0.02, [*(1 + noise(200, 0.02)), *(level + noise(100, 0.02))]),
        1.13,
        1.07,
    ),
    "ExplodingGradient.recovered_share": Pair(still_open(C.EXPLODING_GRADIENT), gains, 0.97, 0.995),
    "ExplodingGradient.stays": Pair(
        EXPLODING,
        lambda left: a_run([200.0, 200.0, 195.0, 190.0, *[200 * left] * 30], SQUARES, grad_norm=[2e4] * 34),
        0.66,
        0.54,
    ),
    "ExplodingGradient.large_inputs": Pair(
        EXPLODING, lambda size: a_run([200.0] * 34, SQUARES, grad_norm=[2 * size * 200**0.5] * 34), 330, 270
    ),
    "ExplodingGradient.above_chance": Pair(
        EXPLODING, lambda times: a_run([LN10 * times] * 8 + falling(30), TEN, grad_norm=[1.0] * 38), 6.5, 5.5
    ),
    "ExplodingGradient.scatters": Pair(
        EXPLODING,
        lambda part: a_run([2000.0, 2000.0 * (1 + part)] * 30, TEN, grad_norm=[1000.0] * 60),
        0.12,
        0.08,
    ),
    "ExplodingGradient.scaled": Pair(
        EXPLODING,
        lambda times: a_run([LN10 * times, 1.2 * LN10 * times] * 30, TEN, grad_norm=[1000.0] * 60),
        8000,
        10000,
    ),
    "VanishingGradient.least_points": Pair(
        VANISHING,
        lambda n: a_run([*falling(60 - n, start=1.0, floor=0.2), *[0.2] * n], grad_norm=[1.0] * (60 - n) + [0.0] * n),
        20,
        12,
    ),
    "VanishingGradient.least_share": Pair(
        VANISHING,
        lambda share: first_layer(losses=np.linspace(1, 1 - share, 125) + noise(125, 0.001), context=PLANNED),
        0.04,
        0.06,
    ),
    "VanishingGradient.learned": Pair(
        VANISHING,
        lambda share: first_layer(losses=LN10 * (np.linspace(1, 1 - share, 125) + noise(125, 0.001))),
        0.01,
        0.03,
    ),
    "VanishingGradient.layer_ratio": Pair(VANISHING, first_layer, 0.8e-3, 1.25e-3),
    "VanishingGradient.total_ratio": Pair(
        VANISHING,
        lambda ratio: a_run(LN10 + noise(400, 0.02), TEN, grad_norm=[1.0] * 200 + [ratio] * 200),
        0.8e-4,
        1.25e-4,
    ),
    "VanishingGradient.excluded": Pair(
        VANISHING, lambda size: first_layer(losses=1 + noise(400, size), context=PLANNED), 0.4, 0.5
    ),
    "VanishingGradient.patience": Pair(
        VANISHING, lambda n: first_layer(losses=(LN10 + noise(400, 0.02))[:n]), 140, 100
    ),
}

PAIRS: dict[str, Pair] = {**OF_DIVERGING, **OF_SPIKES, **OF_GRADIENTS}


@pytest.mark.slow
@pytest.mark.parametrize("parameter", PAIRS)
def test_a_run_beyond_the_limit_is_told_of_and_one_short_of_it_is_not(parameter: str) -> None:
    assert PAIRS[parameter].holds()
