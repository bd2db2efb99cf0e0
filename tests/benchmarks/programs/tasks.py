"""What the programs train on and with: five small tasks, and the models that learn them."""

from __future__ import annotations

from typing import Any

import torch
from sklearn import datasets
from torch import nn

SAMPLES = 1600
Data = tuple[Any, Any]


def digits() -> Data:
    """1,600 images of 8 x 8 pixels of ten digits, each pixel standardised."""
    images, labels = datasets.load_digits(return_X_y=True)
    x = torch.tensor(images[:SAMPLES] / 16.0, dtype=torch.float32)
    return (x - x.mean()) / x.std(), torch.tensor(labels[:SAMPLES])


def rings(classes: int = 2) -> Data:
    """Points in the plane; the class is the ring that a point lies in: no line tells them apart."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(SAMPLES, 2, generator=generator)
    edges = torch.quantile(x.norm(dim=1), torch.linspace(0, 1, classes + 1)[1:-1])
    return x, torch.bucketize(x.norm(dim=1), edges)


def surface() -> Data:
    """Eight standard normal features; products, sines and magnitudes of them as a standardised target."""
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(SAMPLES, 8, generator=generator)
    y = x[:, 0] * x[:, 1] + torch.sin(2 * x[:, 2]) + x[:, 3].abs() + 0.1 * torch.randn(SAMPLES, generator=generator)
    return x, ((y - y.mean()) / y.std()).unsqueeze(1)


def tokens() -> Data:
    """Twelve tokens out of twenty; the class is which quarter of the vocabulary most of them come from."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randint(0, 20, (SAMPLES, 12), generator=generator)
    return x, torch.stack([(x // 5 == quarter).sum(1) for quarter in range(4)], 1).argmax(1)


def mlp(inputs: int, outputs: int, *end: Any, width: int = 64, depth: int = 2, activation: Any = nn.ReLU) -> Any:
    """``depth`` hidden layers with the activation between them (None for none), ``end`` behind the last."""
    layers: list[Any] = []
    for place in range(depth):
        layers.append(nn.Linear(inputs if place == 0 else width, width))
        if activation is not None:
            layers.append(activation())
    return nn.Sequential(*layers, nn.Linear(width, outputs), *end)


class Convolutional(nn.Module):
    """Two convolutions and a linear layer over images of 8 x 8."""

    def __init__(self, activation: Any = torch.relu, end: Any = None) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 32, 3, padding=1)
        self.last = nn.Linear(32 * 4, 10)
        self.activation, self.end = activation, end

    def forward(self, x: Any) -> Any:
        x = nn.functional.max_pool2d(self.activation(self.first(x.reshape(-1, 1, 8, 8))), 2)
        x = self.last(nn.functional.max_pool2d(self.activation(self.second(x)), 2).flatten(1))
        return x if self.end is None else self.end(x)


class Reader(nn.Module):
    """An embedding, its mean over the text, and two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        self.body = mlp(16, 4, depth=1)

    def forward(self, x: Any) -> Any:
        return self.body(self.embedding(x).mean(1))


class Unregistered(nn.Module):
    """Hidden layers in a plain list: no optimiser that is given ``parameters()`` finds them."""

    def __init__(self, *, in_a_list: bool) -> None:
        super().__init__()
        hidden = [nn.Linear(8, 8), nn.Linear(8, 8)]
        self.hidden = hidden if in_a_list else nn.ModuleList(hidden)
        self.last = nn.Linear(8, 1)

    def forward(self, x: Any) -> Any:
        for layer in self.hidden:
            x = torch.relu(layer(x))
        return self.last(x)
