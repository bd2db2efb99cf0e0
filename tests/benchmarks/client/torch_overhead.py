"""What `losswatch.torch.watch` costs a training step, on a small ResNet and a small transformer.

``make bench-client`` runs it with the frameworks' Python. Watched and unwatched steps of one model take turns in short
stretches, so that whatever else the machine does falls on both alike; the figure is the median over the pairs, of the
processor time of the training thread, which computes alone here. What the sender's thread takes beside it is what
``overhead.py`` counts.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[3] / "clients" / "python" / "tests"))
from service_stub import BadService

import losswatch

STRETCH = 5


class Block(nn.Module):
    """A residual block of 3 x 3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return torch.relu(x + self.body(x))


def resnet() -> tuple[Any, Any, Any]:
    """20 layers on 16 images of 32 x 32."""
    body = [Block(32) for _ in range(9)]
    stem = nn.Conv2d(3, 32, 3, padding=1)
    model = nn.Sequential(stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
    return model, torch.randn(16, 3, 32, 32), torch.randint(0, 10, (16,))


def transformer() -> tuple[Any, Any, Any]:
    """Four layers of width 128 on 16 sequences of 64."""
    layer = nn.TransformerEncoderLayer(128, 4, 512, batch_first=True)
    model = nn.Sequential(nn.Embedding(256, 128), nn.TransformerEncoder(layer, 4), nn.Linear(128, 256))
    tokens = torch.randint(0, 256, (16, 64))
    return model, tokens, tokens


def measure(make: Callable[[], tuple[Any, Any, Any]], url: str, pairs: int) -> tuple[float, float]:
    """Milliseconds of an unwatched step, and by how much of it a watched one is longer (median of the pairs)."""
    model, x, y = make()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def stretch(run: Any) -> float:
        before = time.thread_time()
        for _ in range(STRETCH):
            output = model(x)
            loss = nn.functional.cross_entropy(output.reshape(-1, output.shape[-1]), y.reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if run is not None:
                run.log(loss=loss)
        return (time.thread_time() - before) / STRETCH

    stretch(None)
    first = losswatch.torch.watch(model, optimizer, name="bench", url=url, quiet=True)
    stretch(first)  # the looks at the first step, which a training of any length has once
    first.remove()
    plain, ratios = [], []
    for pair in range(pairs):
        taken: dict[bool, float] = {}
        for is_watched in (pair % 2 == 0, pair % 2 == 1):
            run = losswatch.torch.watch(model, optimizer, run=first.run, facts=False) if is_watched else None
            taken[is_watched] = stretch(run)
            if run is not None:
                run.remove()
        plain.append(taken[False])
        ratios.append(taken[True] / taken[False])
    first.finish()
    return statistics.median(plain) * 1e3, statistics.median(ratios) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=30)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with BadService() as service:
        for make in (resnet, transformer):
            step, overhead = measure(make, service.url, given.pairs)
            print(f"{make.__name__:12} {step:8.1f} ms a step, watched {overhead:+.2%}")


if __name__ == "__main__":
    main()
