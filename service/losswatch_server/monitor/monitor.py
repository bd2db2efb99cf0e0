"""The monitor of one run: a deterministic fold over its record. A batch is only a loop."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from losswatch_server.monitor.conditions import DETECTORS
from losswatch_server.monitor.faults import Fault, Faults
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.forecast import NOTHING, forecast
from losswatch_server.monitor.lifecycle import LifeCycle, key_of
from losswatch_server.monitor.loss_kind import NO_KIND, is_of_a_game, loss_kind
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.points import EMPTY_CONTEXT, Context, Point, tamed
from losswatch_server.monitor.rules.base import QUIET, UNSURE, View, checked
from losswatch_server.monitor.vocabulary import Condition

REVIEW_SHARE = 16
"""Slow conditions are judged at counts that grow by a sixteenth: 11 reviews a doubling, a delay of at most 6 %."""

FORECAST_FROM = 20
"""The forecast (2 ms) is made at counts that grow by a half from here on: 3 us a point at 10,000 points."""
EPOCHS_REVIEWED = 256
"""Logs by the epoch are short, and each point took long to come: every one of the first 256 is a review."""


_EVERYTHING = tuple((i, d, key_of(d)) for i, d in enumerate(DETECTORS))
_EVERY_POINT = tuple(asked for asked in _EVERYTHING if asked[1].every_point)
_FINITE_ONLY = tuple(asked for asked in _EVERYTHING if asked[1].condition is Condition.NON_FINITE)


class Monitor:
    """What is known of one run. ``see`` and its siblings are the fold; the state is bounded (see ``snapshot``)."""

    __slots__ = (
        "attempt",
        "context",
        "faults",
        "forecast",
        "kind",
        "life",
        "memory",
        "next_forecast",
        "next_review",
        "points",
        "states",
        "step",
        "uid",
        "view",
    )

    def __init__(self, uid: str) -> None:
        self.uid = uid
        self.attempt = 1
        self.points = 0
        self.step = -1
        self.context: Context = EMPTY_CONTEXT
        self.kind = NO_KIND
        self.memory = Memory()
        self.states: list[Any] = [detector.start() for detector in DETECTORS]
        self.life = LifeCycle(uid)
        self.next_review = 1
        self.next_forecast = FORECAST_FROM
        self.forecast = NOTHING
        self.faults = Faults()
        self.view = View(memory=self.memory)

    def see(self, point: Point) -> None:
        """Fold the next point: a step above the last for rank 0, any step for other ranks."""
        point = tamed(point)
        if point.rank:
            self._ask(point, finite_only=True)
            return
        memory = self.memory
        self.points += 1
        self.step = point.step
        try:
            self._remember(point)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the shield without its call: this is done at every point
            self.faults.add("memory", "", point.step, error)
        loss = memory.loss
        review = loss.n >= self.next_review
        if review:
            if loss.n >= self.next_forecast:
                self.forecast = self.faults.shield(
                    "forecast", "", point.step, partial(forecast, memory, self.context), NOTHING
                )
                self.next_forecast = loss.n + loss.n // 2
            few = self.context.step_unit == "epoch" and loss.n < EPOCHS_REVIEWED
            self.next_review = loss.n + (1 if few else max(1, loss.n // REVIEW_SHARE))
        self._ask(point, review=review and point.loss is not None)

    def see_late(self, point: Point) -> None:
        """Fields that arrive for a step before the last: they enter their series now, nothing is judged anew.

        Validation losses are judged as they enter; a loss or gradient norm is kept out of the judged series, whose
        order of steps it would break.
        """
        value = tamed(point).validation_loss
        if value is None or point.rank:
            return
        track = self.memory.validation
        if point.step > track.last_step:
            if math.isfinite(value):
                self.faults.shield("memory", "", point.step, partial(track.add, point.step, value), False)
            self._ask(Point(point.step, validation_loss=value))

    def see_context(self, context: Context) -> None:
        """The complete context that holds from here on."""
        self.context = context
        self.kind = self.view.kind = loss_kind(context)

    @property
    def minimised(self) -> bool:
        """Whether a lower loss is a better model: not so in GANs and reinforcement learning, told by ``objective``, by
        the loss's name or by the metrics."""
        return self.kind.minimised and (not self.memory.of_a_game or self.context.objective is not None)

    def begin_attempt(self, number: int, step: int) -> None:
        """A resume from a checkpoint: this state, rewound to before ``step``, goes on as attempt ``number``."""
        self.attempt = number
        self.life.begin_attempt(number)

    def _remember(self, point: Point) -> None:
        memory, step = self.memory, point.step
        loss = point.loss
        if loss is not None and math.isfinite(loss):
            memory.loss.add(step, loss)
            memory.loss_missing = 0
        elif loss is not None:
            memory.loss_nonfinite += 1
        else:
            memory.loss_missing += 1
        norm = point.grad_norm
        if norm is not None:
            if math.isfinite(norm):
                memory.grad_norm.add(step, norm)
                if norm == 0:
                    memory.grad_zero += 1
            else:
                memory.grad_nonfinite += 1
        rate = point.learning_rate
        if rate is not None and math.isfinite(rate):
            memory.rates.add(step, rate)
        validation = point.validation_loss
        if validation is not None and math.isfinite(validation):
            memory.validation.add(step, validation)
        if point.layers:
            memory.layers.add(point.layers)
        if point.metrics:
            memory.quality.add(point.metrics)
            memory.of_a_game = memory.of_a_game or any(map(is_of_a_game, point.metrics))
        if memory.first_epoch is None and point.epoch is not None and memory.loss.n <= 1:
            memory.first_epoch = point.epoch

    def _ask(self, point: Point, *, review: bool = False, finite_only: bool = False) -> None:
        """Ask the detectors that are due. GAN- and RL-like objectives are judged for finiteness alone."""
        view, life = self.view, self.life
        view.point, view.context, view.points, view.review = point, self.context, self.points, review
        view.troubled = life.troubled
        view.forget_shape()
        if view.record is not None:
            view.record.begin()
        due = _EVERYTHING if review else _EVERY_POINT
        if finite_only or not self.minimised:
            due = _FINITE_ONLY
        states = self.states
        step = point.step if point.rank else max(point.step, self.step)
        # sums and squares of losses near the largest float overflow; an infinite spread is then the right answer
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for place, detector, key in due:
                if view.record is not None:
                    view.record.asked = key
                try:
                    verdict = detector.step(states[place], view)
                    # a quiet verdict matters only to a finding that is open
                    if verdict is UNSURE or (verdict is QUIET and not life.is_open(key)):
                        continue
                    life.take(detector, checked(verdict), step, self.points)
                except MemoryError:
                    raise
                except Exception as error:  # noqa: BLE001 - see Detector: a rule's bug costs its verdict alone
                    self.faults.add("rule", key, step, error)
                    states[place] = detector.start()

    def findings(self) -> tuple[Finding, ...]:
        """Open findings and the latest closed ones; causes and advice are filled in by ``report.assess``."""
        return self.life.findings()

    def drain_changes(self) -> list[Finding]:
        """Findings opened, updated or closed since the last call, in order."""
        changes, self.life.changes = self.life.changes, []
        return changes

    def drain_faults(self) -> list[Fault]:
        """What failed since the last call, for whoever logs and counts."""
        return self.faults.drain()
