"""Evidence in the first losses and gradient norms; unknown where the log begins in the middle of the run."""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.evidence.causes import (
    DEAD,
    INIT,
    LABELS,
    LINEAR,
    NOT_UPDATED,
    RATE_LOW,
    SATURATED,
    SMALL,
    UNSCALED,
    WRONG_LOSS,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.needed import BEGINNING, CHANCE, KIND, NORMS
from losswatch_server.monitor.diagnosis.evidence.row import (
    PLAIN,
    STRONG,
    WEAK,
    Evidence,
    Seen,
    above,
    below,
    decades,
    holds,
    within,
)  # fmt: skip
from losswatch_server.monitor.loss_kind import Family
from losswatch_server.monitor.sentences import number
from losswatch_server.monitor.vocabulary import Condition

ACUTE = frozenset(
    {
        Condition.DIVERGING, Condition.NON_FINITE, Condition.LOSS_SPIKE, Condition.EXPLODING_GRADIENT,
        Condition.OSCILLATION,
    }
)  # fmt: skip
EXACT = 3e-4
"""Outputs that are all equal give ln K to the last printed digits, whatever the labels."""


def untrained_share(seen: Seen) -> float | None:
    """The first loss of an untrained model over a chance level that is stated, not guessed."""
    m = seen.measured
    if m.loss is None or m.first_over_chance is None or m.chance is None or m.chance_inferred or not m.starts_untrained:
        return None
    return min(m.first_over_chance, m.loss.very_first / m.chance, key=lambda share: abs(share - 1))


def _log_share(seen: Seen) -> float | None:
    share = untrained_share(seen)
    return None if share is None else math.log(max(share, 1e-9))


def exactly_at_chance(seen: Seen) -> bool | None:
    """Whether the first loss in the log, before any update, is chance level to the last digit."""
    m = seen.measured
    if m.loss is None or m.chance is None or not m.starts_untrained:
        return None
    if m.chance_inferred:
        # of twenty usual numbers of classes one is met to five digits by chance in one run of ten thousand
        return True if m.from_start and abs(m.loss.very_first / m.chance - 1) < EXACT / 6 else None
    if untrained_share(seen) is None:
        return None
    # what equal outputs give depends on the number of classes alone, chance level on how frequent each of them is
    classes = seen.context.num_classes
    level = math.log(classes) if m.cross_entropy and classes and classes > 1 else m.chance
    return abs(m.loss.very_first / level - 1) < EXACT


def _not_exactly_at_chance(seen: Seen) -> bool | None:
    exactly = exactly_at_chance(seen)
    return None if exactly is None else not exactly


def first_decades(seen: Seen) -> float | None:
    """log10 of the first loss, where no chance level says what it should be; a loss with a name of its own (an ELBO, a
    sum over many terms) may be of any size."""
    m = seen.measured
    if seen.context.loss_name is not None and m.kind.family is Family.UNKNOWN:
        return None
    if m.loss is None or m.loss.points < 3 or not m.from_start or untrained_share(seen) is not None:
        return None
    return decades(m.loss.first)


def gradient_decades(seen: Seen) -> float | None:
    """log10 of the first gradient norms."""
    m = seen.measured
    return decades(m.gradient.first) if m.gradient and m.gradient.points >= 5 and m.from_start else None


def _acute(seen: Seen) -> bool:
    return seen.finding.condition in ACUTE


def _gradient_for_loss(seen: Seen) -> float | None:
    """log10 of the first gradient norms over the first loss, where that is far above chance level."""
    m, share = seen.measured, untrained_share(seen)
    if share is None or share < 2.5 or m.loss is None or m.gradient is None or m.gradient.points < 5:
        return None
    return decades(m.gradient.first / m.loss.first) if m.loss.first > 0 else None


def _gradient_for_loss_text(seen: Seen) -> str:
    m = seen.measured
    return (
        f"the first loss was {number(m.loss.first if m.loss else None)} and the first gradient norms about "
        f"{number(m.gradient.first if m.gradient else None)}"
    )


def _over_class_numbers(seen: Seen, *, now: bool) -> float | None:
    """The loss now over the variance of the class numbers 0 to K - 1, or the first loss over their mean square."""
    m, shares = seen.measured, seen.facts.class_shares
    classes = seen.context.num_classes or len(shares or ())
    if m.loss is None or not m.cross_entropy or classes < 3 or not m.starts_untrained:
        return None
    if shares and len(shares) == classes:
        mean, square = (sum(p * k**power for k, p in enumerate(shares)) for power in (1, 2))
    else:
        mean, square = (classes - 1) / 2, (classes - 1) * (2 * classes - 1) / 6
    return m.loss.now / max(square - mean * mean, 1e-9) if now else m.loss.first / max(square, 1e-9)


def _input_size(seen: Seen) -> float | None:
    size = seen.finding.evidence.get("input_size")
    return math.log10(size) if isinstance(size, float) and size > 0 else None


def _against_chance(seen: Seen) -> str:
    m = seen.measured
    return f"the first loss was {number(m.loss.first if m.loss else None)}; chance level is {number(m.chance)}"


def _first(seen: Seen) -> str:
    return f"the first loss was {number(seen.measured.loss.first if seen.measured.loss else None)}"


def _too_large(seen: Seen) -> str:
    """One sentence for both rows, so that a reader is told once."""
    return f"{_first(seen)}; inputs and targets of ordinary size give a few units at most"


def _norm(seen: Seen) -> str:
    gradient = seen.measured.gradient
    return f"the first gradient norms are about {number(gradient.first if gradient else None)}"


START: tuple[Evidence, ...] = (
    Evidence(
        name="first_loss_far_above_chance", group="start", needs=(BEGINNING, CHANCE),
        when=above(_log_share, math.log(2.5), 0.15),
        means="the first loss is more than 2.5 times chance level",
        says=_against_chance, for_={UNSCALED: PLAIN, INIT: PLAIN},
    ),
    Evidence(
        name="first_loss_near_chance", group="start", needs=(BEGINNING, CHANCE),
        when=(*within(untrained_share, 0.75, 1.5, 0.05), *holds(_not_exactly_at_chance)),
        means="the first loss is near chance level, as it should be",
        says=_against_chance, against={UNSCALED: PLAIN},
    ),
    Evidence(
        name="first_loss_not_too_large", group="start", needs=(BEGINNING, CHANCE),
        when=(*within(untrained_share, 0.75, 1.5, 0.05), *holds(_not_exactly_at_chance), *holds(_acute)),
        means="in a run that blows up, the first loss is near chance level: the weights were not too large",
        says=_against_chance, against={INIT: PLAIN},
    ),
    Evidence(
        name="first_loss_below_chance", group="loss function", needs=(BEGINNING, CHANCE),
        when=below(untrained_share, 0.6, 0.05),
        means="the first loss lies below chance level: the loss is not the one that was named",
        says=_against_chance, for_={WRONG_LOSS: STRONG},
    ),
    Evidence(
        name="first_loss_exactly_chance", group="start", needs=(BEGINNING, CHANCE), when=holds(exactly_at_chance),
        means="the first loss is chance level to the last digit: every output is the same before training",
        says=lambda s: f"{_against_chance(s)}, to the last digit: every output is the same before training",
        for_={INIT: STRONG, DEAD: WEAK}, against={LABELS: WEAK, LINEAR: WEAK, SMALL: WEAK, NOT_UPDATED: WEAK},
    ),
    Evidence(
        name="first_loss_huge", group="start", needs=(BEGINNING,), when=above(first_decades, 1.3, 0.15),
        means="the first loss is above 20, where scaled inputs and targets give a few units",
        says=_too_large, for_={UNSCALED: PLAIN, INIT: PLAIN},
    ),
    Evidence(
        name="first_loss_enormous", group="start", needs=(BEGINNING,), when=above(first_decades, 2.3, 0.2),
        means="the first loss is above 200",
        says=_too_large, for_={UNSCALED: WEAK}, against={RATE_LOW: WEAK},
    ),
    Evidence(
        name="first_loss_ordinary", group="start", needs=(BEGINNING,), when=below(first_decades, 0.7, 0.1),
        means="the first loss is a few units at most",
        says=lambda s: f"{_first(s)}, which is ordinary", against={UNSCALED: PLAIN, INIT: WEAK},
    ),
    Evidence(
        name="first_gradient_huge", group="start", needs=(BEGINNING, NORMS), when=above(gradient_decades, 1.1, 0.1),
        means="the first gradient norms are above 12, where scaled data give 0.1 to 10",
        says=lambda s: f"{_norm(s)}, above the 0.1 to 10 of scaled data", for_={INIT: WEAK},
    ),
    Evidence(
        name="first_gradient_enormous", group="start", needs=(BEGINNING, NORMS),
        when=above(gradient_decades, 2.2, 0.15),
        means="the first gradient norms are above 150",
        says=lambda s: f"{_norm(s)}, far above the 0.1 to 10 of scaled data", for_={UNSCALED: WEAK},
    ),
    Evidence(
        name="first_gradient_ordinary", group="start", needs=(BEGINNING, NORMS), when=below(gradient_decades, 0.6, 0.1),
        means="the first gradient norms are below 4, which is ordinary",
        says=lambda s: f"{_norm(s)}, which is ordinary", against={UNSCALED: PLAIN},
    ),
    Evidence(
        name="gradient_large_for_first_loss", group="start", needs=(BEGINNING, CHANCE, NORMS),
        when=above(_gradient_for_loss, -0.12, 0.06),
        means="the first loss is far above chance level, and the first gradient norms are as large as it or larger: "
        "large inputs are in both",
        says=_gradient_for_loss_text, for_={UNSCALED: PLAIN}, against={INIT: WEAK},
    ),
    Evidence(
        name="gradient_small_for_first_loss", group="start", needs=(BEGINNING, CHANCE, NORMS),
        when=below(_gradient_for_loss, -0.5, 0.06),
        means="the first loss is far above chance level, and the first gradient norms are less than a third of it: "
        "the outputs are large, and the inputs are not",
        says=_gradient_for_loss_text, for_={INIT: WEAK, SATURATED: WEAK}, against={UNSCALED: PLAIN},
    ),
    Evidence(
        name="squared_error_of_class_numbers", group="loss function", needs=(BEGINNING, CHANCE, KIND),
        when=(*within(lambda s: _over_class_numbers(s, now=False), 0.5, 1.8, 0.08),
              *within(lambda s: _over_class_numbers(s, now=True), 0.85, 1.45, 0.04),
              *above(lambda s: s.measured.now_over_chance, 1.2, 0.03)),
        means="a loss that is named a cross entropy begins and rests where a squared error of the numbers of the "
        "classes does",
        says=lambda s: (
            f"the loss went from {number(s.measured.loss.first if s.measured.loss else None)} to "
            f"{number(s.measured.loss.now if s.measured.loss else None)}: what a squared error of the class numbers 0 "
            f"to {(s.context.num_classes or len(s.facts.class_shares or ())) - 1} would do"
        ),
        for_={WRONG_LOSS: STRONG}, against={INIT: WEAK, UNSCALED: WEAK},
    ),
    Evidence(
        name="gradient_needs_large_inputs", group="start", when=above(_input_size, 2.0, 0.15),
        means="for a squared error, gradients this large need inputs of a size of 100 or more",
        says=lambda s: (
            "for a squared error, gradients this large need inputs of size "
            f"{number(s.finding.evidence['input_size'])} or more"
        ),
        for_={UNSCALED: STRONG}, against={INIT: WEAK},
    ),
)  # fmt: skip
