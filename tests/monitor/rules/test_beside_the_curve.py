"""What stands beside a flat training loss: validation losses that do not move, settings that hold the steps back. Of
two runs that differ in one thing, the first alarms and the second does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import diagnose
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import alarms, conditions, points, watch

Run = tuple[list[Point], Context]
N = 400
LN10 = math.log(10)
PLAN = Context(total_steps=N)
TEN = Context(loss_name="cross_entropy", num_classes=10, total_steps=N)
SGD = Context(loss_name="cross_entropy", num_classes=10, total_steps=N, optimizer="sgd", learning_rate=0.1)
NOISE = np.random.default_rng(0).normal(size=N)
EVEN = 2 * ((np.arange(N) * 0.6180339887 + 0.1) % 1) - 1
SCATTER = (2.0 + 0.5 * EVEN).tolist()
"""A loss that scatters evenly, and so widely that no rule of the curve says whether it moves."""
FALL = 0.6 + 0.9 * np.exp(-np.arange(N) / 20)


def evaluated(losses: list[float], validation: list[float], context: Context = PLAN, **series: list[float]) -> Run:
    """The evaluations at even distances, the last one shortly before the end."""
    run = points(losses, **series)
    every = len(run) // len(validation)
    for place, value in enumerate(validation):
        at = (place + 1) * every - 1 - every // 5
        run[at] = run[at]._replace(validation_loss=value)
    return run, context


def stopped_after(moving: int, equal: int, value: float = 0.61234) -> Run:
    """The validation loss falls, and from then on is one number."""
    falls = [0.9 - 0.01 * i for i in range(moving)]
    return evaluated((FALL + 0.02 * NOISE).tolist(), [*falls, *[value] * equal])


def frozen(count: int = 20, value: float = 1.234567, rate: float = 0.01) -> Run:
    return evaluated(SCATTER, [value] * count, learning_rate=[rate] * N)


def hardly(count: int = 20, gain: float = 0.005, losses: list[float] = SCATTER, context: Context = PLAN) -> Run:
    """A validation loss that gained that share at best, and stands elsewhere each time."""
    return evaluated(losses, [2.0 - 2.0 * gain * abs(math.sin(7.0 * i)) for i in range(count)], context)


def gained(share: float) -> list[float]:
    return (2.0 + 0.5 * EVEN - 2.0 * share * (np.arange(N) >= N // 4)).tolist()


def creeping(end: float, start: float = 1.05) -> list[float]:
    return (LN10 * np.linspace(start, end, N) + 0.02 * NOISE).tolist()


def clipped(norm: float, **changed: object) -> Run:
    losses = creeping(0.7)
    return points(losses, grad_norm=[norm] * N), SGD.merged(Context(grad_clip=0.1, **changed))  # type: ignore[arg-type]


def at_rate(rate: float, *, end: float = 0.88, late_norm: float = 1.0, **changed: object) -> Run:
    sizes = [*[1.0] * (N // 4), *[late_norm] * (N - N // 4)]
    return points(creeping(end), grad_norm=sizes), SGD.merged(Context(learning_rate=rate, **changed))  # type: ignore[arg-type]


def barely(gain: float = 0.1, *, late_norm: float = 1.0, rate: float = 0.005) -> Run:
    """A loss of any kind that gains that share at a rate a twentieth of the usual."""
    sizes = [*[1.0] * (N // 4), *[late_norm] * (N - N // 4)]
    losses = (2.0 - 2.0 * gain * (1 - np.exp(-np.arange(N) / 20)) + 0.02 * NOISE).tolist()
    return points(losses, grad_norm=sizes), Context(total_steps=N, optimizer="sgd", learning_rate=rate)


def learned_by_heart(rise: float, *, count: int = 20, fall: float = 0.7, turn: int = 1, plan: int | None = N) -> Run:
    """A validation loss that rises from an early evaluation on, dips at each fifth, while the training loss falls by
    that share."""
    train = np.concatenate([np.full(N // count, 1.0), np.linspace(1.0, 1 - fall, N - N // count)])
    before, after = 1.004 - 0.004 * np.arange(1, turn + 1) / turn, 1.0 + rise * np.linspace(0.5, 1.2, count - turn)
    after[4::5] = after[3::5][: len(after[4::5])] - 0.002
    return evaluated((train + 0.005 * NOISE).tolist(), [*before.tolist(), *after.tolist()], Context(total_steps=plan))


SAME, FROZEN, STILL = "validation became one number", "validation is one number", "validation not moved"
PAIRS: dict[str, tuple[str, Run, Run]] = {
    "four evaluations of one number": (SAME, stopped_after(4, 4), stopped_after(4, 3)),
    "two of five evaluations of one number": (SAME, stopped_after(11, 9), stopped_after(13, 7)),
    "a number of four digits": (SAME, stopped_after(10, 10, 0.6123), stopped_after(10, 10, 0.612)),
    "parameters of the start": (FROZEN, frozen(), frozen(value=1.23)),
    "four evaluations of the start": (FROZEN, frozen(4), frozen(3)),
    "a plan that ends in a rate of 0": (FROZEN, frozen(), frozen(rate=0.0)),
    "six evaluations that do not move": (STILL, hardly(6), hardly(5)),
    "a gain of the validation loss": (STILL, hardly(gain=0.008), hardly(gain=0.012)),
    "a gain of the training loss": (STILL, hardly(losses=gained(0.075)), hardly(losses=gained(0.14))),
    "a level that was learned before": (
        STILL,
        hardly(losses=(1.01 * LN10 + 1.6 * EVEN).tolist(), context=TEN),
        hardly(losses=(0.8 * LN10 + 1.6 * EVEN).tolist(), context=TEN),
    ),
    "next to nothing gained at a rate far below": ("barely moves", barely(0.16), barely(0.25)),
    "a gradient that is as large as ever": ("barely moves", barely(late_norm=0.9), barely(late_norm=0.7)),
    "a loss that hardly gains under its clip": (
        "clipped",
        (points(SCATTER, grad_norm=[1.2] * N), PLAN.merged(Context(grad_clip=0.1, optimizer="sgd"))),
        (points(SCATTER, grad_norm=[0.8] * N), PLAN.merged(Context(grad_clip=0.1, optimizer="sgd"))),
    ),
    "norms far over the clip": ("clipped", clipped(1.2), clipped(0.8)),
    "a clip that Adam does not notice": ("clipped", clipped(1.2), clipped(1.2, optimizer="adam")),
    "norms from after clipping": ("clipped", clipped(1.2), clipped(1.2, grad_norm_is="after_clip")),
    "a rate far below the usual": ("held back", at_rate(0.005), at_rate(0.0085)),
    "a rate of an optimizer that is known": (
        "held back",
        at_rate(0.005),
        (at_rate(0.005)[0], TEN.merged(Context(learning_rate=1e-5))),
    ),
    "a gradient that keeps its size": ("held back", at_rate(0.005, late_norm=0.6), at_rate(0.005, late_norm=0.4)),
    "a level near chance": ("held back", at_rate(0.005, end=0.76), at_rate(0.005, end=0.69)),
    "a small rate where a model may be tuned": ("held back", at_rate(0.005), at_rate(1e-6, optimizer="adamw")),
    "a rise of the validation loss": ("by far", learned_by_heart(0.13), learned_by_heart(0.08)),
    "the same of few evaluations": ("by far", learned_by_heart(0.3, count=8), learned_by_heart(0.2, count=8)),
    "a training loss that halves": ("by far", learned_by_heart(0.3, fall=0.55), learned_by_heart(0.3, fall=0.42)),
    "a rise for half of the log": ("by far", learned_by_heart(0.3, turn=8), learned_by_heart(0.3, turn=12)),
    "a rise for half of the plan": ("by far", learned_by_heart(0.3, plan=760), learned_by_heart(0.3, plan=880)),
    "a rise in a log without a plan": (
        "by far",
        learned_by_heart(0.3, count=17, plan=None),
        learned_by_heart(0.3, count=14, plan=None),
    ),
}


def rules(run: Run) -> list[str]:
    """Of every finding, the rule that found it."""
    return [f.evidence["rule"] for f in alarms(watch(*run))]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_of_two_runs_that_differ_in_one_thing_one_alarms(name: str) -> None:
    rule, fires, silent = PAIRS[name]
    assert rule in rules(fires)
    assert rule not in rules(silent)


@pytest.mark.slow
def test_a_number_of_many_digits_is_not_waited_for() -> None:
    """Four evaluations of 20; of few digits they may agree by rounding, and in a warm-up nothing moves yet."""
    opened = {value: alarms(watch(*frozen(value=value)))[0].opened_step for value in (1.234567, 1.234)}
    assert opened[1.234567] < 0.3 * N <= 0.5 * N - 1 <= opened[1.234]
    warming = frozen()[0], PLAN.merged(Context(warmup_steps=N // 4))
    assert alarms(watch(*warming))[0].opened_step >= 2 * (N // 4)


def test_parameters_that_stay_the_same_are_said_in_so_many_words() -> None:
    (frozen_from_start,) = alarms(watch(*frozen()))
    (stopped,) = alarms(watch(*stopped_after(8, 12)))
    assert "the parameters do not change between them" in diagnose(*frozen()).findings[0].summary
    assert "the parameters have stayed the same since" in diagnose(*stopped_after(8, 12)).findings[0].summary
    assert frozen_from_start.evidence["equal_validations"] >= 19
    assert stopped.evidence["validation"] == 0.61234


def test_an_excerpt_whose_parameters_stay_the_same_is_no_less_wrong() -> None:
    run, context = stopped_after(8, 12)
    later = [p._replace(step=p.step + 9000) for p in run]
    assert conditions(watch(later, context.merged(Context(total_steps=9000 + N)))) == ["plateau"]


def test_a_loss_that_stands_above_its_start_does_not_fall_slowly() -> None:
    losses = [
        49.6,
        48.3,
        47.8,
        47.6,
        47.2,
        45.8,
        46.1,
        44.3,
        32310.0,
        3743.0,
        3785.0,
        1106.0,
        5642.0,
        1534.0,
        38.7,
        37.0,
    ]
    losses += [36.2, 36.1, 33.1, 33.6, 9916.0, 1084.0, 276800.0]
    context = Context(optimizer="adamw", learning_rate=1e-5, loss_name="hinge", step_unit="epoch")
    found = alarms(watch(points(losses, grad_norm=[1.0] * len(losses)), context))
    slow = [f.evidence for f in found if f.condition is Condition.SLOW_CONVERGENCE]
    assert slow
    assert all(evidence["level"] < evidence["first_level"] for evidence in slow)
