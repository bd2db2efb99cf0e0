"""Everything a run's monitor remembers of its series: what detectors, causes and forecasts read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import methodcaller

import numpy as np
from numpy.typing import NDArray

from losswatch_server.monitor.memory.held_out import HeldOut
from losswatch_server.monitor.memory.quality import Quality
from losswatch_server.monitor.memory.track import Track

RATE_CHANGES = 64
MAX_LAYERS = 1024
LAYER_HALF_LIFE = 8.0
SMALLEST_NORM = 1e-45
"""Stands for 0: below float32's smallest number."""
RESTART = 3.0
"""Times the learning rate before."""
SETTLED = 12
"""Points from which on each weighs as much as the next."""
_LAYER_WEIGHT = 1.0 - 0.5 ** (1.0 / LAYER_HALF_LIFE)


Array = NDArray[np.float64]
_values_of = methodcaller("values")
_LEAST_LOGARITHM = math.log(SMALLEST_NORM)


def _logarithms(sizes: list[float]) -> Array | None:
    """None where one has none. Not NumPy's logarithm, whose last bit may be another one."""
    try:
        return np.fromiter(map(math.log, sizes), np.float64, len(sizes))
    except ValueError:
        return None


@dataclass(slots=True)
class Rates:
    """The learning rate as it was sent: the changes (at most 64, neighbours thinned), the first and the peak."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    peak: float = 0.0
    last_step: int = -1

    def add(self, step: int, rate: float) -> None:
        """Remember a rate; only changes take room."""
        self.last_step = step
        self.peak = max(self.peak, rate)
        if self.values and self.values[-1] == rate:
            return
        self.steps.append(step)
        self.values.append(rate)
        if len(self.values) > RATE_CHANGES:
            self.steps = self.steps[: RATE_CHANGES // 2 : 2] + self.steps[RATE_CHANGES // 2 :]
            self.values = self.values[: RATE_CHANGES // 2 : 2] + self.values[RATE_CHANGES // 2 :]

    def add_all(self, steps: Sequence[int], rates: Sequence[float]) -> None:
        """``add`` of one after the other."""
        first, before = 0, self.current
        while first < len(rates) and rates[first] == before:
            first += 1
        if first and before is not None:
            self.peak = max(self.peak, before)
        for step, rate in zip(steps[first:], rates[first:], strict=True):
            self.add(step, rate)
        self.last_step = steps[-1]

    def at(self, step: int) -> float | None:
        """The rate in force at a step, None before the first."""
        rate = None
        for changed, value in zip(self.steps, self.values, strict=True):
            if changed > step:
                break
            rate = value
        return rate

    def restarted(self, since_step: int, until_step: int) -> bool:
        """Whether, after the one step and up to the other, a schedule began anew (warm restarts): the rate went up at
        one stroke, to no more than it had been."""
        return any(
            since_step < step <= until_step and after >= RESTART * before > 0 and after <= max(self.values[:i])
            for i, (step, before, after) in enumerate(
                zip(self.steps[1:], self.values, self.values[1:], strict=False), start=1
            )
        )

    @property
    def current(self) -> float | None:
        """The latest rate."""
        return self.values[-1] if self.values else None


@dataclass(slots=True)
class Layers:
    """Per layer two numbers: the mean of ln(norm) over its first 8 points, and an exponentially weighted one now.

    A norm of exactly 0 counts as 1e-45 (below float32's smallest), so that "always 0" and "became 0" stay visible:
    ln 1e-45 = -103.6. Non-finite norms are left out.
    """

    names: list[str] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    now: list[float] = field(default_factory=list)
    points: int = 0

    def add(self, norms: Mapping[str, float]) -> None:
        """Take the layers' norms of one point."""
        if self.names != list(norms):
            self._enlarge(norms)
        self.points += 1
        weight = max(_LAYER_WEIGHT, 1.0 / self.points)
        early = 1.0 / self.points if self.points <= 8 else 0.0
        now, first = self.now, self.first
        isfinite, log = math.isfinite, math.log
        for i, norm in enumerate(map(norms.get, self.names)):
            if norm is None or not isfinite(norm):
                continue
            size = abs(norm)
            logarithm = log(size if size > SMALLEST_NORM else SMALLEST_NORM)
            before = now[i]
            if before != before:  # NaN: the first value of this layer
                now[i] = first[i] = logarithm
                continue
            now[i] = before + weight * (logarithm - before)
            if early:
                first[i] += early * (logarithm - first[i])

    def logarithms(self, rows: Sequence[Mapping[str, float] | None]) -> Array | None:
        """Those of the norms of many points, shape (points, layers); None unless each of the points brings every layer,
        no layer is new, and all have settled."""
        names = self.names
        norms = [row for row in rows if row is not None]
        if self.points < SETTLED or not names or len(norms) < len(rows):
            return None
        if not all(map(names.__eq__, map(list[str], norms))):
            return None
        if not math.isfinite(sum(self.now)):
            return None
        sizes: list[float] = list(chain.from_iterable(map(_values_of, norms)))
        flat = _logarithms(sizes)
        if flat is None or flat.min() <= _LEAST_LOGARITHM:
            flat = _logarithms([max(abs(size), SMALLEST_NORM) for size in sizes])
        if flat is None or not math.isfinite(flat.sum()):
            return None
        return flat.reshape(len(rows), len(names))

    def add_all(self, logarithms: Array) -> None:
        """``add`` of points of which ``logarithms`` gave these rows."""
        self.points += len(logarithms)
        now, change, weight = np.array(self.now), np.empty(len(self.now)), np.array(_LAYER_WEIGHT)
        add, subtract, multiply = np.add, np.subtract, np.multiply
        for row in logarithms:
            subtract(row, now, change)
            multiply(change, weight, change)
            add(now, change, now)
        self.now = now.tolist()

    def _enlarge(self, norms: Mapping[str, float]) -> None:
        known = set(self.names)
        for name in norms:
            if name not in known and len(self.names) < MAX_LAYERS:
                self.names.append(name)
                self.first.append(math.nan)
                self.now.append(math.nan)


def kind_of(value: float | None) -> str:
    """``nan``, ``inf`` (of either sign), ``finite``, or ``-`` where nothing was measured."""
    if value is None:
        return "-"
    return "finite" if math.isfinite(value) else "nan" if math.isnan(value) else "inf"


Late = tuple[float | None, Mapping[str, float] | None]
NO_LATE: Late = (None, None)


@dataclass(slots=True)
class Memory:
    """The series of one run, of the lineage that is judged."""

    loss: Track = field(default_factory=Track)
    grad_norm: Track = field(default_factory=Track)
    validation: Track = field(default_factory=Track)
    rates: Rates = field(default_factory=Rates)
    layers: Layers = field(default_factory=Layers)
    loss_missing: int = 0
    """Consecutive points that carried no usable loss."""
    loss_nonfinite: int = 0
    grad_nonfinite: int = 0
    first_break: str = ""
    """Loss and gradient norm of the first point where one of them was not finite: ``nan``, ``inf``, ``finite`` or
    ``-`` each, as in ``finite/inf``."""
    grad_zero: int = 0
    """Points whose gradient norm was exactly 0."""
    first_epoch: float | None = None
    """The first point's ``epoch``."""
    of_a_game: bool = False
    """Whether a metric was sent that GANs or reinforcement learning log."""
    quality: Quality = field(default_factory=Quality)
    held_out: HeldOut = field(default_factory=HeldOut)

    def add_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Remember those of a point that say how good the model is."""
        self.quality.add(metrics)
        self.held_out.add(step, metrics)

    def add_late(self, step: int, validation: float | None, metrics: Mapping[str, float] | None) -> Late:
        """Remember a validation loss and metrics of a step before the last; gives back those that are not behind the
        end of their series."""
        if validation is not None and step <= self.validation.last_step:
            validation = None
        if validation is not None and math.isfinite(validation):
            self.validation.add(step, validation)
        if metrics is None or step <= self.held_out.last_step:
            return validation, None
        self.held_out.add(step, metrics)
        return validation, metrics if self.held_out.last_step == step else None
