"""The programs: faults of the kinds that collections of faulty deep-learning programs hold, each beside its repair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.programs import tasks
from benchmarks.programs.program import Plan, Program
from benchmarks.programs.tasks import Convolutional, Data, Reader, Unregistered, digits, mlp, rings, surface, tokens

DIGITS = Plan(data=digits, model=lambda: mlp(64, 10))
IMAGES = Plan(data=digits, model=Convolutional)
RINGS = Plan(data=rings, model=lambda: mlp(2, 2, width=32), optimizer=lambda p: torch.optim.Adam(p, lr=5e-3))
SURFACE = Plan(data=surface, model=lambda: mlp(8, 1), loss=F.mse_loss)
TEXT = Plan(data=tokens, model=Reader, optimizer=lambda p: torch.optim.Adam(p, lr=5e-3))


def of(data: Any, change: Any) -> Any:
    """The data with inputs and targets changed."""

    def changed() -> Data:
        x, y = data()
        return change(x.clone(), y.clone())  # type: ignore[no-any-return]

    return changed


def sgd(lr: float, **options: Any) -> Any:
    return lambda p: torch.optim.SGD(p, lr=lr, **options)


def adam(lr: float) -> Any:
    return lambda p: torch.optim.Adam(p, lr=lr)


def binary(loss: Any) -> Any:
    return lambda output, target: loss(output[:, 0], target.float())


def drawn(model: Any, change: Any) -> Any:
    """A model with its weights changed before the training."""

    def made() -> Any:
        net = model()
        with torch.no_grad():
            for module in net.modules():
                if isinstance(module, nn.Linear | nn.Conv2d):
                    change(module)
        return net

    return made


def frozen_body(model: Any) -> Any:
    """All but the last layer's bias frozen."""

    def made() -> Any:
        net = model()
        net.requires_grad_(requires_grad=False)
        net[-1].bias.requires_grad_(requires_grad=True)
        return net

    return made


def misaligned(x: Any, y: Any) -> Data:
    return x, y[torch.randperm(len(y), generator=torch.Generator().manual_seed(1))]


def sorted_by_class(x: Any, y: Any) -> Data:
    order = torch.argsort(y)
    return x[order], y[order]


def one_nan(x: Any, y: Any) -> Data:
    x[len(x) // 2, 3] = float("nan")
    return x, y


def one_outlier(x: Any, y: Any) -> Data:
    y[len(y) // 2 : len(y) // 2 + 2] = 3e3
    return x, y


def noisy(x: Any, y: Any) -> Data:
    return x, y + torch.randn(y.shape, generator=torch.Generator().manual_seed(2))


def as_table(x: Any, y: Any) -> Data:
    return x * torch.logspace(0, 3, x.shape[1]) + 500, y


def faults() -> list[Program]:
    """All of them, by cause."""
    wrong_loss = "wrong_loss_function"
    unscaled = "inputs_not_scaled"
    not_updated = "parameters_not_updated"
    high, low = "learning_rate_too_high", "learning_rate_too_low"

    def program(name: str, cause: str, base: Plan, also: tuple[str, ...] = (), **wrong: Any) -> Program:
        return Program(name=name, cause=cause, faulty=replace(base, **wrong), repaired=base, also=also)

    squashed = replace(DIGITS, loss=F.nll_loss, model=lambda: mlp(64, 10, nn.LogSoftmax(-1)))
    yes_no = replace(RINGS, model=lambda: mlp(2, 1, width=32), loss=binary(F.binary_cross_entropy_with_logits))
    steep = replace(SURFACE, data=of(surface, lambda x, y: (x, 3 * y)))
    plain = replace(DIGITS, optimizer=sgd(0.1), epochs=16)
    return [
        program("rings without activations", "missing_nonlinearity", RINGS,
                model=lambda: mlp(2, 2, width=32, activation=None)),
        program("surface without activations", "missing_nonlinearity", SURFACE,
                model=lambda: mlp(8, 1, activation=None)),
        program("batch norm but no activation", "missing_nonlinearity",
                replace(RINGS, model=lambda: nn.Sequential(nn.Linear(2, 32), nn.BatchNorm1d(32), nn.ReLU(),
                                                           nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))),
                model=lambda: nn.Sequential(nn.Linear(2, 32), nn.BatchNorm1d(32), nn.Linear(32, 32),
                                            nn.Linear(32, 2))),
        program("sigmoids six deep", "saturated_activations", replace(DIGITS, model=lambda: mlp(64, 10, depth=6)),
                ("poor_initialization",), model=lambda: mlp(64, 10, depth=6, activation=nn.Sigmoid)),
        program("softmax before cross entropy", wrong_loss, DIGITS, model=lambda: mlp(64, 10, nn.Softmax(-1))),
        program("softmax in the loss function", wrong_loss, IMAGES,
                loss=lambda o, t: F.cross_entropy(torch.softmax(o, -1), t)),
        program("softmax inside a convolutional net", wrong_loss, IMAGES,
                model=lambda: Convolutional(end=lambda o: torch.softmax(o, 1)), optimizer=sgd(0.05, momentum=0.9)),
        program("negative log-likelihood of probabilities", wrong_loss, squashed,
                model=lambda: mlp(64, 10, nn.Softmax(-1))),
        program("negative log-likelihood of raw outputs", wrong_loss, squashed, model=lambda: mlp(64, 10)),
        program("sigmoid before a loss with logits", wrong_loss, yes_no,
                model=lambda: mlp(2, 1, nn.Sigmoid(), width=32)),
        program("ReLU behind a regression", wrong_loss, steep, ("dead_activations",),
                model=lambda: mlp(8, 1, nn.ReLU())),
        program("sigmoid behind a regression", wrong_loss, steep, model=lambda: mlp(8, 1, nn.Sigmoid())),
        program("tanh behind a regression", wrong_loss, steep, model=lambda: mlp(8, 1, nn.Tanh())),
        program("a table as it comes", unscaled, replace(SURFACE, optimizer=sgd(0.05)), data=of(surface, as_table)),
        program("a table as it comes, Adam", unscaled, SURFACE, data=of(surface, as_table)),
        program("pixels up to 4080", unscaled, plain, data=of(digits, lambda x, y: ((x + 1) * 1000, y))),
        program("tanh of inputs that are not scaled", unscaled,
                replace(DIGITS, model=lambda: mlp(64, 10, activation=nn.Tanh)), ("saturated_activations",),
                data=of(digits, lambda x, y: (x * 300, y))),
        program("inputs a thousand times too small", unscaled, plain, data=of(digits, lambda x, y: (x * 1e-3, y))),
        program("prices as they are", unscaled, replace(SURFACE, optimizer=sgd(0.02)),
                data=of(surface, lambda x, y: (x, y * 8e4 + 2e5))),
        program("the optimiser holds another model", not_updated, DIGITS, other_model=True),
        program("the optimiser never steps", not_updated, DIGITS, steps=False),
        program("layers in a plain list", not_updated,
                replace(SURFACE, model=lambda: Unregistered(in_a_list=False), epochs=30),
                model=lambda: Unregistered(in_a_list=True)),
        program("all but a bias is frozen", not_updated, DIGITS, model=frozen_body(lambda: mlp(64, 10))),
        program("gradients are never zeroed", "gradients_accumulating", replace(DIGITS, optimizer=sgd(0.05)),
                zero_grad=False),
        program("plain SGD, rate too high", high, plain, optimizer=sgd(6.0)),
        program("SGD on a surface, rate too high", high, replace(SURFACE, optimizer=sgd(0.05)), optimizer=sgd(3.0)),
        program("Adam, rate too high", high, DIGITS, optimizer=adam(0.7)),
        program("SGD, rate too low", low, plain, optimizer=sgd(2e-5)),
        program("Adam, rate too low", low, TEXT, optimizer=adam(3e-7)),
        program("labels of other rows", "labels_uninformative", TEXT, data=of(tokens, misaligned)),
        program("labels of other images", "labels_uninformative", IMAGES, ("insufficient_capacity",),
                data=of(digits, misaligned), epochs=6),
        program("classes one after the other", "data_not_shuffled", replace(DIGITS, optimizer=sgd(0.1)),
                data=of(digits, sorted_by_class), shuffle=False),
        program("a NaN among the inputs", "non_finite_data", SURFACE, ("bad_batch",), data=of(surface, one_nan)),
        program("two targets that are off by thousands", "bad_batch", SURFACE, data=of(surface, one_outlier)),
        program("weights drawn far too large", "poor_initialization", DIGITS,
                model=drawn(lambda: mlp(64, 10), lambda m: m.weight.mul_(30))),
        program("biases that switch every unit off", "dead_activations", DIGITS, ("poor_initialization",),
                model=drawn(lambda: mlp(64, 10), lambda m: m.bias.fill_(-60.0) if m.out_features == 64 else None)),
        program("weight decay of 0.3", "weight_decay_too_strong", plain, optimizer=sgd(0.1, weight_decay=0.3)),
        program("gradients clipped to 1e-5", "gradient_clip_too_tight", plain, clip=1e-5),
        program("one hidden unit", "insufficient_capacity", SURFACE, ("missing_nonlinearity",),
                model=lambda: mlp(8, 1, width=1)),
        program("eighty samples by heart", "overfit_small_data",
                replace(SURFACE, data=of(surface, noisy), validates=True, epochs=8, optimizer=adam(5e-4)),
                data=of(surface, lambda x, y: tuple(part[:100] for part in noisy(x, y))),
                epochs=300, model=lambda: mlp(8, 1, width=256)),
    ]  # fmt: skip


__all__ = ["faults", "tasks"]
