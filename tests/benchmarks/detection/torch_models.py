"""The models and data of the zoo's PyTorch half: a perceptron, a picture network, a transformer, recurrent networks.

Tables and pictures are the NumPy zoo's tasks; token sequences are drawn here. Initialisation is PyTorch's own, but
where a job spoils it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.tasks import HELD_OUT, TRAIN, Task, task

VOCABULARY, LENGTH, WIDTH = 24, 6, 24
SEQUENCES = ("transformer", "gru", "rnn")
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "linear": nn.Identity,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A recipe and what only a framework's program has: which model, what the optimiser was given, which loss."""

    model: str
    recipe: Recipe
    blocks: int = 2
    """Of the transformer."""
    batch_norm: bool = False
    accumulates: int = 1
    """Batches a step, their mean gradient."""
    loss: str = "default"
    """double_softmax, nll_of_probabilities, class_numbers, broadcast (a column against a row), detached."""
    holds: str = "all"
    """What the optimiser was given: all, head (the rest was forgotten), another (a model built before this one)."""
    registered: bool = True
    """False: the hidden layers stand in a plain list, where ``parameters()`` does not see them."""
    frozen: bool = False
    """All but the head has ``requires_grad`` False."""
    initialization: str = "default"
    """zeros, or normal (a standard deviation of 1)."""


MORE: dict[str, tuple[Callable[[int], Task], Callable[[Job, Task], nn.Module]]] = {}
"""Models with data of their own: what makes the samples of a seed, and what builds the model."""


def data_of(job: Job) -> Task:
    """The samples: for the models of sequences, ``x`` (n, 6) are tokens and ``y`` (n,) the token that comes next."""
    if job.model in MORE:
        return MORE[job.model][0](job.recipe.seed)
    return sequences(job.recipe.seed) if job.model in SEQUENCES else task(job.recipe.task, job.recipe.seed)


@lru_cache(maxsize=16)
def sequences(seed: int) -> Task:
    """The next token follows from the last one in four cases of five, otherwise from the third last."""
    generator = np.random.default_rng([seed, 23])
    x = generator.integers(0, VOCABULARY, (TRAIN + HELD_OUT, LENGTH))
    often, seldom = generator.permutation(VOCABULARY), generator.permutation(VOCABULARY)
    y = np.where(generator.random(len(x)) < 0.8, often[x[:, -1]], seldom[x[:, -3]])
    return Task(name="tokens", x=x.astype(np.float32), y=y, classes=VOCABULARY)


class Transformer(nn.Module):
    """Encoder blocks with the normalisation after the sum, as first published; the last place predicts."""

    def __init__(self, blocks: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.position = nn.Parameter(torch.randn(LENGTH, WIDTH))
        layers = [nn.TransformerEncoderLayer(WIDTH, 2, 48, dropout, batch_first=True) for _ in range(blocks)]
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (batch, 6) to logits (batch, 24)."""
        out: Tensor = self.head(self.blocks(self.embedding(x.long()) + self.position)[:, -1])
        return out


class Recurrent(nn.Module):
    """An embedding, a recurrent layer, a head that reads the last state."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.layer: nn.Module
        if name == "gru":
            self.layer = nn.GRU(WIDTH, 32, batch_first=True)
        else:
            self.layer = nn.RNN(WIDTH, 32, batch_first=True, nonlinearity="relu")
            nn.init.eye_(self.layer.weight_hh_l0)
        self.head = nn.Linear(32, VOCABULARY)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (batch, 6) to logits (batch, 24)."""
        out: Tensor = self.head(self.layer(self.embedding(x.long()))[0][:, -1])
        return out


class Layered(nn.Module):
    """Hidden layers and a head; ``registered`` False keeps the layers in a plain list."""

    def __init__(self, layers: list[nn.Module], head: nn.Module, *, registered: bool) -> None:
        super().__init__()
        self.hidden: nn.Sequential | list[nn.Module] = nn.Sequential(*layers) if registered else layers
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (batch, ...) to outputs (batch, outputs)."""
        for layer in self.hidden:
            x = layer(x)
        out: Tensor = self.head(x)
        return out


def perceptron(job: Job, inputs: int) -> tuple[list[nn.Module], int]:
    """The hidden layers and the width that they end with."""
    layers: list[nn.Module] = []
    width = inputs
    for units in job.recipe.hidden:
        layers.append(nn.Linear(width, units))
        layers += [nn.BatchNorm1d(units)] if job.batch_norm else []
        layers.append(ACTIVATIONS[job.recipe.activation]())
        layers += [nn.Dropout(job.recipe.dropout)] if job.recipe.dropout else []
        width = units
    return layers, width


def pictures(job: Job) -> tuple[list[nn.Module], int]:
    """Two convolutions over pictures of 7x7."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 7, 7))]
    for before, channels, stride in ((1, 8, 1), (8, 16, 2)):
        layers.append(nn.Conv2d(before, channels, 3, stride=stride, padding=1))
        layers += [nn.BatchNorm2d(channels)] if job.batch_norm else []
        layers.append(ACTIVATIONS[job.recipe.activation]())
    layers += [nn.Flatten(), *([nn.Dropout(job.recipe.dropout)] if job.recipe.dropout else [])]
    return layers, 256


def build(job: Job, data: Task) -> nn.Module:
    """The model, from the random state as it stands, with the job's faults of structure in it."""
    if job.model in MORE:
        model: nn.Module = MORE[job.model][1](job, data)
    elif job.model == "transformer":
        model = Transformer(job.blocks, job.recipe.dropout)
    elif job.model in SEQUENCES:
        model = Recurrent(job.model)
    else:
        layers, width = pictures(job) if job.model == "cnn" else perceptron(job, data.x.shape[1])
        outputs = 1 if job.loss == "class_numbers" else data.outputs
        model = Layered(layers, nn.Linear(width, outputs), registered=job.registered)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if job.initialization == "zeros":
                parameter.zero_()
            elif job.initialization == "normal" and parameter.dim() > 1:
                parameter.normal_()
            if job.recipe.bias and name.endswith("bias") and not name.startswith("head"):
                parameter.add_(job.recipe.bias)
    return model


def loss_of(job: Job, outputs: Tensor, y: Tensor) -> Tensor:
    """The loss that the job trains on."""
    outputs = outputs.float()
    if job.loss == "double_softmax":
        return functional.cross_entropy(outputs.softmax(1), y)
    if job.loss == "nll_of_probabilities":
        return functional.nll_loss(outputs.softmax(1), y)
    if job.loss == "class_numbers":
        return functional.mse_loss(outputs[:, 0], y.float())
    if job.loss == "softmax_over_batch":
        return functional.nll_loss(outputs.log_softmax(0), y)
    if job.loss == "clipped_output":
        return functional.mse_loss(outputs.relu(), y)
    if job.loss == "broadcast":
        return (outputs - y[:, 0]).square().mean()
    right = functional.mse_loss(outputs, y) if y.is_floating_point() else functional.cross_entropy(outputs, y)
    return right.detach().requires_grad_() if job.loss == "detached" else right
