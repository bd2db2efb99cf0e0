"""The trainings of the demonstration: each with its question, what the client would know of it, and the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from losswatch_server.demo import trainings
from losswatch_server.demo.trainings import Training

_SGD: Mapping[str, Any] = {"optimizer": "sgd", "framework": "numpy"}
_ADAM: Mapping[str, Any] = {"optimizer": "adam", "framework": "numpy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One training. ``causes`` are the true ones, best first; empty where nothing is wrong."""

    name: str
    title: str
    question: str
    context: Mapping[str, Any]
    train: Callable[[], Training]
    steps: int
    causes: tuple[str, ...] = ()

    @property
    def is_faulty(self) -> bool:
        """Whether a report should complain."""
        return bool(self.causes)


def linear_model(learning_rate: float, name: str, title: str, question: str, *causes: str) -> Case:
    """The first case with a learning rate of choice: again with the one that was advised."""
    return Case(
        name=name,
        title=title,
        question=question,
        context={**_SGD, "learning_rate": learning_rate, "full_batch": True, "loss_name": "mse", "total_steps": 500},
        train=lambda: trainings.linear_model(learning_rate),
        steps=500,
        causes=causes,
    )


CASES: tuple[Case, ...] = (
    linear_model(
        0.01,
        "keras-linear",
        "One linear unit on x = 1..20",
        "Why does the loss grow every epoch, and then become nan?",
        "learning_rate_too_high",
        "inputs_not_scaled",
    ),
    Case(
        name="numpy-tanh-rate-1",
        title="Two tanh layers, learning rate 1",
        question="The loss rises. Are my gradients wrong?",
        context={**_SGD, "learning_rate": 1.0, "full_batch": True, "loss_name": "binary_crossentropy"},
        train=lambda: trainings.tanh_network(1.0),
        steps=100,
        causes=("learning_rate_too_high", "poor_initialization", "saturated_activations"),
    ),
    Case(
        name="numpy-tanh-rate-0.01",
        title="The same, learning rate 0.01",
        question="(nothing is wrong here)",
        context={**_SGD, "learning_rate": 0.01, "full_batch": True, "loss_name": "binary_crossentropy"},
        train=lambda: trainings.tanh_network(0.01),
        steps=100,
    ),
    Case(
        name="r-three-points",
        title="A network without activations",
        question="It is stuck at 0.0057 whatever I change. Train longer?",
        context={**_ADAM, "learning_rate": 1e-5, "full_batch": True, "loss_name": "mse", "total_steps": 10_000},
        train=trainings.three_points,
        steps=10_000,
        causes=("missing_nonlinearity", "insufficient_capacity"),
    ),
    Case(
        name="tf-inputs-to-1000",
        title="Inputs from 0 to 1000",
        question="Why does the cost hardly change?",
        context={**_ADAM, "learning_rate": 0.001, "batch_size": 10, "loss_name": "mse", "steps_per_epoch": 10},
        train=trainings.scaled_inputs,
        steps=100,
        causes=("inputs_not_scaled",),
    ),
    Case(
        name="tf-sine-linear",
        title="A sine from one linear unit",
        question="Why does the cost stay high?",
        context={
            **_ADAM,
            "learning_rate": 0.001,
            "batch_size": 32,
            "loss_name": "mse",
            "steps_per_epoch": 4,
            "total_steps": 200,
        },
        train=lambda: trainings.sine_targets(epochs=50),
        steps=200,
        causes=("missing_nonlinearity", "insufficient_capacity", "learning_rate_too_low"),
    ),
    Case(
        name="tf-random-labels",
        title="Squared error on random labels",
        question="Why does the cost not change at all?",
        context={
            **_ADAM,
            "learning_rate": 0.001,
            "batch_size": 32,
            "loss_name": "mse",
            "num_classes": 2,
            "steps_per_epoch": 4,
        },
        train=trainings.random_labels,
        steps=400,
        causes=("wrong_loss_function", "labels_uninformative"),
    ),
    Case(
        name="bad-batch",
        title="One batch in other units",
        question="What happened at step 180?",
        context={**_SGD, "learning_rate": 0.05, "batch_size": 32, "loss_name": "mse", "steps_per_epoch": 16},
        train=trainings.bad_batch,
        steps=384,
        causes=("bad_batch",),
    ),
    Case(
        name="dead-relu",
        title="Units that never fire",
        question="The loss does not move at all.",
        context={**_SGD, "learning_rate": 0.05, "batch_size": 32, "loss_name": "mse", "steps_per_epoch": 8},
        train=trainings.dead_relu,
        steps=296,
        causes=("dead_activations",),
    ),
    Case(
        name="no-zero-grad",
        title="zero_grad() forgotten",
        question="It learns at first, and then gets worse and worse.",
        context={**_SGD, "learning_rate": 0.03, "batch_size": 32, "loss_name": "mse", "steps_per_epoch": 8},
        train=trainings.forgotten_zero_grad,
        steps=300,
        causes=("gradients_accumulating",),
    ),
    Case(
        name="learned-by-heart",
        title="Forty samples by heart",
        question="The training loss is perfect. Am I done?",
        context={**_ADAM, "learning_rate": 0.01, "full_batch": True, "loss_name": "mse", "step_unit": "epoch"},
        train=trainings.overfitting,
        steps=400,
        causes=("overfit_small_data",),
    ),
)
