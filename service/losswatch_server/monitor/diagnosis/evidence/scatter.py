"""Evidence in how much loss and gradient norm scatter from batch to batch: how much the answers differ from sample to
sample, and of how many numbers the gradient consists.

The mean loss of a batch of B samples scatters by s / sqrt(B) around its level, where s is what one sample's loss
differs from another's. At chance level with classes of equal share s is 0 where every sample gets the same answer. The
norm of a gradient of many independent numbers hardly scatters; that of one number, such as the bias of a last layer
behind units that give nothing, scatters like the size of a normal number: by a factor of three.
"""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.evidence import gradient as gradients
from losswatch_server.monitor.diagnosis.evidence import loss as losses
from losswatch_server.monitor.diagnosis.evidence.causes import (
    CLIP,
    DEAD,
    DECAY,
    INIT,
    LABELS,
    LINEAR,
    NOT_UPDATED,
    RATE_HIGH,
    RATE_LOW,
    SATURATED,
    SMALL,
    UNSCALED,
    WRONG_LOSS,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.needed import BEGINNING, CHANCE, FACTS, KIND, NORMS, SETTING, Noise
from losswatch_server.monitor.diagnosis.evidence.row import (
    PLAIN,
    STRONG,
    WEAK,
    Evidence,
    Seen,
    above,
    below,
    holds,
)  # fmt: skip
from losswatch_server.monitor.known import Needs
from losswatch_server.monitor.sentences import number, percent
from losswatch_server.monitor.vocabulary import Condition

FLAT = frozenset({Condition.NOT_LEARNING, Condition.PLATEAU, Condition.SLOW_CONVERGENCE, Condition.VANISHING_GRADIENT})
"""Conditions in which the scatter is that of batches: nothing blows up."""
AT_CHANCE, AT_EVEN_CHANCE = 0.03, 0.005
"""Shares within which a loss is at chance level, and within which one at ln K tells that the classes are even."""
FAIR_BATCH = 8
"""Samples in a batch from which on a gradient norm that scatters widely is no matter of the batch."""


def _single_steps(seen: Seen) -> bool:
    """A point is one step's loss, of a batch of known size: no mean over steps, no epoch, and not the whole set."""
    c = seen.context
    return c.step_unit != "epoch" and (c.steps_per_point or 1) == 1 and bool(c.batch_size) and not c.full_batch


def _spread_of_classes(seen: Seen) -> float | None:
    """What the losses of a constant answer differ by, over chance level; None where it may be anything."""
    shares, chance = seen.facts.class_shares, seen.measured.chance
    if not chance:
        return None
    if shares:
        logs = [(p, -math.log(p)) for p in shares if p > 0]
        mean = sum(p * log for p, log in logs)
        return math.sqrt(sum(p * (log - mean) ** 2 for p, log in logs)) / chance
    classes, share = seen.context.num_classes, seen.measured.now_over_chance
    even = classes and share is not None and abs(chance / math.log(max(classes, 2)) - 1) < AT_EVEN_CHANCE
    return 0.0 if even and share is not None and abs(share - 1) < AT_EVEN_CHANCE else None


def _of_a_sample(seen: Seen) -> float | None:
    """What the losses of single samples differ by, over chance level, where the loss rests there."""
    m, loss = seen.measured, losses.of(seen)
    if not m.cross_entropy or m.chance_inferred or not m.chance or m.now_over_chance is None or loss.identical:
        return None
    if not _single_steps(seen) or abs(m.now_over_chance - 1) > AT_CHANCE or loss.points < 16:
        return None
    return loss.noise * math.sqrt(seen.context.batch_size or 1) / m.chance


def _of_the_answers(seen: Seen) -> float | None:
    """The same without what classes of uneven share bring."""
    spread, classes = _of_a_sample(seen), _spread_of_classes(seen)
    return None if spread is None or classes is None else math.sqrt(max(spread * spread - classes * classes, 0.0))


def _alike_text(seen: Seen) -> str:
    return (
        f"at chance level the losses of single samples differ by no more than {percent(_of_a_sample(seen))} (the loss "
        f"scatters by {number(losses.of(seen).noise)} with batches of {seen.context.batch_size}): every sample gets "
        "the same answer"
    )


def _differ_text(seen: Seen) -> str:
    return (
        f"at chance level the losses of single samples differ by {percent(_of_the_answers(seen))} (the loss scatters "
        f"by {number(losses.of(seen).noise)} with batches of {seen.context.batch_size}): the answers differ from "
        "sample to sample"
    )


def _sampled(seen: Seen) -> bool:
    batch = seen.context.batch_size
    return batch is not None and batch >= FAIR_BATCH and not seen.context.full_batch


def _scatter_first(seen: Seen) -> float | None:
    gradient = gradients.of(seen)
    if gradient is None or gradient.points < 20 or seen.finding.condition not in FLAT or not _sampled(seen):
        return None
    return gradient.log_noise_first if seen.measured.from_start and gradient.peak > 0 else None


def _scatter_now(seen: Seen) -> float | None:
    gradient = gradients.of(seen)
    if gradient is None or gradient.points < 20 or seen.finding.condition not in FLAT or not _sampled(seen):
        return None
    return gradient.log_noise if gradient.now > 0 else None


def _factor(scatter: float | None) -> str:
    return number(math.exp(min(scatter or 0.0, 99.0)), 2)


def _alive_at_baseline(seen: Seen) -> bool | None:
    """Values whose loss rests at that of the best constant answer, although units and weights live."""
    m, f = seen.measured, seen.facts
    if not m.kind.squares or m.chance is None or m.chance_inferred or m.now_over_chance is None:
        return None
    if f.dead_unit_share is None and f.saturated_unit_share is None:
        return None
    live = max(f.dead_unit_share or 0.0, f.saturated_unit_share or 0.0) < 0.35
    still = f.update_to_weight is not None and not 1e-7 < f.update_to_weight < 0.03
    return live and not still and abs(m.now_over_chance - 1) < 0.1


LOSSES_OF_BATCHES: Needs = (CHANCE, KIND, SETTING, Noise("loss", 16))
FROM_THE_FIRST_NORMS: Needs = (BEGINNING, SETTING, NORMS, Noise("gradient norm", 20))
SCATTER: tuple[Evidence, ...] = (
    Evidence(
        name="answers_alike", group="scatter", needs=LOSSES_OF_BATCHES,
        when=below(_of_a_sample, 0.05, 0.006),
        means="at chance level the loss scatters so little for the size of its batches that every sample gets the same "
        "answer",
        says=_alike_text, for_={DEAD: PLAIN, INIT: PLAIN, DECAY: PLAIN, SATURATED: WEAK},
        against={LABELS: PLAIN, LINEAR: PLAIN, RATE_HIGH: WEAK, NOT_UPDATED: WEAK},
    ),
    Evidence(
        name="answers_differ", group="scatter", needs=LOSSES_OF_BATCHES,
        when=above(_of_the_answers, 0.1, 0.012),
        means="at chance level the loss scatters so much for the size of its batches that the answers differ from "
        "sample to sample",
        says=_differ_text, for_={LABELS: WEAK, LINEAR: WEAK},
        against={DEAD: STRONG, INIT: PLAIN, DECAY: PLAIN, SATURATED: PLAIN, SMALL: WEAK},
    ),
    Evidence(
        name="gradient_of_few_numbers", group="gradient norm", needs=FROM_THE_FIRST_NORMS,
        when=above(_scatter_first, 0.42, 0.04),
        means="in a loss that hardly falls, with batches of eight samples or more: from its first steps on the "
        "gradient norm scatters as one of a few numbers does, a bias or the weights of a few units",
        says=lambda s: (
            f"from the first steps on the gradient norm scatters by a factor of {_factor(_scatter_first(s))} between "
            f"batches of {s.context.batch_size} samples, as one of a few numbers does"
        ),
        for_={INIT: PLAIN, SMALL: PLAIN, UNSCALED: PLAIN, SATURATED: WEAK, DEAD: WEAK, RATE_HIGH: WEAK},
        against={NOT_UPDATED: STRONG, RATE_LOW: STRONG, CLIP: STRONG, LABELS: PLAIN},
    ),
    Evidence(
        name="gradient_of_many_numbers", group="gradient norm", needs=FROM_THE_FIRST_NORMS,
        when=below(_scatter_first, 0.24, 0.02),
        means="in a loss that hardly falls: from its first steps on the gradient norm hardly scatters, as one of many "
        "numbers does",
        says=lambda s: (
            f"from the first steps on the gradient norm scatters by a factor of {_factor(_scatter_first(s))} only, as "
            "one of many numbers does"
        ),
        against={INIT: PLAIN, SMALL: PLAIN, UNSCALED: PLAIN, RATE_HIGH: WEAK},
    ),
    Evidence(
        name="mean_alone_is_pulled", group="loss function",
        needs=(CHANCE, KIND, SETTING, FACTS, NORMS, Noise("gradient norm", 20)),
        when=(*above(_scatter_now, 0.42, 0.04), *holds(_alive_at_baseline)),
        means="the loss rests at that of a constant answer and its gradient is that of a few numbers, although the "
        "units live and the weights move: what is compared is not each answer with its own target",
        says=lambda s: (
            f"the loss rests at that of a constant answer ({number(s.measured.chance)}) and the gradient is that of a "
            "few numbers, although units and weights live: are outputs and targets of one shape?"
        ),
        for_={WRONG_LOSS: STRONG}, against={LABELS: PLAIN},
    ),
)  # fmt: skip
