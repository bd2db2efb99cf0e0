"""overfitting: the validation loss turned up while the training loss kept falling.

Six rules. *Turned* (from 10 evaluations on): the latest level is above the minimum of the whole run by 3 standard
errors, z = (latest - minimum - 0.6 s) / (1.3 s sqrt(1/k + 1/3)), with s the noise of the series and 0.6 s the
optimism of a minimum over noise; by half more than the largest bump that this run has recovered from; and the minimum
is a quarter of the run old. The last two keep the false-alarm rate of long healthy runs at 13 % in 500 evaluations of
nine kinds of noise, random walks included, where z alone has 57 %. *Few* (5 to 9 evaluations): an unbroken rise, three
long, by a sixth, that is no noise, or four long while the training loss fell by two fifths. *Unbroken*: six rises in a
row, one more for each doubling of the run. *From the first*: the first evaluation was the best, the rest rises, and the
training loss has fallen by a third since. *By far*: for half of the log and of the plan the validation loss rose while
the training loss halved, whatever it did before. *Apart*: the log begins in the middle, the validation loss is half
above the training loss and rises eight times in a row, and the training loss does not rise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from losswatch_server.monitor.known import Need, Needs, Noise, begins_at_start
from losswatch_server.monitor.memory.stretch import Stretch
from losswatch_server.monitor.points import SMALLEST
from losswatch_server.monitor.precision import precision
from losswatch_server.monitor.rules.base import QUIET, UNSURE, Alarm, Test, Verdict, View, Waiting
from losswatch_server.monitor.rules.evaluations import Evaluations, OverfittingState, Turn, train_level
from losswatch_server.monitor.rules.few_points import FEW, at_a_look, rises_by_chance
from losswatch_server.monitor.stats.tail import doublings
from losswatch_server.monitor.stats.trend import difference_scale, median
from losswatch_server.monitor.vocabulary import Condition, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Overfitting:
    """The validation loss is significantly and materially above its minimum, and the training loss below."""

    condition: ClassVar[Condition] = Condition.OVERFITTING
    series: ClassVar[str] = "validation_loss"
    every_point: ClassVar[bool] = True
    needs: ClassVar[Mapping[str, Needs]] = {
        **dict.fromkeys(("few", "by far"), (Need.MINIMISED, Need.VALIDATION, Noise("validation loss", 5))),
        **dict.fromkeys(("turned", "from the first"), (Need.MINIMISED, Need.VALIDATION, Noise("validation loss", 10))),
        "unbroken": (Need.MINIMISED, Need.VALIDATION, Noise("validation loss", 7)),
        "apart": (Need.MINIMISED, Need.VALIDATION, Noise("validation loss", 9)),
    }
    least_points: int = 5
    z_warning: float = 3.0
    age: float = 0.25
    excursions: float = 1.5
    material: float = 0.05
    memorised: float = 0.003
    few_points: int = 10
    turn_share: float = 0.006
    """Of logs of noise whose training loss falls, that *few*, *from the first* and *by far* may call overfitting
    together. Five or more that were all above the one before are 1 in 120 at all looks together, and *unbroken* is 1 in
    180 within 64 evaluations (seven in order are 1 in 5,040 at each of 26, eight 1 in 40,320 at 32 more): with these it
    is ``few_points``' error rate. ``few_order`` stands beside it."""
    few_rise: float = 0.15
    few_order: int = 4
    """Evaluations that rise in order while the training loss falls by ``order_fall``: 1 in 24 by the order alone, but
    of the develop half 20 of 99 overfitting runs and none of 2,140 healthy ones, of which 12 have three in order."""
    order_fall: float = 0.4
    """Of the training loss since the minimum, in means of five; one healthy run of epoch means fell by .3."""
    few_total_rise: float = 0.5
    """Where the first epoch was the best, nothing shows that the model ever generalised: only a large rise counts."""
    unbroken: int = 6
    unbroken_rise: float = 0.25
    """While the training loss halves, where the first evaluation was the best and there is not one in every row."""
    unbroken_start: float = 0.9
    """Of the first training losses, which that evaluation must be below: so 6 of 99 overfitting runs of the develop
    half and none of 2,140 healthy ones are said. Without it two narrow curricula of another collection were, too."""
    unbroken_apart: int = 8
    apart: float = 1.5
    """Times the training loss, before the rise."""
    far_rise: float = 0.1
    """Of the minimum, beyond ``z_warning`` standard errors: with the next four said of 24 overfitting runs of the
    develop half that no other rule found, of 2 with another fault, and of 1 of 2140 healthy ones, which overfits."""
    far_few_rise: float = 0.25
    """The same of fewer evaluations than tell the noise."""
    far_fall: float = 0.5
    """Of the training loss at the minimum."""
    far_age: float = 0.5
    """Of all evaluations, and of a known plan."""
    far_points: int = 16
    """Evaluations where the plan is not known: a narrow curriculum begins so too."""
    first_best_age: int = 10
    """A narrow curriculum begins so too, and widens."""
    first_best_fall: float = 0.3
    """Of the training loss since the first evaluation, where that was the best."""

    def start(self) -> OverfittingState:
        return OverfittingState()

    def step(self, state: OverfittingState, view: View) -> Verdict:
        value, track = self.value(view), self.evaluations(view)
        if value is None or not math.isfinite(value) or track.last_step != view.point.step:
            return UNSURE
        train_now = train_level(view.memory.loss, view.point.step)
        if train_now is None:
            return UNSURE
        self._remember(state, view, value, train_now)
        if track.n < self.least_points:
            return Waiting(self.least_points - track.n)
        turn = self._turn(state, view, train_now)
        if turn is None:
            return QUIET
        few = turn.n < self.few_points
        # each rule asks for a rise of the level by 5 % or for five in a row: nearly always this is all there is to see
        if not (few or view.explains) and state.rises < 3 and turn.rise < 0.5 * self.material * abs(state.minimum):
            return QUIET
        held = [
            rule
            for rule, tests in self.rules(state, view, turn, few=few)
            if tests is not None and view.holds(rule, tests, self.needs[rule])
        ]
        if not held:
            return QUIET
        return Alarm(
            onset_step=state.lowest_step,
            confidence=min(0.97, 0.7 + 0.03 * max(turn.z, 0.0))
            if held[0] == "turned"
            else precision(self.condition, held[0]),
            severity=Severity.WARNING,
            evidence={"rule": held[0], **self.evidence(state, view, turn)},
        )

    def evidence(self, state: OverfittingState, view: View, turn: Turn) -> dict[str, Any]:
        """The turn in numbers: as they were sent, for whoever looks into the log, while all are remembered; else the
        means that the rules compare."""
        series = self.evaluations(view)
        step, best, now = state.lowest_step, state.minimum, turn.latest
        lowest = min(series.recent)
        if turn.n == len(series.recent) and series.recent[-1] > lowest:
            step, best, now = series.recent_steps[series.recent.index(lowest)], lowest, series.recent[-1]
        return {
            "best_step": step,
            "best_validation": best,
            "validation_now": now,
            "rise": now - best,
            "z": turn.z,
            "train_then": state.train_then,
            "train_now": turn.train_now,
        }

    def value(self, view: View) -> float | None:
        """The evaluation of the point at hand."""
        return view.point.validation_loss

    def evaluations(self, view: View) -> Evaluations:
        """All of them."""
        return view.memory.validation

    def rules(
        self, state: OverfittingState, view: View, turn: Turn, *, few: bool
    ) -> Iterable[tuple[str, Iterator[Test] | None]]:
        """Each rule with its tests; None for one that is for more evaluations, or fewer."""
        yield "few", self._few(state, view, turn) if few else None
        yield "turned", None if few else self._turned(state, view, turn)
        yield "unbroken", self._unbroken(state, view, turn)
        yield "from the first", self._from_the_first(state, view, turn)
        yield "by far", self._by_far(state, view, turn)
        yield "apart", self._apart(state, view, turn)

    def pass_over(self, state: OverfittingState, view: View, stretch: Stretch, place: int, opened: bool) -> int:
        """Asked at validation losses."""
        series = stretch.validation
        next_one = series.before(place)
        return min(series.places[next_one], stretch.end) if next_one < len(series.values) else stretch.end

    def _remember(self, state: OverfittingState, view: View, value: float, train_now: float) -> None:
        track = self.evaluations(view)
        latest = state.latest
        if latest and value > latest[-1]:
            if state.rises == 0:
                state.risen_from, state.train_at_rise = (
                    latest[-1],
                    train_level(view.memory.loss, track.recent_steps[-2]) or train_now,
                )
                state.risen_from_step = track.recent_steps[-2]
            state.rises += 1
        else:
            state.rises = 0
        latest.append(value)
        del latest[:-3]
        state.seen += 1
        # the median of three speaks for the one before the last; the first two stand for themselves
        level = median(latest) if len(latest) == 3 else sum(latest) / len(latest)
        place = max(1, state.seen - 1)
        if level < state.lowest:
            state.recovered = max(state.recovered, state.excursion)
            state.excursion = 0.0
            state.lowest, state.lowest_at = level, place
            state.minimum = sum(latest) / len(latest)
            state.lowest_step = track.recent_steps[-min(2, len(track.recent_steps))]
            state.before = max(track.head[0] - state.minimum, 0.0)
            state.train_then = train_level(view.memory.loss, state.lowest_step) or train_now
        else:
            state.excursion = max(state.excursion, level - state.lowest)

    def _turn(self, state: OverfittingState, view: View, train_now: float) -> Turn | None:
        values = self.evaluations(view).recent
        age = state.seen - state.lowest_at
        after = values[-min(age, len(values)) :]
        if age < 3:
            return None
        k = max(3, len(after) // 2)
        latest = sum(after[-k:]) / k
        errors = math.sqrt(1 / k + 1 / 3)
        return Turn(state.seen, age, state.minimum, latest, errors, train_now, values, after)

    def _train_falls(self, state: OverfittingState, view: View, turn: Turn) -> Iterator[Test]:
        least = min(0.1 * turn.rise, self.material * abs(state.train_then))
        # of two means of five, beyond their standard error at 5 %
        noise = 1.645 * math.sqrt(2 / 5) * difference_scale(view.memory.loss.recent[-64:])
        yield Test("fall of the training loss since", state.train_then - turn.train_now, max(least, noise, SMALLEST))

    def _generalised(self, state: OverfittingState, view: View, turn: Turn) -> Iterator[Test]:
        """Without a fall of the validation loss first, only training data learned by heart tells overfitting from a
        narrow curriculum."""
        by_heart = turn.train_now < self.memorised * view.memory.loss.head[0]
        few = turn.n < self.few_points
        if few:
            first = state.lowest_at <= 1
            by_the_point = view.memory.loss.n <= 2 * turn.n
            fell = not first or (by_the_point and turn.rise > self.few_total_rise * abs(state.minimum))
        else:
            fell = state.before > 2 * turn.scale
        yield Test(
            "the validation loss fell first, or the training data are known by heart", float(fell or by_heart), 0.5
        )

    def _few(self, state: OverfittingState, view: View, turn: Turn) -> Iterator[Test]:
        """Too few to know the noise: an unbroken rise by a sixth, three evaluations long."""
        values = self.evaluations(view).recent
        lowest = min(values)
        yield Test(
            "rise above the lowest validation loss",
            values[-1] - lowest,
            self.few_rise * abs(lowest),
            True,
            "",
            state.lowest_step,
        )
        since = len(values) - 1 - max(i for i, v in enumerate(values) if v == lowest)
        earlier = values[: len(values) - since]
        swung = max((b - a for a, b in itertools.pairwise(earlier)), default=0.0)
        yield Test("rise over the largest single one before", values[-1] - lowest, self.excursions * swung)
        yield Test(
            "rises in a row since then", float(min(state.rises, since)), max(3.0, float(since)), True, "evaluations"
        )
        if min(state.rises, since) >= self.few_order and self._fell_by(self.order_fall, state.train_then, turn):
            yield Test("evaluations in order while the training loss fell", float(since), float(self.few_order))
        else:
            yield self._no_noise(state, turn, values[len(values) - since :])
        yield from self._train_falls(state, view, turn)
        yield from self._generalised(state, view, turn)

    def _turned(self, state: OverfittingState, view: View, turn: Turn) -> Iterator[Test]:
        margin = max(
            self.material * abs(state.minimum),
            2 * self.material * state.before,
            self.excursions * state.recovered,
        )
        if view.explains or turn.latest >= state.minimum + margin:  # what the noise adds need not be known before
            error = math.sqrt(1 / max(3, turn.age // 2) + 1 / 3)
            margin = max(
                0.6 * turn.scale + self.z_warning * 1.3 * turn.scale * error, margin, self.excursions * turn.scale
            )
        yield Test(
            "mean of the latest validation losses",
            turn.latest,
            state.minimum + margin,
            True,
            "validation loss",
            state.lowest_step,
        )
        yield Test("evaluations since the minimum", float(turn.age), self.age * turn.n)
        yield Test("chance of so orderly a rise without a trend (Kendall's test)", turn.trend, 0.1, False)
        yield from self._train_falls(state, view, turn)
        yield from self._generalised(state, view, turn)

    def _unbroken(self, state: OverfittingState, view: View, turn: Turn) -> Iterator[Test]:
        least = self.unbroken + math.floor(doublings(turn.n, 32)) - 1
        yield Test("rises in a row", float(state.rises), float(least), True, "evaluations", state.risen_from_step)
        rise = state.latest[-1] - state.risen_from
        yield Test("rise over them", rise, max(self.material * abs(state.risen_from), self.z_warning * turn.scale))
        yield Test(
            "validation loss over its minimum",
            state.latest[-1] - state.lowest,
            max(self.material * abs(state.lowest), self.excursions * state.recovered),
        )
        # a log by the epoch or by the round; within an epoch a curriculum may begin narrow: nothing generalises then
        by_the_point = view.memory.loss.n <= 1.2 * turn.n
        first = view.memory.loss.head[:5]
        generalised = begins_at_start(view.memory) and state.risen_from < self.unbroken_start * sum(first) / len(first)
        halved = self._fell_by(self.far_fall, state.train_at_rise, turn)
        far = generalised and halved and rise > self.unbroken_rise * abs(state.risen_from)
        yield Test(
            "it fell first, or every row has one, or it began below the training loss, which halved since",
            float(by_the_point or far or state.before > 2 * turn.scale),
            0.5,
        )
        yield Test(
            "fall of the training loss over them",
            state.train_at_rise - turn.train_now,
            self.material * abs(state.train_at_rise),
        )

    def _from_the_first(self, state: OverfittingState, view: View, turn: Turn) -> Iterator[Test]:
        yield Test("evaluation that was the best", float(state.lowest_at), 3.0, False)
        # within an epoch a curriculum may begin narrow
        by_the_point = view.memory.loss.n <= 2 * turn.n
        yield Test("a validation loss in every second row", float(by_the_point), 0.5)
        yield Test("evaluations since", float(turn.age), max(self.first_best_age, 0.7 * turn.n))
        yield Test("rise of the validation loss", turn.rise, self.few_rise * abs(state.minimum))
        yield self._no_noise(state, turn, turn.after)
        yield Test(
            "fall of the training loss since",
            state.train_then - turn.train_now,
            self.first_best_fall * abs(state.train_then),
        )

    def _by_far(self, state: OverfittingState, view: View, turn: Turn) -> Iterator[Test]:
        """It rose by a good part for half of the log and of a known plan while the training loss halved: whatever was
        learned since serves the training data alone, also where the first evaluation was the best."""
        yield Test(
            "rise of the validation loss",
            turn.rise,
            (self.far_few_rise if turn.n < self.few_points else self.far_rise) * abs(state.minimum),
        )
        if turn.n >= self.few_points:
            yield Test("the same in standard errors", turn.z, self.z_warning)
        yield Test(
            "fall of the training loss since", state.train_then - turn.train_now, self.far_fall * abs(state.train_then)
        )
        yield from self.half_done(view, turn)
        yield self._no_noise(state, turn, turn.after)

    def _fell_by(self, share: float, train_then: float, turn: Turn) -> bool:
        return train_then - turn.train_now > share * abs(train_then)

    def _no_noise(self, state: OverfittingState, turn: Turn, after: list[float]) -> Test:
        if state.rises >= turn.n - 1:
            return Test("evaluations that were all above the one before", float(turn.n), float(self.least_points))
        return Test(
            "chance that noise of any spread rises so since the minimum (Kendall's or Student's test)",
            rises_by_chance(after[-FEW:]),
            at_a_look(self.turn_share, turn.n, self.least_points),
            False,
            "probability",
        )

    def half_done(self, view: View, turn: Turn) -> Iterator[Test]:
        """Half of the log is behind the best value, and half of a known plan done."""
        yield Test("evaluations since", float(turn.age), self.far_age * turn.n)
        budget = view.known.budget
        if budget is None:
            yield Test("evaluations", float(turn.n), self.far_points)
        else:
            yield Test("share of the plan", budget, self.far_age)

    def _apart(self, state: OverfittingState, view: View, turn: Turn) -> Iterator[Test]:
        """An excerpt of a run that overfits already: its beginning is not there, the losses are far apart, and the one
        goes on rising while the other does not."""
        yield Test("the beginning is missing", float(not begins_at_start(view.memory)), 0.5)
        least = self.unbroken_apart + math.floor(doublings(turn.n, 32)) - 1
        yield Test("rises in a row", float(state.rises), float(least), True, "evaluations", state.risen_from_step)
        rise = state.latest[-1] - state.risen_from
        yield Test("rise over them", rise, max(self.material * abs(state.risen_from), self.z_warning * turn.scale))
        yield Test("validation loss", state.risen_from, self.apart * state.train_at_rise, True, "training loss")
        noise = difference_scale(view.memory.loss.recent[-64:])
        yield Test("training loss since", turn.train_now, state.train_at_rise + noise, False)
