"""A small classification that PyTorch trains in the tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

SAMPLES, INPUTS, CLASSES = 64, 6, 3


def data(samples: int = SAMPLES) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(samples, INPUTS, generator=generator)
    return x, x[:, :CLASSES].argmax(1)


def classifier(*end: Any) -> Any:
    return nn.Sequential(nn.Linear(INPUTS, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, CLASSES), *end)
