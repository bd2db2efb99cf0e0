"""How a run broke, how a spike rose and what a loss swings with tell causes apart."""

from __future__ import annotations

import numpy as np
import pytest

from losswatch_server.monitor.diagnosis.engine import rank, strengths
from losswatch_server.monitor.diagnosis.evidence.row import Seen
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import CauseName as C
from losswatch_server.monitor.vocabulary import Condition
from monitor.diagnosis import made_breaks
from monitor.diagnosis.made_breaks import INF, NAN, PERIOD, broken, seen, seen_of, spiked, swinging

NOTHING = Context()


def likely(of: Seen) -> dict[C, float]:
    return {cause.cause: cause.probability for cause in rank(of.finding, of.measured, of.context)}


def first(of: Seen) -> C:
    return rank(of.finding, of.measured, of.context)[0].cause


@pytest.mark.parametrize(
    ("loss", "norm", "kept"),
    [
        (2.0, INF, "finite/inf"), (NAN, NAN, "nan/nan"), (INF, NAN, "inf/nan"), (-INF, 0.5, "inf/finite"),
        (NAN, None, "nan/-"),
    ],
)  # fmt: skip
def test_the_first_point_that_is_not_finite_is_remembered_as_it_was(loss: float, norm: float | None, kept: str) -> None:
    assert broken(loss, norm).memory.first_break == kept


def test_a_run_that_never_broke_remembers_no_break() -> None:
    assert spiked(9.0)[0].first_break == ""


def test_what_is_nan_at_once_is_missing_and_what_is_infinite_first_has_overflowed() -> None:
    together = seen_of(broken(NAN, NAN), NOTHING)
    assert first(together) is C.NON_FINITE_DATA
    assert "turned NaN together" in " ".join(rank(together.finding, together.measured, NOTHING)[0].because)
    for loss, norm in ((2.0, INF), (INF, NAN)):
        assert likely(seen_of(broken(loss, norm), NOTHING)).get(C.NON_FINITE_DATA, 0.0) < 0.1


@pytest.mark.parametrize(("before", "there"), [([2.0] * 9, True), ([2.0] * 4, False), ([2.0] * 9 + [9.0] * 3, False)])
def test_what_breaks_in_its_first_steps_or_in_a_rise_may_have_overflowed_at_once(
    before: list[float], there: bool
) -> None:
    monitor = Monitor("broken")
    for step, loss in enumerate([*before, NAN, NAN]):
        monitor.see(Point(step, loss, NAN if loss != loss else 0.5))
    assert ("nan_from_nothing" in strengths(seen_of(monitor, NOTHING))) is there


@pytest.mark.parametrize(("norm", "there"), [(0.7, True), (3.8e12, False)])
def test_a_gradient_that_exploded_announced_the_break_though_no_loss_did(norm: float, there: bool) -> None:
    monitor = Monitor("broken")
    for step in range(12):
        monitor.see(Point(step, 2.0 - 0.01 * step, norm if step == 11 else 0.5))
    monitor.see(Point(12, NAN, NAN))
    of = seen_of(monitor, NOTHING)
    assert ({"sudden_overflow", "nan_from_nothing"} <= strengths(of).keys()) is there
    assert (
        "nothing announced it"
        in " ".join(why for cause in rank(of.finding, of.measured, NOTHING) for why in cause.because)
    ) is there


def test_a_nan_without_a_gradient_norm_tells_neither() -> None:
    there = strengths(seen_of(broken(NAN, None, norms=False), NOTHING))
    assert not {"gradient_overflowed_first", "nan_from_nothing", "loss_overflowed"} & there.keys()


def test_a_spike_that_goes_on_growing_is_rather_the_rates_than_a_batchs() -> None:
    at_once, growing = (
        likely(seen(Condition.LOSS_SPIKE, memory, NOTHING, peak=peak))
        for memory, peak in (spiked(9.0, 6.0, 3.0), spiked(3.0, 9.0, 27.0, 6.0))
    )
    assert at_once[C.BAD_BATCH] > growing.get(C.BAD_BATCH, 0.0) + 0.1
    assert growing[C.LEARNING_RATE_TOO_HIGH] > at_once.get(C.LEARNING_RATE_TOO_HIGH, 0.0) + 0.1


def test_a_pattern_of_whole_epochs_is_the_order_of_the_data_and_another_is_not() -> None:
    with_epoch, without = (
        likely(seen(Condition.OSCILLATION, swinging(), Context(steps_per_epoch=epoch))) for epoch in (PERIOD, 50)
    )
    assert max(with_epoch, key=lambda cause: with_epoch[cause]) is C.DATA_NOT_SHUFFLED
    assert without.get(C.DATA_NOT_SHUFFLED, 0.0) < with_epoch[C.DATA_NOT_SHUFFLED] - 0.1


@pytest.mark.parametrize(
    "context", [NOTHING, Context(steps_per_epoch=1), Context(steps_per_epoch=PERIOD, step_unit="epoch")]
)
def test_nothing_is_said_of_epochs_where_their_length_is_not_known_or_too_short_to_tell(context: Context) -> None:
    there = strengths(seen(Condition.OSCILLATION, swinging(), context))
    assert not {"repeats_with_the_epoch", "swings_without_the_epoch"} & there.keys()
    assert "repeats" in there


def test_steps_between_points_count() -> None:
    sparse = Context(steps_per_epoch=10 * PERIOD, steps_per_point=10)
    assert strengths(seen(Condition.OSCILLATION, swinging(), sparse))["repeats_with_the_epoch"] > 0.9


def test_every_sight_is_of_a_run() -> None:
    assert len([one for one in made_breaks.sights() if one.measured.loss is not None]) > 50


def rising(*losses: float) -> Monitor:
    monitor = Monitor("rising")
    for step, loss in enumerate(losses):
        monitor.see(Point(step, loss))
    return monitor


def test_a_loss_that_rises_from_its_first_steps_is_asked_for_its_sign_before_its_rate() -> None:
    jitter = 0.05 * np.random.default_rng(4).normal(size=400)
    monitor = rising(*(1 + jitter[i] + (0 if i < 8 else 0.05 * (i - 8) ** 1.5) for i in range(400)))
    findings = [f for f in monitor.findings() if f.condition is Condition.DIVERGING]
    assert findings
    for finding in findings:
        measured = gather(monitor.memory, NOTHING, since_step=finding.onset_step)
        assert finding.onset_step > 2, "later than the first two points"
        assert rank(finding, measured, NOTHING)[0].cause is C.WRONG_LOSS_FUNCTION


@pytest.mark.parametrize(("fall", "points", "there"), [(1.0, 100, True), (1.0, 20, False), (0.4, 100, False)])
def test_a_long_rise_to_what_is_not_finite_began_with_the_run(fall: float, points: int, there: bool) -> None:
    begun = [] if fall == 1.0 else np.linspace(1.0, fall, 20).tolist()
    losses = [*begun, *(fall * 1.06**i for i in range(points))]
    seen = seen_of(rising(*losses, INF, *([NAN] * 20)), NOTHING)
    assert (strengths(seen).get("rises_from_first_step", 0.0) > 0.5) is there


@pytest.mark.parametrize(("factor", "there"), [(3.55, False), (1.1, True)])
@pytest.mark.parametrize("context", [NOTHING, Context(learning_rate=0.01), Context(optimizer="sgd")])
def test_a_fast_constant_growth_from_the_first_step_is_the_rates_and_no_wrong_sign(
    factor: float, there: bool, context: Context
) -> None:
    monitor = rising(*(2.0 * factor**k for k in range(1, 41)))
    finding = next(f for f in monitor.findings() if f.condition is Condition.DIVERGING)
    seen = Seen(finding, gather(monitor.memory, context, since_step=finding.onset_step), context)
    assert (strengths(seen).get("rises_from_first_step", 0.0) > 0.5) is there
    if not there:
        assert first(seen) is C.LEARNING_RATE_TOO_HIGH
        assert likely(seen)[C.LEARNING_RATE_TOO_HIGH] > 0.6
