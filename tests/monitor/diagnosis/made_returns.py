"""Made-up trainings whose loss had come down and went back up, for the rows of evidence about that."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from losswatch_server.monitor.diagnosis.evidence.row import Seen
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import Condition
from monitor.diagnosis.remembered import found, remembered

RNG = np.random.default_rng
DOWN, BACK = 150, 150
TEN = Context(loss_name="cross_entropy", num_classes=10)


def fell_back(to: float) -> list[float]:
    """A loss that falls to 0.5 and goes back to a level in which it rests."""
    fall = 0.5 + 1.8 * np.exp(-np.arange(DOWN) / 20)
    return [*(fall + 0.02 * RNG(1).normal(size=DOWN)), *(to + 0.02 * RNG(2).normal(size=BACK))]


def gradient(left: float) -> list[float]:
    """A norm that scatters, of which that share is left after the loss went back."""
    norms = np.exp(0.3 * RNG(3).normal(size=DOWN + BACK))
    norms[DOWN:] *= left
    return norms.tolist()


def memories() -> Iterator[tuple[Memory, Context]]:
    """With the gradient that is left, settings that speak for other causes, and a validation loss beside it."""
    for to in (2.3, 1.6, 1.0):
        losses = fell_back(to)
        yield remembered(losses), TEN
        for left in (1.0, 0.1):
            for context in (
                TEN,
                TEN.merged(Context(optimizer="sgd", learning_rate=1e-4, batch_size=32)),
                TEN.merged(Context(optimizer="adam", learning_rate=1e-6, grad_clip=0.01)),
                TEN.merged(Context(optimizer="sgd", learning_rate=0.1, grad_clip=1e-3)),
                TEN.merged(Context(optimizer="sgd", learning_rate=0.1, momentum=0.99, batch_size=32)),
                Context(loss_name="mse"),
                Context(),
            ):
                yield remembered(losses, gradient(left)), context
                yield remembered(losses, gradient(left), validation=[2.3, 1.5, 0.8, 0.9, 1.8, 2.0, 2.1]), context
                yield remembered(losses, gradient(left), validation=[2.3, *([1.23] * 8)]), context


def sights() -> Iterator[Seen]:
    """The finding of each of them."""
    for memory, context in memories():
        finding = found(Condition.PLATEAU, memory, onset=DOWN, rule="fell back")
        yield Seen(finding, gather(memory, context, since_step=DOWN), context)
