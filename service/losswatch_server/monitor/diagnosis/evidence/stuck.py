"""Evidence in a loss that goes nowhere: whether it rose, froze after its first value, or is that of a blind guess."""

from __future__ import annotations

from losswatch_server.monitor.diagnosis.evidence import loss as losses
from losswatch_server.monitor.diagnosis.evidence.causes import (
    ACCUMULATING,
    CLIP,
    DEAD,
    INIT,
    LABELS,
    LINEAR,
    MOMENTUM,
    NOT_UPDATED,
    RATE_HIGH,
    RATE_LOW,
    SATURATED,
    SMALL,
    UNSCALED,
    WRONG_LOSS,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.needed import BEGINNING, CHANCE, NORMS
from losswatch_server.monitor.diagnosis.evidence.rates import arrived
from losswatch_server.monitor.diagnosis.evidence.row import PLAIN, STRONG, WEAK, Evidence, Seen, holds
from losswatch_server.monitor.diagnosis.evidence.start import EXACT, exactly_at_chance
from losswatch_server.monitor.sentences import number
from losswatch_server.monitor.vocabulary import Condition

_FLAT = frozenset({Condition.NOT_LEARNING, Condition.PLATEAU, Condition.SLOW_CONVERGENCE})


def _risen(seen: Seen) -> bool | None:
    known = seen.finding.condition in _FLAT and seen.measured.from_start and losses.of(seen).points
    return seen.measured.risen if known else None


def _froze(seen: Seen) -> bool | None:
    loss = losses.of(seen)
    return loss.froze if loss.points and seen.measured.from_start else None


def _exactly_at_chance(seen: Seen) -> bool | None:
    """From the mean over the first epoch on: a model that was never updated gives what its first weights give."""
    m, loss = seen.measured, losses.of(seen)
    if m.chance is None or m.starts_untrained or not m.from_start or not loss.points:
        return None
    return all(abs(level / m.chance - 1) < EXACT for level in (loss.very_first, loss.now))


def _stationary(seen: Seen) -> bool | None:
    m = seen.measured
    if m.gradient is not None or seen.finding.condition is not Condition.PLATEAU:
        return None
    return arrived(seen)


LESS = 0.35
"""Share of its first norm that the gradient has left where units died: the output layer alone is trained. Over the 44
trainings of the develop half whose units die in mid-run it is 0.1 to 0.3 (0 where nothing is left)."""


def _fell_back(seen: Seen) -> bool:
    finding = seen.finding
    return finding.condition is Condition.PLATEAU and finding.evidence.get("rule") == "fell back"


def _fell_back_with_less(seen: Seen) -> bool | None:
    gradient = seen.measured.gradient
    if gradient is None or gradient.ratio is None or not seen.measured.from_start:
        return None
    return _fell_back(seen) and gradient.ratio < LESS


MOVES = 1e-3
"""Share of chance level by which a loss scatters whose model gave one answer to every sample, and gives it no more."""


def _left_chance(seen: Seen) -> bool | None:
    """It began with the same answer for every sample, whose loss is one number, and scatters by now."""
    m, loss = seen.measured, losses.of(seen)
    if not m.from_start or m.chance is None or not exactly_at_chance(seen) or loss.points < 8:
        return None
    return loss.noise > max(MOVES * m.chance, 2 * loss.quantum)


def _froze_text(seen: Seen) -> str:
    loss = losses.of(seen)
    return (
        f"the first loss was {number(loss.very_first, 6)} and every one since is {number(loss.now, 6)}: something was "
        "updated, and then nothing"
    )


def _chance_text(seen: Seen) -> str:
    m = seen.measured
    return (
        f"the loss is {number(losses.of(seen).now, 4)} since the first epoch, chance level ({number(m.chance, 4)}) to "
        "the printed digits: every output is the same"
    )


STUCK: tuple[Evidence, ...] = (
    Evidence(
        name="risen_since_start", group="shape", needs=(BEGINNING,), when=holds(_risen),
        means="a flat loss lies above its start, by more than a tenth and by more than it scatters",
        says=lambda s: f"the loss went up from {number(losses.of(s).first)} to {number(losses.of(s).now)}",
        for_={RATE_HIGH: WEAK, WRONG_LOSS: WEAK},
        against={RATE_LOW: STRONG, NOT_UPDATED: STRONG, CLIP: PLAIN},
    ),
    Evidence(
        name="froze_after_its_first_value", group="shape", needs=(BEGINNING,), when=holds(_froze),
        means="the first loss differs from all that follow, and those are the same number: after the first steps "
        "nothing moved",
        says=_froze_text,
        for_={DEAD: STRONG, SATURATED: PLAIN, RATE_HIGH: PLAIN, UNSCALED: WEAK},
        against={NOT_UPDATED: STRONG, RATE_LOW: STRONG, LABELS: PLAIN},
    ),
    Evidence(
        name="left_exact_chance", group="shape", needs=(BEGINNING, CHANCE), when=holds(_left_chance),
        means="the first loss is chance level to the last digit, the same for every batch, and by now the loss differs "
        "from batch to batch: the parameters have moved",
        says=lambda s: (
            f"the first loss was {number(losses.of(s).very_first, 6)}, the same for every batch, and by now it "
            f"scatters by {number(losses.of(s).noise)}: the parameters have moved"
        ),
        against={NOT_UPDATED: STRONG, RATE_LOW: WEAK},
    ),
    Evidence(
        name="was_better", group="level", when=holds(_fell_back),
        means="the loss had come down, and stays higher since: the model can be better than it is",
        says=lambda s: f"the loss had come down to {number(losses.of(s).best_level)}: this model can be better",
        for_={RATE_HIGH: WEAK, LABELS: WEAK, DEAD: WEAK, ACCUMULATING: PLAIN, MOMENTUM: PLAIN},
        against={LINEAR: STRONG, SMALL: STRONG, WRONG_LOSS: STRONG, RATE_LOW: PLAIN, CLIP: PLAIN, NOT_UPDATED: STRONG},
    ),
    Evidence(
        name="fell_back_with_less_gradient", group="gradient norm", needs=(BEGINNING, NORMS),
        when=holds(_fell_back_with_less),
        means="the loss went back up and stays there, and the gradient is a third of its first norm or less: what is "
        "left to learn no longer reaches most of the weights",
        says=lambda s: (
            f"the loss went back up, yet the gradient norm is "
            f"{number(s.measured.gradient.now if s.measured.gradient else None)}, less than at the start "
            f"({number(s.measured.gradient.first if s.measured.gradient else None)})"
        ),
        for_={DEAD: WEAK}, against={LABELS: PLAIN},
    ),
    Evidence(
        name="rests_without_noise", group="gradient norm", when=holds(_stationary),
        means="where no gradient norm is sent: the loss fell, and has rested for two fifths of the log without noise, "
        "as it does at a stationary point",
        says=lambda s: (
            f"the loss has rested at {number(losses.of(s).now)} since step {s.finding.onset_step} without noise: a "
            "stationary point"
        ),
        for_={LINEAR: WEAK, SMALL: WEAK},
    ),
    Evidence(
        name="exactly_at_chance_by_the_epoch", group="level", needs=(BEGINNING, CHANCE), when=holds(_exactly_at_chance),
        means="in a log by the epoch, the loss is chance level to the last printed digit from the first epoch on",
        says=_chance_text,
        for_={DEAD: PLAIN, INIT: WEAK, SATURATED: WEAK}, against={NOT_UPDATED: STRONG, RATE_LOW: PLAIN},
    ),
)  # fmt: skip
