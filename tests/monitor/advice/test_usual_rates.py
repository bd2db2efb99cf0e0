"""No usual rate is called too low or high by its scale alone, and no advice leaves what is usual for an optimizer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from losswatch_server.monitor.advice import REMEDIES
from losswatch_server.monitor.diagnosis.engine import PLAINLY, rank, strengths
from losswatch_server.monitor.diagnosis.evidence.row import Seen
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.diagnosis.optimizers import USUAL, usual
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName, Condition
from monitor.diagnosis.remembered import found, remembered
from monitor.diagnosis.witness_runs import FLAT, noisy

USED: dict[str, tuple[float, ...]] = {
    "adam": (1e-3, 3e-4, 1e-4),
    "AdamW": (1e-3, 5e-4, 1e-4),
    "SparseAdam": (1e-3,),
    "Adamax": (2e-3, 1e-3),
    "NAdam": (2e-3, 1e-3),
    "RAdam": (1e-3,),
    "Adadelta": (1.0,),
    "Adafactor": (1e-2, 1e-3),
    "adagrad": (1e-2, 1e-3),
    "RMSprop": (1e-2, 1e-3),
    "Rprop": (1e-2,),
    "Lion": (3e-4, 1e-4, 3e-5),
    "Sophia": (6e-4, 2e-4),
    "LAMB": (1e-3, 5e-3, 1e-2),
    "LARS": (0.2, 1.0, 10.0),
    "Muon": (2e-2, 1e-3),
    "Ftrl": (1e-3, 1e-2),
    "LBFGS": (1.0,),
    "Prodigy": (1.0,),
    "DAdaptAdam": (1.0,),
    "AdaBelief": (1e-3,),
    "AdEMAMix": (1e-3,),
    "Adan": (1e-3, 1e-2),
    "Yogi": (1e-2, 1e-3),
    "NovoGrad": (1e-2, 1e-3),
    "SOAP": (3e-3,),
    "Shampoo": (1e-1, 1e-2),
    "SGDScheduleFree": (1.0,),
    "AdamWScheduleFree": (2.5e-3,),
    "sgd": (0.1, 1e-2),
}
"""The defaults of torch, Keras, transformers and optax, and what the papers train with."""
TUNED: dict[str, tuple[float, ...]] = {
    "adamw": (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 3e-4),
    "paged_adamw_8bit": (2e-4, 1e-5),
    "Lion": (1e-6, 1e-5, 3e-5),
    "adafactor": (1e-3, 1e-4, 1e-5),
    "sgd": (1e-2, 1e-3),
    "Prodigy": (1.0,),
}
"""On a trained model: 1e-5 with all parameters, 1e-4 and 2e-4 with LoRA, for Lion a tenth of that."""
BY_SCALE = ("rate_low", "rate_high", "rate_very_high", "low_rate_blows_up", "run_too_short_for_rate")
PLAN = 10_000


def contexts() -> Iterator[Context]:
    for used, extra in ((USED, {}), (TUNED, {"peft": "lora"})):
        for optimizer, rates in used.items():
            for rate in rates:
                for steps in (None, PLAN):
                    yield Context(
                        optimizer=optimizer, learning_rate=rate, total_steps=steps, loss_name="cross_entropy",
                        num_classes=10, extra=extra,
                    )  # fmt: skip
    yield Context(optimizer="sgd", momentum=0.9, learning_rate=1e-3, loss_name="cross_entropy", num_classes=10)


EVERY = tuple(contexts())


def test_the_optimizers_of_the_table_are_all_here() -> None:
    named = {usual(Context(optimizer=name)) for name in USED}
    assert {known.name for known in named if known} >= {known.name for known in USUAL} - {"schedulefreesgd"}


@pytest.mark.parametrize("context", EVERY, ids=lambda c: f"{c.optimizer} {c.learning_rate} {c.total_steps}")
def test_a_usual_rate_is_not_called_too_low_or_too_high_by_its_scale(context: Context) -> None:
    memory = remembered(FLAT, noisy(0.4))
    measured = gather(memory, context)
    for condition in (Condition.NOT_LEARNING, Condition.SLOW_CONVERGENCE, Condition.DIVERGING):
        seen = Seen(found(condition, memory), measured, context)
        there = strengths(seen)
        assert not [row for row in BY_SCALE if there.get(row, 0.0) >= PLAINLY]
        too_low = [c.probability for c in rank(seen.finding, measured, context) if "too_low" in c.cause]
        assert max(too_low, default=0.0) < (0.7 if condition is Condition.SLOW_CONVERGENCE else 0.5)


@pytest.mark.parametrize("context", EVERY, ids=lambda c: f"{c.optimizer} {c.learning_rate} {c.total_steps}")
def test_no_advice_leaves_what_is_usual_for_the_optimizer(context: Context) -> None:
    known, memory = usual(context), remembered(FLAT, noisy(0.4))
    assert known is not None
    measured = gather(memory, context)
    for cause, condition in (
        (CauseName.LEARNING_RATE_TOO_LOW, Condition.NOT_LEARNING),
        (CauseName.LEARNING_RATE_TOO_LOW, Condition.SLOW_CONVERGENCE),
        (CauseName.LEARNING_RATE_TOO_HIGH, Condition.DIVERGING),
        (CauseName.LEARNING_RATE_TOO_HIGH, Condition.PLATEAU),
    ):
        for advice in REMEDIES[cause](found(condition, memory), measured, context):
            if advice.action == "set_learning_rate":
                assert isinstance(advice.value, float)
                assert min(known.low or known.rate, context.learning_rate or 1.0) / 10 <= advice.value * 1.001
                assert advice.value <= known.most * 1.001


def test_far_below_what_is_usual_the_advice_is_a_usual_rate() -> None:
    for known in USUAL:
        context = Context(optimizer=known.name, learning_rate=known.rate / 1000, total_steps=100_000)
        memory = remembered(FLAT, noisy(0.4))
        (advice,) = REMEDIES[CauseName.LEARNING_RATE_TOO_LOW](
            found(Condition.NOT_LEARNING, memory), gather(memory, context), context
        )
        assert isinstance(advice.value, float)
        assert (known.low or known.rate) / 4.01 <= advice.value <= known.most, known.name


def test_in_a_short_run_lion_is_judged_on_its_own_scale() -> None:
    memory = remembered(FLAT, noisy(0.4))
    for rate, steps, short in ((1e-4, 1000, False), (3e-5, 1000, True), (1e-5, 1000, True)):
        context = Context(optimizer="lion", learning_rate=rate, total_steps=steps)
        seen = Seen(found(Condition.NOT_LEARNING, memory), gather(memory, context), context)
        assert (strengths(seen).get("run_too_short_for_rate", 0.0) >= PLAINLY) is short
        advised = list(REMEDIES[CauseName.LEARNING_RATE_TOO_LOW](seen.finding, seen.measured, context))
        assert (not advised) or (isinstance(advised[0].value, float) and advised[0].value <= 1e-3)
        assert advised or not short
