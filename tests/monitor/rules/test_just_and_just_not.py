"""Every rule at its limits: of two runs that differ in one thing, the first alarms and the second does not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from losswatch_server.monitor.conditions import CONDITIONS
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import assess
from losswatch_server.monitor.rules.base import Record
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import conditions, falling, flat, points, watch

Run = tuple[list[Point], Context]
TEN = Context(loss_name="cross_entropy", num_classes=10, total_steps=400)
NOTHING = Context()
EPOCHS = Context(step_unit="epoch", loss_name="mse")
MSE = Context(loss_name="mse", total_steps=400)
LN10 = math.log(10)


def a_loss(values: object, context: Context = NOTHING, **series: object) -> Run:
    return points(list(values), **{name: list(of) for name, of in series.items()}), context  # type: ignore[call-overload]


def noise(n: int, size: float, seed: int = 0) -> np.ndarray:
    return size * np.random.default_rng(seed).normal(size=n)


def line(start: float, end: float, n: int = 400, size: float = 0.02) -> np.ndarray:
    return np.linspace(start, end, n) + noise(n, size)


def with_validation(last: float) -> Run:
    return a_loss(falling(20), validation_loss=[*falling(19), last])


def first_loss(first: float, context: Context) -> Run:
    return a_loss([first, *falling(30)], context)


def jump(factor: float) -> Run:
    return a_loss([1.0, 0.9, 0.8, 0.8 * factor, 0.8 * factor])


def below_zero(factor: float) -> Run:
    return a_loss([*(1 - factor * np.geomspace(1e-9, 1, 100)), *[1 - factor] * 12])


def norms(late: float, context: Context = NOTHING) -> Run:
    return a_loss(falling(300), context, grad_norm=[*(1 + noise(200, 0.1)), *(late + noise(100, 0.1))])


def at_share_of_chance(share: float) -> Run:
    return a_loss(LN10 * share + noise(400, 0.02), TEN)


def accuracy(share: float) -> Run:
    losses = [*falling(100, start=2.3, floor=1.7, noise=0.005), *(1.7 + noise(300, 0.005))]
    return [p._replace(metrics={"accuracy": share}) for p in points(losses)], TEN


def floor_of_chance(share: float, start: float = 1.05) -> Run:
    fall = (start - share) * np.exp(-np.arange(400) / 20)
    return a_loss(LN10 * (share + fall) + noise(400, 0.01), TEN)


def unmoved(size: float) -> Run:
    return a_loss(2.0 + noise(400, size), Context(total_steps=400))


def risen(by: float) -> Run:
    return a_loss(line(1.0, 1.0 + by), Context(total_steps=400))


def sunk(run: Run, by: float) -> Run:
    return [p._replace(loss=(p.loss or 0.0) - by) for p in run[0]], run[1]


def settled(level: float) -> Run:
    fall = (1 - level) * np.exp(-np.arange(400) / 20)
    return a_loss(level + fall + noise(400, 0.004), MSE)


def rise_of(height: float, *, zeros: int = 0) -> Run:
    level = [0.0, 0.0, 0.002, 0.0] * (zeros // 4) if zeros else flat(300, level=1.0, noise=0.002)
    return a_loss([*falling(100, start=3.0, floor=1.0 if not zeros else 0.01, noise=0.002), *level, height])


def few_evaluations(swing: float) -> Run:
    train = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
    return a_loss(train, EPOCHS, validation_loss=[0.9 - swing, 0.9, 0.7, 0.6, 0.62, 0.66, 0.7, 0.74])


def swings(rate_rises: bool) -> Run:
    n = 800
    losses = (0.8 + 0.35 * np.sin(np.arange(n) / 20)) + noise(n, 0.01)
    rates = 0.1 + (0.05 * np.sin(np.arange(n) / 20) if rate_rises else np.zeros(n))
    return a_loss([1.2, 1.2, *losses[2:]], Context(loss_name="mse", total_steps=n), learning_rate=rates)


def norm_of_zero(loss: float) -> Run:
    return a_loss([*falling(100, start=1.0, floor=0.2), *[loss] * 60], grad_norm=[*[1.0] * 100, *[0.0] * 60])


def unscaled(later: float) -> Run:
    return a_loss([200.0, 200.0, 190.0, 180.0, *[later] * 30], Context(loss_name="mse"), grad_norm=[2e4] * 34)


def blown_up(peak: float) -> Run:
    rest = (1.5 + noise(80, 0.1)).tolist()
    return a_loss([1.0, *[peak] * 4, *rest], Context(total_steps=100))


def left_behind(lost: float) -> Run:
    """Down to 0.5, then slowly back up by that share of the way."""
    up = 0.5 + 1.5 * lost * np.clip(np.arange(300) / 100, 0, 1)
    return a_loss(np.concatenate([falling(300, start=2.0, floor=0.5, noise=0.0), up]) + noise(600, 0.01))


def every_25th(values: list[float]) -> Run:
    return [Point(25 * (i + 1), loss=value) for i, value in enumerate(values)], NOTHING


def epochs_from(first: int, train: list[float], validation: list[float]) -> Run:
    return points(train, first, validation_loss=validation), NOTHING


def warming(warmup_steps: int) -> Run:
    return points(flat(250)), replace(TEN, warmup_steps=warmup_steps)


def full_batch(wander: float) -> Run:
    """Four fifths of the way down, with a floor that a running mean would give where it wanders."""
    steps = np.arange(600)
    return a_loss(0.2 + 0.8 * np.exp(-steps / 40) + wander * np.sin(steps / 9.0) * (steps > 150))


def steps_of_500(fall: float) -> Run:
    levels = np.round(1.6 * (1 - fall * np.linspace(0, 1, 24)), 3)
    return [Point(500 * (i + 1), loss=float(level)) for i, level in enumerate(levels)], NOTHING


RISING = [2.0 + 0.004 * i * i for i in range(10)]
PAIRS: dict[str, tuple[Condition, Run, Run]] = {
    "a validation loss that is NaN": (Condition.NON_FINITE, with_validation(math.nan), with_validation(1.7)),
    "a first loss out of all proportion": (
        Condition.DIVERGING,
        first_loss(1.1e6, TEN),
        first_loss(0.9e6, TEN),
    ),
    "a first loss a million times the baseline": (
        Condition.DIVERGING,
        first_loss(2.1e6, Context(baseline_loss=2.0)),
        first_loss(1.9e6, Context(baseline_loss=2.0)),
    ),
    "a jump by a thousand": (Condition.DIVERGING, jump(1010.0), jump(990.0)),
    "a fall without bound": (Condition.DIVERGING, below_zero(1.1e6), below_zero(0.9e6)),
    "a gradient norm that rises and stays": (Condition.EXPLODING_GRADIENT, norms(33.0), norms(27.0)),
    "norms from before clipping": (
        Condition.EXPLODING_GRADIENT,
        norms(33.0, Context(grad_norm_is="before_clip")),
        norms(33.0, Context(grad_norm_is="after_clip")),
    ),
    "unscaled inputs whose loss stays": (Condition.EXPLODING_GRADIENT, unscaled(125.0), unscaled(115.0)),
    "chance level": (Condition.NOT_LEARNING, at_share_of_chance(0.99), at_share_of_chance(0.965)),
    "a loss that blew up and stayed": (Condition.NOT_LEARNING, blown_up(3.3), blown_up(2.7)),
    "half of a squared error gained": (Condition.PLATEAU, settled(0.55), settled(0.45)),
    "an eighth of the way from guessing to all answers right": (Condition.PLATEAU, accuracy(0.2), accuracy(0.23)),
    "a floor near chance level": (Condition.PLATEAU, floor_of_chance(0.97), floor_of_chance(0.95)),
    "a floor of a model that was trained before": (
        Condition.PLATEAU,
        floor_of_chance(0.97),
        floor_of_chance(0.97, start=0.98),
    ),
    "chance level ever since the middle": (
        Condition.NOT_LEARNING,
        a_loss(LN10 + noise(60, 0.05, 1), replace(TEN, total_steps=60)),
        a_loss(LN10 + noise(60, 0.4, 1), replace(TEN, total_steps=60)),
    ),
    "a gain that the noise leaves no room for": (Condition.NOT_LEARNING, unmoved(0.05), unmoved(0.6)),
    "a rise that is no standing still": (Condition.NOT_LEARNING, risen(0.05), risen(0.4)),
    "a better level left behind, of a loss that may be negative": (
        Condition.PLATEAU,
        left_behind(0.45),
        sunk(left_behind(0.45), 1.0),
    ),
    "all answers right": (Condition.PLATEAU, accuracy(0.2), accuracy(1.0)),
    "how near the line comes to guessing": (
        Condition.SLOW_CONVERGENCE,
        a_loss(line(1.03 * LN10, 0.97 * LN10), TEN),
        a_loss(line(1.03 * LN10, 0.95 * LN10), TEN),
    ),
    "a fall that does not slow down": (
        Condition.SLOW_CONVERGENCE,
        a_loss(line(1.0, 0.8), MSE),
        a_loss(0.8 + 0.2 * np.exp(-np.arange(400) / 60) + noise(400, 0.005), MSE),
    ),
    "a better level left behind": (Condition.PLATEAU, left_behind(0.3), left_behind(0.2)),
    "half of a log above twice the rest": (
        Condition.DIVERGING,
        every_25th([1.7, 1.5, 3.5, 6.0, 5.6, 5.1, 4.9, 4.7]),
        every_25th([1.7, 1.5, 3.3, 6.0, 5.6, 5.1, 4.9, 4.7]),
    ),
    "two losses that rise in order": (
        Condition.DIVERGING,
        epochs_from(1, RISING, [loss + 0.2 for loss in RISING]),
        epochs_from(1, RISING, [2.2, *[loss + 0.2 for loss in RISING[:0:-1]]]),
    ),
    "a jump that stays": (
        Condition.DIVERGING,
        every_25th([1.0, 0.9, 0.8, 0.8, 0.7, 5000.0, 90.0]),
        every_25th([1.0, 0.9, 0.8, 0.8, 0.7, 5000.0, 60.0]),
    ),
    "an outlier of single steps": (
        Condition.LOSS_SPIKE,
        a_loss([0.11, 0.1, 0.12, 0.1, 0.11, 130.0, 0.1, 0.11]),
        a_loss([0.11, 0.1, 0.12, 0.1, 0.11, 110.0, 0.1, 0.11]),
    ),
    "an excerpt whose losses part": (
        Condition.OVERFITTING,
        epochs_from(180, [0.9, 0.92, 0.89, 0.91] * 4, [1.4 + 0.02 * i for i in range(16)]),
        epochs_from(180, [0.9, 0.92, 0.89, 0.91] * 4, [1.3 + 0.02 * i for i in range(16)]),
    ),
    "a model that was trained before": (
        Condition.SLOW_CONVERGENCE,
        a_loss(line(1.01 * LN10, 0.97 * LN10, size=0.005), TEN),
        a_loss(line(0.985 * LN10, 0.965 * LN10, size=0.005), TEN),
    ),
    "a warm-up counted in other steps": (Condition.NOT_LEARNING, warming(400), warming(150)),
    "a floor without noise": (Condition.PLATEAU, full_batch(0.0), full_batch(0.01)),
    "means of many steps that stand still": (Condition.NOT_LEARNING, steps_of_500(0.0005), steps_of_500(0.06)),
    "a jump by a tenth of the level": (Condition.LOSS_SPIKE, rise_of(1.13), rise_of(1.07)),
    "a hinge at rest": (Condition.LOSS_SPIKE, rise_of(1.2, zeros=300), rise_of(0.6, zeros=300)),
    "a rise above what the validation loss did before": (
        Condition.OVERFITTING,
        few_evaluations(0.05),
        few_evaluations(0.12),
    ),
    "swings that follow the learning rate": (Condition.OSCILLATION, swings(False), swings(True)),
    "no gradient where there is no loss": (Condition.VANISHING_GRADIENT, norm_of_zero(0.2), norm_of_zero(0.0)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_of_two_runs_that_differ_in_one_thing_one_alarms(name: str) -> None:
    condition, fires, silent = PAIRS[name]
    assert condition in conditions(watch(*fires))
    assert condition not in conditions(watch(*silent))


def test_a_validation_loss_that_is_finite_again_ends_the_finding() -> None:
    found = watch(*a_loss(falling(30), validation_loss=[*falling(10), math.nan, *falling(19)])).findings()
    assert [(f.series, f.is_open) for f in found if f.condition is Condition.NON_FINITE] == [("validation_loss", False)]


def test_a_gradient_norm_that_stays_high_stays_reported() -> None:
    losses = falling(800)
    monitor = watch(points(losses, grad_norm=[*[1.0] * 200, *[200.0] * 600]))
    (found,) = [f for f in monitor.findings() if f.condition is Condition.EXPLODING_GRADIENT]
    assert found.is_open


def test_an_explosion_before_the_first_line_stays_reported_whatever_follows() -> None:
    monitor = watch(*first_loss(1e19, EPOCHS))
    assert next((f.condition, f.is_open) for f in monitor.findings()) == (Condition.DIVERGING, True)


RULES = [detector for traits in CONDITIONS.values() for detector in traits.rules]


@pytest.mark.slow
@pytest.mark.parametrize("run", [run for _, *pair in PAIRS.values() for run in pair])
def test_every_rule_that_is_asked_says_what_it_needs(run: Run) -> None:
    listed = {f"{rule.condition}/{rule.series}": set(rule.needs) for rule in RULES}
    monitor = Monitor("asked")
    monitor.see_context(run[1])
    monitor.view.record = Record()
    for point in run[0]:
        monitor.see(point)
        for detector, tests in monitor.view.record.rows.items():
            assert {rule for rule, _ in tests} <= listed[detector]


def from_step(first: int, run: Run) -> Run:
    return [p._replace(step=p.step + first) for p in run[0]], run[1]


@pytest.mark.parametrize(
    ("condition", "run"),
    [
        (Condition.NOT_LEARNING, a_loss(flat(300, level=1.0), Context(loss_name="mse"))),
        (Condition.NOT_LEARNING, blown_up(5.0)),
        (Condition.PLATEAU, settled(0.7)),
        (Condition.SLOW_CONVERGENCE, a_loss(line(1.0, 0.85, size=0.005), Context(loss_name="mse"))),
    ],
)
def test_what_is_measured_from_the_start_is_not_said_of_an_excerpt(condition: Condition, run: Run) -> None:
    known = run[0], Context(loss_name=run[1].loss_name)
    assert condition in conditions(watch(*run))
    assert condition not in conditions(watch(*from_step(5000, known)))


def test_the_report_says_that_the_beginning_of_an_excerpt_is_missing() -> None:
    losses = falling(60)
    assert any("beginning of the run is missing" in note for note in assess(watch(points(losses, first=5000))).notes)
    assert not any("beginning" in note for note in assess(watch(points(losses))).notes)
