"""not_learning, plateau, slow_convergence, converged: one decision over flat runs, from which one of them comes.

A line of the table says where the loss is (at chance, not moved, bad, good), what it does (constant, stopped,
falling) and how much of the run must have passed. The first line that holds decides. Where the level is not known
nothing is said: a floor without a chance level, a first value or a metric may be as good as any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from losswatch_server.monitor.forecast import forecast
from losswatch_server.monitor.known import Need, Needs, Noise
from losswatch_server.monitor.loss_kind import classes_at_chance
from losswatch_server.monitor.precision import precision
from losswatch_server.monitor.rules.base import QUIET, Alarm, Verdict, View, Waiting
from losswatch_server.monitor.rules.flat_beside import (
    barely_moves,
    clipped,
    held_back,
    left_to_gain,
    never_another_number,
    one_number,
    validation_evidence,
    validation_unmoved,
)
from losswatch_server.monitor.rules.flat_levels import (
    at_chance,
    bad,
    blown_up,
    constant,
    error_of_mean,
    exactly_at_chance,
    fell_back,
    good,
    not_moved,
    stays_wrong,
)
from losswatch_server.monitor.rules.flat_parameters import FlatParameters, Tests, is_smooth
from losswatch_server.monitor.rules.flat_stated import (
    as_at_its_start,
    gets_no_lower,
    not_done,
    rests,
    stated,
    stated_or_hurt,
    still_falls,
    unmoved,
)
from losswatch_server.monitor.rules.flat_tests import (
    does_not_move,
    enough,
    enough_for_slow,
    enough_of_one_number,
    falls_too_slowly,
    ignores_its_gradients,
    level_at_end,
    level_error,
    no_longer_shrinks,
    settles,
    stays_at_chance,
    stopped,
)
from losswatch_server.monitor.stats.onset import onset_of_floor, onset_of_loss
from losswatch_server.monitor.vocabulary import Condition, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the decision table: all its tests pass, and the condition is there."""

    condition: Condition
    name: str
    parts: tuple[Callable[[FlatParameters, View], Tests], ...]
    needs: Needs = ()
    severity: Severity = Severity.WARNING
    held: bool = False
    floor: bool = False
    """Whether it began where the floor was reached, else at the start."""
    lost: bool = False
    """Whether it began where a better level was left behind."""

    def tests(self, p: FlatParameters, view: View) -> Tests:
        """All tests of the row."""
        for part in self.parts:
            yield from part(p, view)

    def holds(self, p: FlatParameters, view: View) -> bool:
        """Whether all of them pass."""
        return view.meets(self.needs) and all(test.passes for part in self.parts for test in part(p, view))

    def onset(self, view: View) -> int:
        """The step at which it began."""
        if self.lost:
            return onset_of_loss(view.memory.loss, view.shape.means)
        if self.floor:
            shape = view.shape
            return onset_of_floor(view.memory.loss, shape.first, shape.progress, shape.noise)
        return view.memory.loss.head_steps[0]


C = Condition
CONVERGED = 0.7
"""Confidence in a finding that raises no alarm."""
LEVEL = (Need.QUALITY, Need.CHANCE, Need.START)
"""What says how good a level is."""
STATED = (Need.FACT, Need.SETTING)
SCATTER = Noise("loss", 8)
LINES = (
    Line(condition=C.NOT_LEARNING, name="constant", parts=(constant,)),
    Line(
        condition=C.NOT_LEARNING,
        name="exactly at chance",
        parts=(exactly_at_chance,),
        needs=(Need.START,),
    ),
    Line(condition=C.NOT_LEARNING, name="blown up", parts=(blown_up,), needs=(SCATTER, Need.START)),
    Line(
        condition=C.NOT_LEARNING,
        name="ignores its gradients",
        parts=(ignores_its_gradients, not_moved),
        needs=(SCATTER, Need.START, Need.GRADIENTS, Need.SETTING),
    ),
    Line(
        condition=C.NOT_LEARNING,
        name="validation is one number",
        parts=(never_another_number, enough_of_one_number),
        needs=(Need.VALIDATION,),
    ),
    Line(
        condition=C.NOT_LEARNING,
        name="at chance",
        parts=(at_chance, enough, stays_at_chance),
        needs=(SCATTER, Need.CHANCE),
    ),
    Line(
        condition=C.NOT_LEARNING,
        name="not moved",
        parts=(not_moved, does_not_move, enough),
        needs=(SCATTER, Need.START),
    ),
    Line(
        condition=C.NOT_LEARNING,
        name="answers stay wrong",
        parts=(stays_wrong, enough),
        needs=(SCATTER, Need.START, Need.QUALITY),
    ),
    Line(
        condition=C.NOT_LEARNING,
        name="validation not moved",
        parts=(validation_unmoved, enough),
        needs=(Need.START, Need.VALIDATION, Noise("validation loss", 6)),
    ),
    Line(
        condition=C.PLATEAU,
        name="fell back",
        parts=(fell_back, enough),
        lost=True,
        needs=(Noise("loss", 12), Need.START),
    ),
    Line(
        condition=C.PLATEAU,
        name="validation became one number",
        parts=(one_number, enough_of_one_number),
        floor=True,
        needs=(Need.VALIDATION,),
    ),
    Line(
        condition=C.PLATEAU,
        name="stopped",
        parts=(bad, stopped, enough),
        held=True,
        floor=True,
        needs=(Noise("loss", 10), LEVEL),
    ),
    Line(
        condition=C.PLATEAU,
        name="settles",
        parts=(bad, settles, enough),
        held=True,
        floor=True,
        needs=(Noise("loss", 40), LEVEL),
    ),
    Line(
        condition=C.SLOW_CONVERGENCE,
        name="too slow",
        parts=(falls_too_slowly, enough_for_slow),
        needs=(
            Noise("loss", 24),
            (Need.CHANCE, Need.START),
        ),
    ),
    Line(
        condition=C.SLOW_CONVERGENCE,
        name="clipped",
        parts=(clipped, left_to_gain, enough_for_slow),
        needs=(SCATTER, Need.SETTING, Need.GRADIENTS, Need.UNCLIPPED, Need.START),
    ),
    Line(
        condition=C.SLOW_CONVERGENCE,
        name="held back",
        parts=(held_back, not_done, still_falls, enough_for_slow),
        needs=(SCATTER, Need.SETTING, Need.RATE, Need.GRADIENTS, Need.START),
    ),
    Line(
        condition=C.SLOW_CONVERGENCE,
        name="barely moves",
        parts=(barely_moves, enough_for_slow),
        needs=(Need.SETTING, Need.RATE, Need.GRADIENTS, Need.START),
    ),
    Line(
        condition=C.NOT_LEARNING,
        name="not moved, and the client says why",
        parts=(stated, unmoved, does_not_move, enough),
        needs=(STATED, SCATTER, Need.START),
    ),
    Line(
        condition=C.PLATEAU,
        name="stopped, and the client says why",
        parts=(stated, not_done, rests, enough),
        floor=True,
        needs=(STATED, SCATTER, Need.START),
    ),
    Line(
        condition=C.SLOW_CONVERGENCE,
        name="not done, and the client says why",
        parts=(stated, not_done, still_falls, enough_for_slow),
        needs=(STATED, SCATTER, Need.START),
    ),
    Line(
        condition=C.NOT_LEARNING,
        name="where it began, and the client says why",
        parts=(stated_or_hurt, as_at_its_start, gets_no_lower),
        needs=(STATED, SCATTER, Need.START, Need.BUDGET),
    ),
    Line(
        condition=C.PLATEAU,
        name="no lower, and the client says why",
        parts=(stated_or_hurt, not_done, gets_no_lower),
        floor=True,
        needs=(STATED, SCATTER, Need.START, Need.BUDGET),
    ),
    Line(
        condition=C.CONVERGED,
        name="settled",
        needs=(Noise("loss", 10),),
        parts=(good, stopped, no_longer_shrinks),
        severity=Severity.INFO,
        floor=True,
    ),
)
"""The first row that holds decides."""
OF_VALIDATION = ("validation is one number", "validation not moved", "validation became one number")


def decided(p: FlatParameters, view: View) -> Line | None:
    """The row that decides at this point; None where nothing can be said. Computed once per point."""
    if view.flat is None:
        view.flat = (next((line for line in LINES if line.holds(p, view)), None),)
    row: Line | None = view.flat[0]
    return row


PRINTED = 1e-4
"""Relative step of a loss that was printed with few digits."""
NEAREST = 2e-3
"""Share of ln K within which a loss that rests there is called chance level for K classes."""


def _chance_classes(view: View) -> int | None:
    """The number of classes whose chance level this loss is to the printed digits, where chance is not known."""
    shape = view.shape
    if shape.chance is not None or not view.kind.may_classify or not shape.level > 0:
        return None
    known_to = max(0.5 * shape.quantum, 2 * error_of_mean(view, 8), PRINTED * shape.level) / shape.level
    return classes_at_chance(shape.level, min(known_to, NEAREST), view.context.num_classes)


def _evidence(p: FlatParameters, view: View, row: Line) -> dict[str, Any]:
    shape = view.shape
    evidence: dict[str, Any] = {
        "rule": row.name,
        "first_level": shape.first,
        "level": shape.now,
        "progress": shape.progress,
        "progress_share": shape.share,
        "noise": shape.noise,
        "slope_t": shape.t_half,
        "chance_level": shape.chance,
        "points": shape.n,
    }
    if row.name in OF_VALIDATION:
        evidence |= validation_evidence(view)
    if row.condition is C.NOT_LEARNING:
        evidence |= {
            "minimal_detectable": 3 * level_error(view),
            "constant": shape.constant,
            "unmoved_by_gradient": row.name == "ignores its gradients",
            "blown_up": row.name == "blown up",
            "chance_classes": _chance_classes(view),
        }
    if row.condition is C.PLATEAU:
        evidence |= {
            "expected_floor": forecast(view.memory, view.context).floor if row.name == "settles" else None,
            "best_level": shape.best if row.lost else None,
        }
    if row.condition is C.SLOW_CONVERGENCE:
        evidence |= {"level_at_end": level_at_end(view), "slope_per_point": shape.slope_half}
    return evidence


def needs_of(condition: Condition) -> Mapping[str, Needs]:
    """Of each row that says a condition."""
    return {line.name: (Need.MINIMISED, *line.needs) for line in LINES if line.condition is condition}


@dataclass(slots=True)
class FlatState:
    """``since`` is the count of points at which the present row began to hold, 0 while none does."""

    since: int = 0
    row: str = ""
    opened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat(FlatParameters):
    """A detector of one of the table's conditions."""

    condition: ClassVar[Condition] = Condition.NOT_LEARNING
    series: ClassVar[str] = "loss"
    every_point: ClassVar[bool] = False
    needs: ClassVar[Mapping[str, Needs]] = {}

    def start(self) -> FlatState:
        return FlatState()

    def step(self, state: FlatState, view: View) -> Verdict:
        shape = view.shape
        if shape.n < self.least_points:
            return Waiting(self.least_points - shape.n)
        row = decided(self, view)
        if view.explains:
            for own in LINES:
                if own.condition is self.condition:
                    view.holds(own.name, own.tests(self, view), own.needs)
        if row is None or row.condition is not self.condition:
            state.since, state.row, state.opened = 0, "", False
            return QUIET
        if state.since == 0:
            state.since = shape.n
        state.row = row.name
        # without noise there is nothing to wait for
        held = not row.held or state.opened or state.since < self.hold_points or is_smooth(shape)
        if not held and shape.n < self.hold * state.since:
            return QUIET
        state.opened = True
        return Alarm(
            onset_step=row.onset(view),
            confidence=CONVERGED if row.condition is C.CONVERGED else precision(row.condition, row.name, view.kind),
            severity=row.severity,
            evidence=_evidence(self, view, row),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NotLearning(Flat):
    """Constant, at chance, not moved since its start, or blown up and not come back."""

    condition: ClassVar[Condition] = Condition.NOT_LEARNING
    needs: ClassVar[Mapping[str, Needs]] = needs_of(Condition.NOT_LEARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau(Flat):
    """Fell, then stopped at a bad floor."""

    condition: ClassVar[Condition] = Condition.PLATEAU
    needs: ClassVar[Mapping[str, Needs]] = needs_of(Condition.PLATEAU)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowConvergence(Flat):
    """Falling, but not to arrive by the end of the plan."""

    condition: ClassVar[Condition] = Condition.SLOW_CONVERGENCE
    needs: ClassVar[Mapping[str, Needs]] = needs_of(Condition.SLOW_CONVERGENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Converged(Flat):
    """Information only: stopped at a good floor."""

    condition: ClassVar[Condition] = Condition.CONVERGED
    needs: ClassVar[Mapping[str, Needs]] = needs_of(Condition.CONVERGED)
