"""Each action that is withheld where it would do harm is advised of the same run without what makes it harmful."""

from __future__ import annotations

import pytest

from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import Condition
from monitor.advice.test_harmful_advice import CALM, HARM, actions

SLOW_FROM_TEN = [10 * 0.999**i for i in range(200)]
HELPS: dict[str, tuple[Condition | None, Context, list[float]]] = {
    "set_learning_rate": (None, Context(optimizer="sgd", learning_rate=1e-4), CALM),
    "multiply_learning_rate": (None, Context(), SLOW_FROM_TEN),
    "add_warmup": (None, Context(warmup_steps=0), [2.3, 90.0, 40.0, *CALM]),
    "clip_gradients": (None, Context(), CALM),
    "loosen_gradient_clip": (None, Context(grad_clip=0.1), CALM),
    "scale_inputs": (None, Context(facts=ModelFacts(input_std=80.0)), CALM),
    "change_activation": (None, Context(extra={"activation": "linear"}), CALM),
    "change_initialization": (None, Context(), CALM),
    "increase_capacity": (Condition.PLATEAU, Context(), CALM),
    "change_loss": (None, Context(loss_name="mse", facts=ModelFacts(target_kind="classes")), CALM),
    "update_parameters": (None, Context(facts=ModelFacts(update_to_weight=0.0)), CALM),
    "shuffle_data": (None, Context(facts=ModelFacts(shuffled=False)), CALM),
    "increase_batch_size": (None, Context(full_batch=False), CALM),
    "reduce_weight_decay": (None, Context(weight_decay=0.1), CALM),
    "set_momentum": (None, Context(momentum=0.99), CALM),
    "change_precision": (None, Context(precision="fp16"), CALM),
    "skip_batch": (None, Context(), CALM),
    "filter_batch": (None, Context(), CALM),
    "regularize": (None, Context(weight_decay=0.0), CALM),
}
"""Action -> what is otherwise: another condition, the context, the losses."""


@pytest.mark.parametrize("action", HELPS)
def test_an_action_is_advised_of_the_same_run_without_what_makes_it_harmful(action: str) -> None:
    cause, condition, *_ = HARM[action]
    instead, context, losses = HELPS[action]
    assert action in actions(cause, instead or condition, context, losses)


def test_every_action_that_can_do_harm_is_advised_somewhere() -> None:
    assert {*HELPS, "stop_at_best_step"} == set(HARM), "a step to stop at is told of where validation is known"
