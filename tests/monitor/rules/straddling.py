"""Runs that differ in one thing, and stand to the two sides of one limit of a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from losswatch_server.monitor.conditions import CONDITIONS
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import conditions, points, watch

Run = tuple[list[Point], Context]
Said = Callable[[Monitor], bool]
NOTHING = Context()
EPOCHS = Context(step_unit="epoch", loss_name="mse")
SQUARES = Context(loss_name="mse")


@dataclass(frozen=True, slots=True)
class Pair:
    """A family of runs with one knob: where it is said, and where no longer."""

    said: Said
    family: Callable[[Any], Run]
    just: Any
    just_not: Any

    def holds(self) -> bool:
        """Whether it is said of the one run and not of the other."""
        there, not_there = (self.said(watch(*self.family(knob))) for knob in (self.just, self.just_not))
        return there and not not_there


def alarms_of(condition: Condition) -> Said:
    """The run has, or had, an alarm of the condition."""
    return lambda monitor: str(condition) in conditions(monitor)


def found_any(condition: Condition) -> Said:
    """The run has, or had, a finding of the condition, be it informative."""
    return lambda monitor: any(f.condition is condition for f in monitor.findings())


def severe(condition: Condition, rank: int) -> Said:
    """A finding of the condition was that severe: 1 a warning, 2 critical."""
    return lambda monitor: any(f.condition is condition and f.severity.rank >= rank for f in monitor.findings())


def still_open(condition: Condition) -> Said:
    """A finding of the condition is open at the end."""
    return lambda monitor: any(f.condition is condition and f.is_open for f in monitor.findings())


def a_run(losses: Iterable[float], context: Context = NOTHING, **series: Iterable[float]) -> Run:
    """A point per loss."""
    return points(list(losses), **{name: list(values) for name, values in series.items()}), context


def every(stride: int, run: Run) -> Run:
    """The same losses, that many steps apart."""
    return [point._replace(step=point.step * stride) for point in run[0]], run[1]


def noise(n: int, size: float, seed: int = 0) -> np.ndarray:
    """Normal noise."""
    return size * np.random.default_rng(seed).normal(size=n)


def decay(n: int, span: float) -> np.ndarray:
    """From 1 to 0."""
    return np.exp(-np.arange(n) / span)


def wandering(n: int, size: float, seed: int, memory: float = 0.9) -> np.ndarray:
    """Noise that remembers: each value is nine tenths of the one before, and something new."""
    new, values = noise(n, size, seed), np.zeros(n)
    for i in range(1, n):
        values[i] = memory * values[i - 1] + new[i]
    return values


def squares_until(total_steps: int) -> Context:
    """A squared error with a plan."""
    return Context(loss_name="mse", total_steps=total_steps)


def parameters() -> set[str]:
    """Every numeric parameter of every rule, by the class that defines it."""
    found = set()
    for rule in (rule for traits in CONDITIONS.values() for rule in traits.rules):
        for parameter in fields(rule):  # type: ignore[arg-type]
            owner = next(
                b for b in reversed(type(rule).__mro__) if parameter.name in vars(b).get("__annotations__", {})
            )
            if not isinstance(getattr(rule, parameter.name), bool):
                found.add(f"{owner.__name__}.{parameter.name}")
    return found
