"""For each parameter of the rules that wait a pair of runs to its two sides: one alarms, the other does not."""

from __future__ import annotations

import numpy as np
import pytest

from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import flat
from monitor.rules.straddling import (
    SQUARES,
    Pair,
    Run,
    a_run,
    alarms_of,
    decay,
    every,
    found_any,
    noise,
    squares_until,
)
from monitor.rules.test_just_and_just_not import (
    LN10,
    TEN,
    at_share_of_chance,
    blown_up,
    floor_of_chance,
    left_behind,
    line,
    risen,
    settled,
)

C = Condition
OSCILLATES = alarms_of(C.OSCILLATION)
STUCK, PLATEAU, SLOW = alarms_of(C.NOT_LEARNING), alarms_of(C.PLATEAU), alarms_of(C.SLOW_CONVERGENCE)
CONVERGED = found_any(C.CONVERGED)
FOUR_HUNDRED = squares_until(400)


# --- oscillation ------------------------------------------------------------------------------------------------------


def alternating(n: int, share: float, size: float, total: int = 0) -> Run:
    """From 1 to 0.9, and up and down by a share of that."""
    losses = 0.9 * (1 + share * (-1.0) ** np.arange(400 - 4)) + noise(400 - 4, size)
    return a_run([1.0] * 4 + list(losses[: n - 4]), squares_until(total or n))


def alternating_at(level: float, start: float = 1.0, context: Context | None = None) -> Run:
    losses = level * (1 + 0.2 * (-1.0) ** np.arange(232) + noise(232, 0.02))
    return a_run([start] * 8 + list(losses), context or squares_until(240))


def periodic(size: float) -> Run:
    wave = 0.15 * np.sin(2 * np.pi * np.arange(292) / 20)
    return a_run([1.0] * 8 + list(0.6 * (1 + wave + noise(292, size))), squares_until(300))


def periodic_fall(size: float) -> Run:
    wave = 0.15 * np.sin(2 * np.pi * np.arange(300) / 20)
    return a_run(decay(300, 100) * (1 + wave + noise(300, size)), SQUARES)


def periodic_at(gain: float) -> Run:
    wave = 0.3 * np.sin(2 * np.pi * np.arange(350) / 20)
    return a_run([1.0] * 50 + list((1 - gain) * (1 + wave)), FOUR_HUNDRED)


def swinging(height: float, size: float = 0.01) -> Run:
    wave = height * np.sin(2 * np.pi * np.arange(798) / 125)
    return a_run([1.2, 1.2, *(0.8 + wave + noise(798, size))], squares_until(800))


def with_a_schedule(times: float) -> Run:
    """Swings that the learning rate takes part in: it goes up and down by a factor."""
    wave = np.sin(np.arange(800) / 20)
    losses = 0.8 + 0.35 * wave + noise(800, 0.01)
    rates = 0.1 * (1 + (times - 1) * (1 + wave) / 2)
    return a_run([1.2, 1.2, *losses[2:]], squares_until(800), learning_rate=rates)


def leaps(seed: int) -> Run:
    """Every 25 steps another level: one of these comes back like a swing, another does not."""
    levels = np.repeat(np.random.default_rng(seed).normal(size=33), 25)[:800]
    return a_run([1.2, 1.2, *(0.8 * np.exp(0.5 * levels) + noise(800, 0.01))[2:]], squares_until(4300))


def swings_after(quiet: int, n: int) -> Run:
    wave = 0.4 * np.sin(2 * np.pi * np.arange(2600 - quiet) / 60) + noise(2600 - quiet, 0.03, 1)
    return a_run([*[1.2, 1.2], *(0.8 + noise(quiet - 2, 0.03)), *(0.8 + wave)][:n], squares_until(2600))


def square_wave_at(gain: float) -> Run:
    """Swings without any noise."""
    wave = np.sign(np.sin(2 * np.pi * np.arange(792) / 100 + 0.3))
    return a_run([1.0] * 8 + list((1 - gain) * (1 + 0.45 * wave) + noise(792, 1e-5)), squares_until(800))


CLASSES_240 = Context(loss_name="cross_entropy", num_classes=10, total_steps=240)
OF_SWINGS = {
    "Oscillation.least_points": Pair(OSCILLATES, lambda n: alternating(n, 0.1, 0.02), 34, 30),
    "Oscillation.lag1": Pair(OSCILLATES, lambda ratio: alternating(400, 0.03 * ratio, 0.027), 1.1, 0.8),
    "Oscillation.amplitude": Pair(OSCILLATES, swinging, 0.16, 0.11),
    "Oscillation.wider_than_noise": Pair(OSCILLATES, lambda size: swinging(0.35, size), 0.4, 0.6),
    "Oscillation.period_correlation": Pair(OSCILLATES, periodic, 0.06, 0.17),
    "Oscillation.certain_correlation": Pair(OSCILLATES, periodic_fall, 0.02, 0.06),
    "Oscillation.learned": Pair(OSCILLATES, periodic_at, 0.97, 0.995),
    "Oscillation.peak": Pair(OSCILLATES, leaps, 0, 5),
    "Oscillation.rate_rise": Pair(OSCILLATES, with_a_schedule, 1.1, 1.7),
    "Oscillation.hold": Pair(OSCILLATES, lambda n: swings_after(700, n), 1900, 1650),
    "Oscillation.hold_points": Pair(OSCILLATES, lambda run: swings_after(*run), (500, 900), (700, 1300)),
    "Oscillation.bad_share_of_chance": Pair(
        OSCILLATES, lambda share: alternating_at(LN10 * share, LN10, CLASSES_240), 0.5, 0.33
    ),
    "Oscillation.bad_gain": Pair(OSCILLATES, lambda gain: alternating_at(1 - gain), 0.4, 0.6),
    "Oscillation.bad_gain_smooth": Pair(OSCILLATES, square_wave_at, 0.7, 0.95),
    "Oscillation.patience": Pair(OSCILLATES, lambda n: alternating(n, 0.1, 0.02, 400), 70, 50),
}


# --- flat runs --------------------------------------------------------------------------------------------------------

LINEAR = ModelFacts(hidden_activations=("linear",))


def stated(total: int) -> Context:
    """The client says that the model is linear."""
    return Context(loss_name="mse", total_steps=total, facts=LINEAR)


def constant(n: int) -> Run:
    return a_run([1.5] * n, Context(step_unit="epoch", loss_name="mse", total_steps=n))


def dips_since_the_middle(share: float) -> Run:
    levels = np.concatenate([np.full(40, 1.0), np.full(300, share), np.full(60, 0.995)])
    return a_run(LN10 * levels + noise(400, 0.004), TEN)


def chance_of(size: float) -> Run:
    context = Context(loss_name="cross_entropy", num_classes=10, total_steps=60)
    return a_run(LN10 + noise(60, size, 1), context)


def below_chance_from_the_start(share: float) -> Run:
    """Begins at 0.6 of chance level, blows up, and comes back to a share of it."""
    context = Context(loss_name="cross_entropy", num_classes=10, total_steps=200)
    return a_run([0.6 * LN10, *[50.0] * 3, *(LN10 * share + noise(196, 0.02))], context)


def at_once(n: int, level: float = 0.75) -> Run:
    return a_run([1.0, 0.9, 0.8, *(level + noise(n - 3, 0.004))], squares_until(n))


def down_to(level: float, *, span: float = 20.0, size: float = 0.004, context: Context = FOUR_HUNDRED) -> Run:
    n = context.total_steps or 400
    return a_run(level + (1 - level) * decay(n, span) + noise(n, size), context)


def down_and_on(fall: float, size: float) -> Run:
    """Down to 0.7 at once, then slowly on."""
    return a_run(0.7 + 0.3 * decay(400, 5) - fall * np.arange(400) / 400 + noise(400, size), FOUR_HUNDRED)


def skewed_floor(size: float) -> Run:
    floor = 0.09 - size + size * np.random.default_rng(0).exponential(size=40)
    return a_run([1.0] * 8 + list(floor), Context(total_steps=48))


def to_the_digits(distance: float) -> Run:
    """Eight epochs near chance level, farthest at the first."""
    context = Context(loss_name="cross_entropy", num_classes=10, step_unit="epoch")
    return a_run(LN10 * (1 + distance * (-1.0) ** np.arange(8) * (1 - 0.01 * np.arange(8))), context)


def shrinking(span: float) -> Run:
    """A thousandth of the start is left, and goes on falling by the same factor."""
    return a_run([1.0] * 20 + [0.3] * 130 + list(0.001 * decay(190, span)), Context(total_steps=340))


def blown(level: object, n: int) -> Run:
    return a_run([1.0, 9.0, 9.0, 9.0, *level], squares_until(n))  # type: ignore[misc]


def with_dips(low: float) -> Run:
    """Blown up, and back at its start but for two points in five."""
    return blown(np.tile([low, 1.1, low, 1.1, 1.1], 32) + noise(160, 0.01), 164)


def held_since(start: int, n: int, total: int | None = None) -> Run:
    """A floor of 0.7 from a point on."""
    losses = [*np.linspace(1.0, 0.7, start), *(0.7 + noise(n - start, 0.004))]
    return a_run(losses, Context(loss_name="mse", total_steps=total))


def lost_and_falling(lost: float) -> Run:
    """Down to 0.5, at once back up by that share of the way, and slowly down by a tenth of it."""
    back = 0.5 + 1.5 * lost - 0.15 * np.arange(460) / 460
    losses = np.concatenate([0.5 + 1.5 * decay(140, 14), back]) + noise(600, 0.01)
    return a_run(losses, Context(total_steps=600))


def noisily_lost(size: float) -> Run:
    """Seven tenths of the way back up."""
    up = 0.5 + 1.05 * np.clip(np.arange(300) / 100, 0, 1)
    return a_run(9 + np.concatenate([0.5 + 1.5 * decay(300, 30), up]) + noise(600, size))


def lost_after(n: int, stride: int = 1) -> Run:
    """Half of the run down, the other half up again."""
    half = n // 2
    losses = np.concatenate([0.5 + 1.5 * decay(half, half / 5), np.full(n - half, 1.5)]) + noise(n, 0.01)
    return every(stride, a_run(losses, Context(total_steps=n * stride)))


OF_FLAT_RUNS = {
    "FlatParameters.least_points": Pair(STUCK, constant, 8, 7),
    "FlatParameters.coarse_digits": Pair(STUCK, lambda value: a_run([value] * 20), 7.9712, 7.971),
    "FlatParameters.plain_points": Pair(STUCK, lambda n: every(9, a_run(1.0 + noise(n, 0.02), SQUARES)), 41, 36),
    "FlatParameters.floor_points": Pair(PLATEAU, lambda n: (every(6, at_once(n))[0], squares_until(6 * n)), 26, 22),
    "FlatParameters.few_floor_points": Pair(
        PLATEAU, lambda n: (at_once(n)[0], Context(loss_name="mse", step_unit="epoch", total_steps=n)), 11, 9
    ),
    "FlatParameters.chance_margin": Pair(STUCK, at_share_of_chance, 0.985, 0.975),
    "FlatParameters.chance_margin_since": Pair(STUCK, dips_since_the_middle, 0.975, 0.96),
    "FlatParameters.exactly": Pair(STUCK, to_the_digits, 2.6e-4, 3.6e-4),
    "FlatParameters.shrinks": Pair(CONVERGED, shrinking, 200, 120),
    "FlatParameters.level_sds": Pair(STUCK, chance_of, 0.3, 0.5),
    "FlatParameters.risen": Pair(STUCK, risen, 0.2, 0.3),
    "FlatParameters.learned_before": Pair(STUCK, below_chance_from_the_start, 0.75, 0.65),
    "FlatParameters.bad_share_of_chance": Pair(PLATEAU, floor_of_chance, 0.97, 0.95),
    "FlatParameters.slow_share_of_chance": Pair(
        SLOW, lambda end: a_run(line(1.03 * LN10, end * LN10), TEN), 0.97, 0.95
    ),
    "FlatParameters.far_share_of_chance": Pair(
        SLOW,
        lambda end: a_run(LN10 * (end + (1.06 - end) * decay(400, 130)) + noise(400, 0.003), TEN),
        0.983,
        0.975,
    ),
    "FlatParameters.untrained_share_of_chance": Pair(
        SLOW, lambda ends: a_run(line(*(LN10 * end for end in ends), size=0.005), TEN), (1.01, 0.97), (0.985, 0.965)
    ),
    "FlatParameters.late_t": Pair(
        SLOW, lambda size: a_run(np.linspace(1, 0.85, 120) + noise(120, size, 2), squares_until(120)), 0.1, 0.15
    ),
    "FlatParameters.least_fall": Pair(
        SLOW, lambda fall: a_run(LN10 * (1.02 - fall * np.arange(400) / 400) + noise(400, 0.0005), TEN), 0.018, 0.009
    ),
    "FlatParameters.steady": Pair(
        SLOW, lambda span: a_run(0.8 + 0.2 * decay(400, span) + noise(400, 0.0005), FOUR_HUNDRED), 150, 100
    ),
    "FlatParameters.good_share_of_chance": Pair(
        CONVERGED,
        lambda share: a_run(LN10 * (share + (1 - share) * decay(400, 20)) + noise(400, 0.004), TEN),
        0.45,
        0.55,
    ),
    "FlatParameters.unmoved": Pair(
        STUCK,
        lambda gain: a_run(np.concatenate([[1.0] * 50, np.full(350, 1 - gain)]) + noise(400, 0.002), FOUR_HUNDRED),
        0.04,
        0.06,
    ),
    "FlatParameters.bad_gain": Pair(PLATEAU, settled, 0.55, 0.45),
    "FlatParameters.bad_gain_smooth": Pair(
        PLATEAU, lambda gain: a_run(1 - gain + gain * decay(400, 15), FOUR_HUNDRED), 0.85, 0.95
    ),
    "FlatParameters.good_gain": Pair(
        CONVERGED, lambda gain: down_to(1 - gain, context=Context(total_steps=400)), 0.94, 0.85
    ),
    "FlatParameters.nearly_all": Pair(PLATEAU, lambda left: down_to(left, size=0.002, context=stated(400)), 0.05, 0.02),
    "FlatParameters.slow_gain": Pair(
        SLOW, lambda gain: a_run(line(1.0, 1 - gain, size=0.005), FOUR_HUNDRED), 0.25, 0.35
    ),
    "FlatParameters.slow_gain_unknown": Pair(
        SLOW, lambda gain: a_run(line(1.0, 1 - gain, size=0.002), Context(total_steps=400)), 0.04, 0.06
    ),
    "FlatParameters.excluded": Pair(CONVERGED, skewed_floor, 0.05, 0.07),
    "FlatParameters.excluded_of_first": Pair(
        PLATEAU, lambda size: down_to(0.7, span=10, size=size, context=squares_until(200)), 0.04, 0.08
    ),
    "FlatParameters.excluded_at_start": Pair(STUCK, lambda size: a_run(2 + noise(120, size), stated(180)), 0.35, 0.6),
    "FlatParameters.excluded_if_stated": Pair(
        PLATEAU, lambda size: a_run(0.5 + 0.5 * decay(64, 5) + noise(64, size, 2), stated(120)), 0.1, 0.2
    ),
    "FlatParameters.goes_on": Pair(PLATEAU, lambda fall: down_and_on(fall, 0.0006), 0.008, 0.016),
    "FlatParameters.goes_on_smooth": Pair(PLATEAU, lambda fall: down_and_on(fall, 0.0), 0.0006, 0.001),
    "FlatParameters.blow_up": Pair(STUCK, blown_up, 3.3, 2.7),
    "FlatParameters.unspiked": Pair(STUCK, with_dips, 0.55, 0.45),
    "FlatParameters.blown_points": Pair(STUCK, lambda n: blown(1.5 + noise(n - 4, 0.1), n), 20, 13),
    "FlatParameters.blown_sds": Pair(
        STUCK, lambda size: blown(5 + size * (-1.0) ** np.arange(96) + noise(96, 0.01), 100), 0.6, 1.0
    ),
    "FlatParameters.patience": Pair(STUCK, lambda n: a_run((LN10 + noise(400, 0.02))[:n], TEN), 220, 180),
    "FlatParameters.rising_patience": Pair(
        STUCK, lambda n: a_run(flat(400)[:n], TEN, grad_norm=np.geomspace(0.1, 10, 400)[:n]), 340, 300
    ),
    "FlatParameters.slow_patience": Pair(
        SLOW, lambda n: a_run(line(1.0, 0.85, size=0.005)[:n], FOUR_HUNDRED), 260, 220
    ),
    "FlatParameters.slow_points": Pair(
        SLOW, lambda n: every(8, a_run(line(1.0, 0.9, n=n, size=0.0005), SQUARES)), 75, 55
    ),
    "FlatParameters.hold": Pair(PLATEAU, lambda n: held_since(100, n), 300, 230),
    "FlatParameters.hold_points": Pair(PLATEAU, lambda run: held_since(*run), (60, 170, 300), (150, 300)),
    "FlatParameters.lost_of_gain": Pair(PLATEAU, left_behind, 0.3, 0.2),
    "FlatParameters.lost_while_falling": Pair(PLATEAU, lost_and_falling, 0.45, 0.4),
    "FlatParameters.lost_sds": Pair(PLATEAU, noisily_lost, 1.2, 2.3),
    "FlatParameters.lost_points": Pair(PLATEAU, lost_after, 42, 36),
    "FlatParameters.lost_few_points": Pair(PLATEAU, lambda n: lost_after(n, 10), 13, 10),
}

PAIRS: dict[str, Pair] = {**OF_SWINGS, **OF_FLAT_RUNS}


@pytest.mark.slow
@pytest.mark.parametrize("parameter", PAIRS)
def test_a_run_beyond_the_limit_is_told_of_and_one_short_of_it_is_not(parameter: str) -> None:
    assert PAIRS[parameter].holds()
