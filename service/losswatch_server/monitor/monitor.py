"""The monitor of one run: a deterministic fold over its record. A batch is only a loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import numpy as np

from losswatch_server.monitor.asked import CALM, EVERY_POINT, EVERYTHING, FINITE_ONLY, WITHOUT_VALIDATION, Asked
from losswatch_server.monitor.batch import Batch
from losswatch_server.monitor.conditions import DETECTORS
from losswatch_server.monitor.diagnoses import diagnose_findings, last_count, next_count, no_diagnoses
from losswatch_server.monitor.faults import Fault, Faults
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.forecast import NOTHING, forecast
from losswatch_server.monitor.known import is_minimised
from losswatch_server.monitor.lifecycle import LifeCycle
from losswatch_server.monitor.loss_kind import NO_KIND, is_of_a_game, loss_kind
from losswatch_server.monitor.memory.memory import NO_LATE, Memory, kind_of
from losswatch_server.monitor.memory.stretch import Stretch, are_plain, odd_places, stretch_of
from losswatch_server.monitor.points import EMPTY_CONTEXT, LARGEST, SMALLEST, Context, Point, tamed
from losswatch_server.monitor.rules.base import QUIET, UNSURE, PassingDetector, View, checked

REVIEW_SHARE = 16
"""Slow conditions are judged at counts that grow by a sixteenth: 11 reviews a doubling, a delay of at most 6 %."""

FORECAST_FROM = 20
"""The forecast (2 ms) is made at counts that grow by a half from here on: 3 us a point at 10,000 points."""
EPOCHS_REVIEWED = 256
"""Logs by the epoch are short, and each point took long to come: every one of the first 256 is a review."""


FIRST_LOSSES = 96
"""Up to here reviews are but a few points apart."""
LEAST_STRETCH = 8
"""Fewer points are folded faster one after the other."""


class Monitor:
    """What is known of one run. ``see`` and its siblings are the fold; the state is bounded (see ``snapshot``).

    ``watched``: its report is wanted again and again, so the causes and advice of findings are kept between points.
    """

    __slots__ = (
        "attempt",
        "context",
        "diagnoses",
        "faults",
        "forecast",
        "kind",
        "last_diagnosis",
        "life",
        "memory",
        "next_diagnosis",
        "next_forecast",
        "next_review",
        "points",
        "states",
        "step",
        "turns_diagnosed",
        "uid",
        "view",
        "watched",
    )

    def __init__(self, uid: str, *, watched: bool = False) -> None:
        self.uid = uid
        self.watched = watched
        self.diagnoses = no_diagnoses()
        self.next_diagnosis = 1
        """The next count of points at which causes are worked out: a property of ``points``."""
        self.last_diagnosis = 0
        """The last such count among the points that are being folded: what was worked out before would be lost."""
        self.turns_diagnosed = 0
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
        _, loss, norm, rate, validation, _, _, _, metrics, rank, null = point
        if (
            loss is not None
            and SMALLEST <= loss <= LARGEST
            and (norm is None or SMALLEST <= norm <= LARGEST)
            and (rate is None or SMALLEST <= rate <= LARGEST)
            and not (validation is not None or metrics or rank or null)
            and self.memory.loss.n + 1 < self.next_review
            and self.view.record is None
            and self.minimised
        ):
            self._see_calm(point, loss)
        else:
            self.judge(tamed(point))

    def _see_calm(self, point: Point, loss: float) -> None:
        """A point between reviews of the usual kind: only the rules are asked that have something to judge in it."""
        step, _, norm, rate, _, _, _, layers, _, _, _ = point
        memory = self.memory
        self.points += 1
        self.step = step
        try:
            memory.loss.add(step, loss)
            memory.loss_missing = 0
            if norm is not None:
                memory.grad_norm.add(step, norm)
            if rate is not None:
                memory.rates.add(step, rate)
            if layers:
                memory.layers.add(layers)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - as for any other point
            self.faults.add("memory", "", step, error)
        view, states, life = self.view, self.states, self.life
        view.context = self.context
        lives = life.lives
        asked = []
        for one in CALM:
            place, _, key, calm = one
            try:
                if (lives and life.is_open(key)) or not calm(states[place], view, point):
                    asked.append(one[:3])
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001 - what fails here fails where it is asked, and counts there
                asked.append(one[:3])
        if asked:
            self._ask_quietly(point, asked)
        if self.watched and (self.points >= self.next_diagnosis or life.turns != self.turns_diagnosed):
            self._diagnose()

    def judge(self, point: Point) -> None:
        """What ``see`` comes to at any point, cut to its range: every rule is asked that is due."""
        if point.rank:
            self._ask_quietly(point, FINITE_ONLY)
            self._diagnose()
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
        review = review and point.loss is not None
        bare = point.validation_loss is None and not point.metrics
        due = EVERYTHING if review else WITHOUT_VALIDATION if bare else EVERY_POINT
        self._ask_quietly(point, self._due(due), review=review)
        if self.watched:
            self._diagnose()

    def see_all(self, points: Sequence[Point], more: int = 0) -> None:
        """``see`` of one point after the other, to the bit; faster by far where nothing happens.

        ``more``: how many of rank 0 follow before anybody wants to know anything of the run.
        """
        if self.watched:
            mine = sum(point.rank == 0 for point in points) if not isinstance(points, Batch) else points.of_rank_0
            self.last_diagnosis = last_count(self.next_diagnosis, self.points + mine + more)
        self._see_all(points)

    def _see_all(self, points: Sequence[Point]) -> None:
        begun, count = 0, len(points)
        if count == 1:
            self.see(points[0])
            return
        while begun < count and (self.memory.loss.n < FIRST_LOSSES or self.view.record is not None):
            self.see(points[begun])
            begun += 1
        points = points[begun:]
        if len(points) < LEAST_STRETCH:
            for point in points:
                self.see(point)
            return
        batch, game = Batch.of(points), self.memory.of_a_game
        odd = [] if are_plain(batch, game) else list(odd_places(batch, game))
        if not odd:
            self._see_plain(batch)
            return
        begun = 0
        for place in odd:
            self._see_all(points[begun:place])
            self.see(points[place])
            begun = place + 1
        self._see_all(points[begun:])

    def _see_plain(self, points: Batch) -> None:
        """From review to review the rules pass over what they need not judge."""
        place, count = 0, len(points)
        stretch = stretch_of(points, self.memory)
        losses = stretch.loss.places
        while place < count:
            review = stretch.loss.taken + max(1, self.next_review - self.memory.loss.n) - 1
            stretch.end = losses[review] if review < len(losses) else count
            if stretch.end - place >= LEAST_STRETCH:
                # sums and squares of losses near the largest float overflow; an infinite spread is the right answer
                with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                    self._pass(stretch, place)
                    place = stretch.end
            for point in points[place : stretch.end + 1]:
                self.see(point)
            place = stretch.end + 1

    def _pass(self, stretch: Stretch, place: int) -> None:
        """Go on to the end of the stretch, asking each rule only where it could not pass."""
        view, end = self.view, stretch.end
        view.context = self.context
        due = self._due(EVERY_POINT)
        stops = [self._stop(asked, stretch, place) for asked in due]
        stretch.layers_from = place
        while place < end:
            stop = min(stops)
            past = min(stop + 1, end)
            if self.points < self.last_diagnosis < self.points + past - place and not self.life.is_empty:
                past = place + self.last_diagnosis - self.points
            self.faults.shield(
                "memory", "", stretch.steps[past - 1], partial(stretch.remember, self.memory, place, past), None
            )
            self.points += past - place
            self.step = stretch.steps[past - 1]
            place = past
            if stop < past:
                self._ask(tamed(stretch.points[stop]), tuple(a for a, at in zip(due, stops, strict=True) if at == stop))
                stops = [
                    self._stop(asked, stretch, place) if at < place else at
                    for asked, at in zip(due, stops, strict=True)
                ]
            if place == end or not self.life.is_empty:
                remember = partial(stretch.remember_layers, self.memory, place)
                self.faults.shield("memory", "", self.step, remember, None)
            self._diagnose()

    def _stop(self, asked: Asked, stretch: Stretch, place: int) -> int:
        """The first place from ``place`` on at which a rule must be asked; it has passed over the points before."""
        index, detector, key = asked
        if place >= stretch.end or not hasattr(detector, "pass_over"):
            return place
        try:
            passing, opened = cast("PassingDetector", detector), self.life.is_open(key)
            stop = passing.pass_over(self.states[index], self.view, stretch, place, opened)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - as where it is asked: its state begins anew
            self.faults.add("rule", key, stretch.steps[place], error)
            self.states[index] = detector.start()
            return place
        return stop

    def see_late(self, point: Point) -> None:
        """Fields that arrive for a step before the last: they enter their series now, nothing is judged anew.

        Validation losses and metrics are judged as they enter; a loss or gradient norm is kept out of the judged
        series, whose order of steps it would break.
        """
        if point.rank:
            return
        late = partial(self.memory.add_late, point.step, tamed(point).validation_loss, point.metrics)
        validation, metrics = self.faults.shield("memory", "", point.step, late, NO_LATE)
        if validation is not None or metrics is not None:
            self._ask_quietly(Point(point.step, validation_loss=validation, metrics=metrics), self._due(EVERY_POINT))
            self._diagnose()

    def see_context(self, context: Context) -> None:
        """The complete context that holds from here on."""
        self.context = context
        self.kind = self.view.kind = loss_kind(context)
        if self.watched and not self.life.is_empty:
            self._diagnose(changed=True)

    def _diagnose(self, *, changed: bool = False) -> None:
        """Work out causes and advice, where this is a place at which that is done (see ``diagnoses``)."""
        if not self.watched:
            return
        turns = self.life.turns
        if self.points >= self.next_diagnosis:
            self.next_diagnosis = next_count(self.next_diagnosis, self.points)
        elif turns == self.turns_diagnosed and not changed:
            return
        if self.points >= self.last_diagnosis:
            self.turns_diagnosed = turns
            self.diagnoses = diagnose_findings(self.life.findings(), self.memory, self.context, self.step)

    @property
    def minimised(self) -> bool:
        """Whether a lower loss is a better model: not so in GANs and reinforcement learning, told by ``objective``, by
        the loss's name or by the metrics."""
        return is_minimised(self.memory, self.context, self.kind)

    def begin_attempt(self, number: int, step: int) -> None:
        """A resume from a checkpoint: this state, rewound to before ``step``, goes on as attempt ``number``."""
        self.attempt = number
        self.life.begin_attempt(number)

    def _due(self, detectors: tuple[Asked, ...]) -> tuple[Asked, ...]:
        """GAN- and RL-like objectives are judged for finiteness alone."""
        return detectors if self.minimised else FINITE_ONLY

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
        if not memory.first_break and (memory.loss_nonfinite or memory.grad_nonfinite):
            memory.first_break = f"{kind_of(loss)}/{kind_of(norm)}"
        rate = point.learning_rate
        if rate is not None and math.isfinite(rate):
            memory.rates.add(step, rate)
        validation = point.validation_loss
        if validation is not None and math.isfinite(validation):
            memory.validation.add(step, validation)
        if point.layers:
            memory.layers.add(point.layers)
        if point.metrics:
            memory.add_metrics(step, point.metrics)
            memory.of_a_game = memory.of_a_game or any(map(is_of_a_game, point.metrics))
        if memory.first_epoch is None and point.epoch is not None and memory.loss.n <= 1:
            memory.first_epoch = point.epoch

    def _ask(self, point: Point, due: Sequence[Asked], *, review: bool = False) -> None:
        """Ask detectors."""
        view, life, states = self.view, self.life, self.states
        lives, record = life.lives, view.record
        view.point, view.context, view.points, view.review = point, self.context, self.points, review
        view.troubled = life.troubled
        view.forget_shape()
        if record is not None:
            record.begin()
        step = point.step if point.rank else max(point.step, self.step)
        for place, detector, key in due:
            if record is not None:
                record.asked = key
            try:
                verdict = detector.step(states[place], view)
                # a quiet verdict matters only to a finding that is open
                if verdict is UNSURE or (verdict is QUIET and (not lives or not life.is_open(key))):
                    continue
                life.take(detector, checked(verdict), step, self.points)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - see Detector: a rule's bug costs its verdict alone
                self.faults.add("rule", key, step, error)
                states[place] = detector.start()

    # sums and squares of losses near the largest float overflow; an infinite spread is then the right answer
    _ask_quietly = np.errstate(over="ignore", invalid="ignore", divide="ignore")(_ask)

    def findings(self) -> tuple[Finding, ...]:
        """Open findings and the latest closed ones; causes and advice are filled in by ``report.assess``."""
        return self.life.findings()

    def drain_changes(self) -> list[Finding]:
        """Findings opened, updated or closed since the last call, in order."""
        changes, self.life.changes = self.life.changes, []
        return changes

    def drain_faults(self) -> list[Fault]:
        """What failed since the last call, for whoever logs and counts."""
        return self.faults.drain() + self.diagnoses.faults.drain()
