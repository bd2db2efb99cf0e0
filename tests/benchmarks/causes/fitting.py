"""Magnitudes and base rates by maximum a posteriori: grades and hand-set base rates as the prior mean, signs fixed,
whole families left out in turn.

The model is the engine's own: log-odds of a cause are its prior plus what each group of rows adds, capped; "none of
these" is an answer too. Facts are not fitted: nothing that a curve suggests may outweigh them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from benchmarks.causes.cases import Case
from losswatch_server.monitor.diagnosis.engine import CAP
from losswatch_server.monitor.diagnosis.evidence import ROWS
from losswatch_server.monitor.diagnosis.evidence.row import Grade
from losswatch_server.monitor.diagnosis.priors import NONE, PRIORS, RARE
from losswatch_server.monitor.vocabulary import CauseName, Condition

Array = NDArray[np.float64]

CAUSES = tuple(CauseName)
LARGEST = 6.0
"""No fitted magnitude is larger: a fact is worth 7."""
FOLDS = 8
"""Groups of families, each left out once."""
ROUNDS = 6
"""Turns of the temperatures of conditions and of knowledge; after four nothing moves."""
LEAK = 0.05
"""Slope of the cap while fitting, so that a capped group still feels its data."""


@dataclass(frozen=True, slots=True)
class Design:
    """Cases as arrays: strengths (cases, rows), what is fixed (cases, causes), the injected cause, the condition, and
    weights."""

    strengths: Array
    fixed: Array
    truth: NDArray[np.intp]
    condition: NDArray[np.intp]
    weight: Array


@dataclass(frozen=True, slots=True)
class Fitted:
    """Magnitudes (rows, causes), and what is added to the hand-set base rates (conditions, causes)."""

    magnitudes: Array
    rates: Array


_PLACE = {cause: place for place, cause in enumerate(CAUSES)}
_FITTED = tuple(row for row in ROWS if any(g is not Grade.FACT for _, g in row.grades.values()))
_FACTS = tuple(row for row in ROWS if any(g is Grade.FACT for _, g in row.grades.values()))
_GROUPS = tuple(
    np.array([i for i, row in enumerate(_FITTED) if row.group == group])
    for group in dict.fromkeys(row.group for row in _FITTED)
)
SIGNS = np.zeros((len(_FITTED), len(CAUSES)))
GRADES = np.zeros((len(_FITTED), len(CAUSES)))
for _i, _row in enumerate(_FITTED):
    for _cause, (_sign, _grade) in _row.grades.items():
        if _grade is not Grade.FACT:
            SIGNS[_i, _PLACE[_cause]] = _sign
            GRADES[_i, _PLACE[_cause]] = _grade.log_odds
USED = SIGNS != 0
CONDITIONS = tuple(PRIORS)
POSSIBLE = np.array([[cause in PRIORS[condition] for cause in CAUSES] for condition in CONDITIONS])
"""Causes that a condition can have: only those have a base rate to fit."""
BY_GRADE = Fitted(GRADES, np.zeros(POSSIBLE.shape))
RATES_STRENGTH = 3.0
"""How many times the strength of the prior holds for base rates: which causes were injected more often is not how
often people meet them, and what a condition tells of its cause shows in hundreds of runs."""
FARTHEST = 2.0
"""A fitted base rate is at most so many log-odds from the hand-set one."""


def design(cases: Sequence[Case]) -> Design:
    """The arrays of some cases. A run counts once, in however many ways it is logged."""
    fixed = np.empty((len(cases), len(CAUSES)))
    strengths = np.zeros((len(cases), len(_FITTED)))
    times: dict[str, int] = {}
    for case in cases:
        times[case.run] = times.get(case.run, 0) + 1
    for n, case in enumerate(cases):
        prior = PRIORS[Condition(case.condition)]
        for place, cause in enumerate(CAUSES):
            fixed[n, place] = prior.get(cause, RARE)
        for row in _FACTS:
            strength = case.strengths.get(row.name, 0.0)
            for cause, (sign, grade) in row.grades.items():
                if grade is Grade.FACT and (sign < 0 or cause in prior):
                    fixed[n, _PLACE[cause]] += sign * grade.log_odds * strength
        for i, row in enumerate(_FITTED):
            strengths[n, i] = case.strengths.get(row.name, 0.0)
    truth = np.array([_PLACE[CauseName(case.cause)] for case in cases])
    condition = np.array([CONDITIONS.index(Condition(case.condition)) for case in cases])
    return Design(strengths, fixed, truth, condition, np.array([1 / times[case.run] for case in cases]))


@dataclass(frozen=True, slots=True)
class Patch:
    """What one group of rows touches: some cases and some causes, a small part of them all."""

    rows: NDArray[np.intp]
    where: tuple[NDArray[np.intp], NDArray[np.intp]]
    """Indices of the cases (n, 1) and of the causes (m)."""
    strengths: Array
    """(n, rows)"""


def patches(data: Design) -> list[Patch]:
    """The groups of rows with the cases in which one of them is there."""
    found = []
    for rows in _GROUPS:
        cases = np.flatnonzero((data.strengths[:, rows] > 0).any(axis=1))
        causes = np.flatnonzero(USED[rows].any(axis=0))
        found.append(Patch(rows, (cases[:, None], causes), np.ascontiguousarray(data.strengths[np.ix_(cases, rows)])))
    return found


def scores(data: Design, fitted: Fitted, leak: float = 0.0, of: Sequence[Patch] = ()) -> tuple[Array, list[Array]]:
    """Log-odds (cases, causes), and for each group where its cap does not hold. ``of``: the patches of ``data``."""
    signed, total, free = SIGNS * fitted.magnitudes, data.fixed + fitted.rates[data.condition], []
    for patch in of or patches(data):
        inside = patch.strengths @ signed[np.ix_(patch.rows, patch.where[1])]
        cut = np.clip(inside, -CAP, CAP)
        total[patch.where] += cut + leak * (inside - cut)
        free.append(np.where(cut == inside, 1.0, leak))
    return total, free


def probabilities(total: Array, temperature: Array | float = 1.0) -> Array:
    """Softmax over the causes and "none of these" (the last column)."""
    with_none = np.column_stack([total, np.full(len(total), NONE)])
    with_none = with_none / (temperature[:, None] if isinstance(temperature, np.ndarray) else temperature)
    with_none -= with_none.max(axis=1, keepdims=True)
    odds = np.exp(with_none)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def fit(data: Design, strength: float) -> Fitted:
    """What the cases tell. ``strength``: how many runs the prior is worth, per log-odds squared."""
    count = int(USED.sum())
    start = np.concatenate([GRADES[USED], np.zeros(int(POSSIBLE.sum()))])
    bounds = [(0.0, LARGEST)] * count + [(-FARTHEST, FARTHEST)] * (len(start) - count)
    held = strength * np.concatenate([np.ones(count), np.full(len(start) - count, RATES_STRENGTH)])
    weight, parts = balanced(data), patches(data)

    def objective(values: Array) -> tuple[float, Array]:
        total, free = scores(data, _unpacked(values), LEAK, parts)
        p = probabilities(total)
        likely = np.log(np.maximum(p[np.arange(len(p)), data.truth], 1e-12))
        slope = p[:, :-1] * weight[:, None]
        slope[np.arange(len(p)), data.truth] -= weight
        gradient, rates = np.zeros_like(GRADES), np.zeros(POSSIBLE.shape)
        for patch, open_ in zip(parts, free, strict=True):
            gradient[np.ix_(patch.rows, patch.where[1])] = patch.strengths.T @ (slope[patch.where] * open_)
        np.add.at(rates, data.condition, slope)
        away = values - start
        loss = -float(weight @ likely) + 0.5 * float(held @ away**2)
        return loss, np.concatenate([(gradient * SIGNS)[USED], rates[POSSIBLE]]) + held * away

    return _unpacked(minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-7}).x)


def _unpacked(values: Array) -> Fitted:
    magnitudes, rates, count = np.zeros_like(GRADES), np.zeros(POSSIBLE.shape), int(USED.sum())
    magnitudes[USED], rates[POSSIBLE] = values[:count], values[count:]
    return Fitted(magnitudes, rates)


def left_out(cases: Sequence[Case], data: Design, strength: float | None) -> Array:
    """Log-odds of every case from a fit that never saw its family; None: from the grades alone.

    Families are left out a few at a time: each is in one of ``FOLDS`` groups.
    """
    total, _ = scores(data, BY_GRADE)
    if strength is None:
        return total
    fold = {family: place % FOLDS for place, family in enumerate(sorted({case.family for case in cases}))}
    folds = np.array([fold[case.family] for case in cases])
    for number in sorted(set(folds)):
        out = folds == number
        total[out] = scores(part(data, out), fit(part(data, ~out), strength))[0]
    return total


def part(data: Design, chosen: NDArray[np.bool_]) -> Design:
    """Some of the cases."""
    return Design(
        data.strengths[chosen], data.fixed[chosen], data.truth[chosen], data.condition[chosen], data.weight[chosen]
    )


def balanced(data: Design) -> Array:
    """The weights, those of frequent causes lowered.

    How often a cause was injected says how many ways there are to inject it, not how often people meet it; a fit that
    takes it for a frequency gives up the rare ones. By the root of their numbers causes are weighed half way.
    """
    runs = np.bincount(data.truth, weights=data.weight, minlength=len(CAUSES))
    factor = np.sqrt(runs[runs > 0].mean() / np.maximum(runs, 1.0))[data.truth]
    weight = data.weight * factor
    return np.asarray(weight * (data.weight.sum() / weight.sum()))


def neg_log_likelihood(total: Array, data: Design, temperature: Array | float = 1.0) -> float:
    """Mean over runs."""
    p = probabilities(total, temperature)[np.arange(len(total)), data.truth]
    return float(-(data.weight @ np.log(np.maximum(p, 1e-12))) / data.weight.sum())


def temperature_of(total: Array, data: Design) -> float:
    """The temperature, between a third and three, at which what is said of the first cause is nearest to what is right.

    By Brier's score of the first cause: a proper score, and bounded, so that a few wrong facts do not decide it.
    """
    grid = np.geomspace(1 / 3, 3.0, 67)
    return float(grid[int(np.argmin([brier(total, data, float(t)) for t in grid]))])


def brier(total: Array, data: Design, temperature: Array | float = 1.0) -> float:
    """Mean squared distance of the first cause's probability from 1 where it is right, from 0 where it is wrong."""
    p = probabilities(total, temperature)
    first = p[:, :-1].argmax(axis=1)
    away = p[np.arange(len(p)), first] - (first == data.truth)
    return float(data.weight @ away**2 / data.weight.sum())


def temperatures_of(total: Array, data: Design, groups: Sequence[Sequence[str]]) -> list[dict[str, float]]:
    """For each grouping of the cases a temperature for each group, so that their product scores best: one grouping
    after the other while the rest stands."""
    found = [dict.fromkeys(sorted(set(grouping)), 1.0) for grouping in groups]
    for _ in range(ROUNDS):
        for place, grouping in enumerate(groups):
            others = np.ones(len(total))
            for i, of in enumerate(groups):
                if i != place:
                    others *= [found[i][name] for name in of]
            names = np.array(grouping)
            for name in found[place]:
                chosen = names == name
                found[place][name] = temperature_of(total[chosen] / others[chosen, None], part(data, chosen))
    return found


def calibration_error(p: Array, data: Design, bins: int = 10) -> float:
    """Expected calibration error of the first cause: mean distance of what was said from what was right."""
    first = p[:, :-1].argmax(axis=1)
    said, right = p[np.arange(len(p)), first], first == data.truth
    place = np.minimum((said * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        here = place == b
        if here.any():
            w = data.weight[here]
            error += abs(float(w @ (said[here] - right[here])))
    return error / float(data.weight.sum())


def row_names() -> tuple[str, ...]:
    """The rows that are fitted, in the order of the arrays."""
    return tuple(row.name for row in _FITTED)
