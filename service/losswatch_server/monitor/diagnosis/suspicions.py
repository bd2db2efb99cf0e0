"""What is most likely wrong if the person is not content, where no rule found anything beyond doubt.

A suspicion never notifies and changes neither status nor action. It asks less than a rule: one look at the end of the
log, no hold, no demand for a known start or chance level. What is not known of a log is no suspicion.

Their probabilities are counted on the develop half's runs in which no finding is open at the end, weighed as if two in
five were ill: whoever asks has a reason. Of 1,412 levels that rest 0.35 came true, of 343 that hardly move 0.64, of 324
that creep 0.48, of 18 that rise 0.33, of 88 that begin too high 0.34; a map fitted to finer steps made none of them
better on families left out. Of 20 faults that the client states all came true. Of 100 validation losses that stand a
fifth or more above their best, 7 of the 22 with a training loss below half of them were overfitting (0.42, drawn
towards the 0.09 of all with a weight of 30), and of the others none. A scatter by a third of the level or more was
oscillation in 8 of 150 runs, which is too seldom to be told.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from losswatch_server.monitor.diagnosis.measures import Measured
from losswatch_server.monitor.findings import Advice, Cause, Finding
from losswatch_server.monitor.loss_kind import Family
from losswatch_server.monitor.sentences import chance_for, counted, number, percent
from losswatch_server.monitor.vocabulary import Condition, Severity

MOST = 3
LEAST_PROBABILITY = 0.1
LEAST_POINTS = 8
FAR_BELOW, STEADILY = 20.0, 0.2
"""Times the first loss, or 1, below 0; share of the whole fall that the last quarter brought (of a line 0.25)."""
GROWN, SMOOTHER, LARGEST_AT_LOWEST = 10.0, 0.35, -0.5
"""Of the gradient norm: times its start, share of its first scatter, rank correlation with the loss."""
NEAREST = 2e-3
"""Share of ln K within which a loss that rests there is called chance level for K classes."""
ROUNDED = 3.0
"""Steps in which the validation loss was printed that a rise must exceed: 0.0003 to 0.0005 is none."""
OUT_OF_PROPORTION, FEW_UNITS, LEAST_LEFT = 30.0, 3.0, 0.05
"""First squared error, and what is left of it, of a run that began far too high for its targets. Of 1,488 squared
errors without an open finding 20 began at 30 to 10,000, all of them ill; none has targets in large units, so less is
said."""
APART = 0.5
"""Share of the validation loss below which the training loss has left it behind."""
BETTER = 0.1
GOOD = 0.97
"""Share of the first loss that is gone from which on a floor is more likely good than not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """A condition that is likely but not beyond doubt."""

    condition: Condition
    probability: float
    summary: str
    causes: tuple[Cause, ...] = ()
    advice: tuple[Advice, ...] = ()


Suspect = Callable[[Measured], Suspicion | None]


def suspects(measured: Measured) -> list[Suspicion]:
    """The suspicions, most probable first, at most three; causes and advice are added by the report."""
    found = [suspicion for suspect in _SUSPECTS if (suspicion := suspect(measured)) is not None]
    likely = [s for s in found if s.probability >= LEAST_PROBABILITY]
    kept: list[Suspicion] = []
    for suspicion in sorted(likely, key=lambda s: -s.probability):
        if not any(_same_flatness(suspicion, other) for other in kept):
            kept.append(suspicion)
    return kept[:MOST]


_FLAT = frozenset({Condition.PLATEAU, Condition.NOT_LEARNING, Condition.SLOW_CONVERGENCE})


def _same_flatness(one: Suspicion, other: Suspicion) -> bool:
    """A loss is flat for one reason at a time."""
    return one.condition in _FLAT and other.condition in _FLAT


def as_finding(suspicion: Suspicion, measured: Measured, step: int) -> Finding:
    """The finding that it would be, for the ranking of causes."""
    onset = measured.loss.first_step if measured.loss else 0
    return Finding(
        id="f_suspected", condition=suspicion.condition, series="loss", attempt=1, episode=0,
        severity=Severity.WARNING, confidence=suspicion.probability, onset_step=onset, opened_step=step,
        last_step=step, summary=suspicion.summary,
    )  # fmt: skip


def _soft(value: float, centre: float, width: float) -> float:
    return 1 / (1 + math.exp(-min(max((value - centre) / width, -50.0), 50.0)))


def _levels_off(m: Measured) -> Suspicion | None:
    """The last quarter brought little, and the rest of a geometric decay would bring little more."""
    loss = m.loss
    if loss is None or loss.points < LEAST_POINTS or not loss.latest > 0 or loss.still_to_gain is None:
        return None
    rest = loss.still_to_gain / loss.latest
    if rest > 0.05:
        return None
    gained = ""
    likely = 0.35
    if m.from_start and loss.first > loss.latest:
        start = max(loss.first, min(loss.very_first, loss.first + 2 * loss.noise_first))
        fall = 1 - loss.latest / start
        if fall < 0.05:
            return None
        gained = f", with {_share(fall)} of the start ({number(start)}) gained"
        likely = 0.15 + 0.35 * (1 - _soft(fall, 0.6, 0.12))
        likely *= 1 - 0.8 * _soft(fall, GOOD, 0.01)
    elif m.from_start:
        return None
    likely *= 1 - 0.6 * _accurate(m)
    more = "less than 1 %" if rest < 0.01 else f"about {percent(rest)}"
    return Suspicion(
        condition=Condition.PLATEAU,
        probability=likely,
        summary=f"It levels off at {number(loss.latest)}{gained}; more of the same steps will gain {more}.",
    )


def _share(fall: float) -> str:
    """A share in words where a word is exact enough."""
    for words, share in (("a third", 1 / 3), ("a half", 0.5), ("two thirds", 2 / 3)):
        if abs(fall - share) < 0.02:
            return words
    return percent(fall)


def _accurate(m: Measured) -> float:
    """How good the accuracy is, 0 where none is known."""
    now = m.quality.now if m.quality else None
    return 0.0 if now is None else _soft(now, 0.85, 0.04)


def _answers_better(m: Measured) -> bool:
    """The share of right answers has risen by a tenth of all: a loss that rests does not show what is learned."""
    return m.quality is not None and m.quality.now is not None and m.quality.now - (m.quality.first or 0.0) > BETTER


def _hardly_moves(m: Measured) -> Suspicion | None:
    """Since a known start the loss moved by no more than its noise."""
    loss = m.loss
    if loss is None or loss.points < LEAST_POINTS or not m.from_start or loss.fall > 0.1:
        return None
    moved = abs(loss.first - loss.now)
    noise = max(loss.noise, loss.quantum / 2)
    if (loss.change is not None and loss.change > 4 and moved > noise) or _answers_better(m):
        return None
    level = "" if m.chance is None or m.chance_inferred else f"; chance level is {number(m.chance)}"
    same = number(loss.first) == number(loss.now)
    levels = number(loss.now, 4) if same else f"{number(loss.first)} to {number(loss.now)}"
    if m.chance is not None and m.chance_inferred and abs(loss.now / m.chance - 1) < NEAREST:
        level = chance_for(round(math.exp(m.chance)))
    likely = 0.6 + 0.1 * _soft(loss.points, 40, 15) * (1 - _soft(loss.fall, 0.05, 0.01))
    return Suspicion(
        condition=Condition.NOT_LEARNING,
        probability=likely * (1 - _accurate(m)),
        summary=f"In {counted(loss.points, 'point')} it has "
        f"{'risen instead of falling' if m.risen else 'hardly moved'}: {levels}{level}.",
    )


def _creeps(m: Measured) -> Suspicion | None:
    """It falls beyond doubt, and little of the start is gone."""
    loss = m.loss
    if loss is None or loss.points < 24 or not m.from_start or loss.change is None or loss.late_change is None:
        return None
    if loss.change < 4 or loss.late_change < 2 or not 0 < loss.fall < 0.3 or m.blew_up:
        return None
    return Suspicion(
        condition=Condition.SLOW_CONVERGENCE,
        probability=0.5,
        summary=f"It falls steadily but slowly: {percent(loss.fall)} of the start in {counted(loss.points, 'point')}, "
        f"from {number(loss.first)} to {number(loss.now)}.",
    )


def _rises(m: Measured) -> Suspicion | None:
    """It is above its best level and has risen since."""
    loss = m.loss
    if loss is None or loss.points < LEAST_POINTS or loss.late_change is None or not loss.best_level > 0:
        return None
    over = loss.now / loss.best_level
    if loss.late_change > -3 or over < 1.15:
        return None
    return Suspicion(
        condition=Condition.DIVERGING,
        probability=0.2 + 0.4 * _soft(math.log(over), math.log(2), 0.25),
        summary=f"It is rising: {number(loss.now)} after it had come down to {number(loss.best_level)}.",
    )


def _began_too_high(m: Measured) -> Suspicion | None:
    """The first loss is of a size that no scaled data give, or that targets as small as the loss is now do not."""
    loss = m.loss
    if loss is None or not m.from_start:
        return None
    if m.kind.squares and OUT_OF_PROPORTION < loss.very_first < 1e4 and LEAST_LEFT < loss.now < FEW_UNITS:
        return Suspicion(
            condition=Condition.EXPLODING_GRADIENT,
            probability=0.5,
            summary=f"The loss began at {number(loss.very_first)} and is {number(loss.now)} now: targets of a few "
            "units give a first loss of a few units, unless inputs or first weights are far too large.",
        )
    if loss.first < 1e4:
        return None
    return Suspicion(
        condition=Condition.EXPLODING_GRADIENT,
        probability=0.3 + 0.4 * _soft(math.log10(loss.first), 7, 0.7),
        summary=f"The first loss is {number(loss.first)}, where scaled inputs and targets give a few units.",
    )


def _below_its_bound(m: Measured) -> Suspicion | None:
    """A loss that cannot be negative is, or one that nobody named falls below 0 as fast as ever."""
    loss = m.loss
    if loss is None or loss.points < LEAST_POINTS or loss.now >= 0:
        return None
    bound = m.kind.lower_bound
    if bound is not None and loss.now < bound:
        return Suspicion(
            condition=Condition.DIVERGING,
            probability=0.9,
            summary=f"The loss is {number(loss.now)}, which no loss of this name can be.",
        )
    far = m.kind.family is Family.UNKNOWN and -loss.now > FAR_BELOW * max(abs(loss.first), 1.0)
    if not far or loss.late_share is None or loss.late_share < STEADILY:
        return None
    return Suspicion(
        condition=Condition.DIVERGING,
        probability=0.4,
        summary=f"It falls below 0 as fast as ever, from {number(loss.first)} to {number(loss.now)}: what is minimised "
        "may have no lower bound (a sign that is wrong).",
    )


def _gradients_add_up(m: Measured) -> Suspicion | None:
    """The norm grew many times, hardly scatters any more, and is largest where the loss is lowest."""
    g = m.gradient
    if g is None or g.ratio is None or m.gradient_with_loss is None or not m.from_start:
        return None
    smooth = g.log_noise < SMOOTHER * max(g.log_noise_first, 1e-3)
    if g.ratio < GROWN or not smooth or m.gradient_with_loss > LARGEST_AT_LOWEST:
        return None
    return Suspicion(
        condition=Condition.EXPLODING_GRADIENT,
        probability=0.6,
        summary=f"The gradient norm went from {number(g.first)} to {number(g.now)} while the loss fell, and hardly "
        "scatters any more, as a sum over many steps would.",
    )


def _validation_rises(m: Measured) -> Suspicion | None:
    """The validation loss is above its best while the training loss has fallen, and left it behind."""
    v, loss = m.validation, m.loss
    if v is None or loss is None or v.points < 4 or not v.best > 0 or loss.fall < 0.05:
        return None
    rise = v.risen_to / v.best - 1
    if rise < 0.03 or v.risen_to - v.best < ROUNDED * v.quantum:
        return None
    return Suspicion(
        condition=Condition.OVERFITTING,
        probability=0.28 * _soft(rise, 0.2, 0.04) * (1 - _soft(loss.now / v.risen_to, APART, 0.05)),
        summary=f"The validation loss was best at step {v.best_step:,} ({number(v.best)}) and is {number(v.risen_to)} "
        f"now, where the training loss is {number(loss.now)}.",
    )


_SUSPECTS: tuple[Suspect, ...] = (
    _levels_off, _hardly_moves, _creeps, _rises, _began_too_high, _below_its_bound, _gradients_add_up,
    _validation_rises,
)  # fmt: skip


def nothing_beyond_doubt(suspicions: tuple[Suspicion, ...]) -> tuple[str, str]:
    """The headline's sentences for whoever asked."""
    return "Nothing is wrong beyond doubt.", suspicions[0].summary
