"""The test half's models in PyTorch, with their data, faults and oddities: nothing of it is in the develop half."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.detection.torch_models import MORE, Job
from benchmarks.detection.torch_zoo import Kind, bad_batch, fault, hotter, later, odd, small
from benchmarks.detection.zoo.faults import put, times
from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.tasks import HELD_OUT, TRAIN, Task

SYMBOLS, LENGTH, WIDTH = 10, 8, 20
N = TRAIN + HELD_OUT


@lru_cache(maxsize=8)
def brackets(seed: int) -> Task:
    """Sequences of symbols; the class is which of three marks came last before the end."""
    generator = np.random.default_rng([seed, 61])
    x = generator.integers(0, SYMBOLS, (N, LENGTH))
    place = LENGTH - 1 - np.argmax(x[:, ::-1] < 3, axis=1)
    y = np.where((x < 3).any(axis=1), x[np.arange(N), place], 3)
    return Task(name="brackets", x=x.astype(np.float32), y=y, classes=4)


@lru_cache(maxsize=8)
def pointers(seed: int) -> Task:
    """The last symbol says at which place the answer stands; one answer in twelve is noise."""
    generator = np.random.default_rng([seed, 67])
    x = generator.integers(0, SYMBOLS, (N, LENGTH))
    x[:, -1] = generator.integers(0, 4, N)
    right = x[np.arange(N), x[:, -1]]
    y = np.where(generator.random(N) < 1 / 12, generator.integers(0, SYMBOLS, N), right)
    return Task(name="pointers", x=x.astype(np.float32), y=y, classes=SYMBOLS)


@lru_cache(maxsize=8)
def blobs(seed: int) -> Task:
    """Pictures of eight by eight with one to six blobs in noise: how many are there?"""
    generator = np.random.default_rng([seed, 71])
    count = generator.integers(1, 7, N)
    i, j = np.meshgrid(np.arange(8), np.arange(8))
    x = generator.normal(0, 0.3, (N, 8, 8))
    for k in range(6):
        at = generator.uniform(0, 7, (N, 2, 1, 1))
        x += (count > k)[:, None, None] * np.exp(-((i - at[:, 0]) ** 2 + (j - at[:, 1]) ** 2) / 1.2)
    y = (count - count.mean()) / count.std()
    return Task(name="blobs", x=x.reshape(N, 64).astype(np.float32), y=y[:, None].astype(np.float32), classes=0)


@lru_cache(maxsize=8)
def shells(seed: int) -> Task:
    """Five shells about the origin of nine dimensions, out of round."""
    generator = np.random.default_rng([seed, 73])
    x = generator.normal(0, 1, (N, 9))
    radius = np.sqrt(((x * generator.uniform(0.6, 1.4, 9)) ** 2).sum(axis=1)) + generator.normal(0, 0.1, N)
    y = np.searchsorted(np.quantile(radius, [0.2, 0.4, 0.6, 0.8]), radius)
    return Task(name="shells", x=x.astype(np.float32), y=y, classes=5)


class Reader(nn.Module):
    """An embedding, a long short-term memory, a head that reads its last state."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, WIDTH)
        self.layer = nn.LSTM(WIDTH, 24, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Symbols (batch, 8) to logits (batch, 4)."""
        out: Tensor = self.head(self.dropout(self.layer(self.embedding(x.long()))[0][:, -1]))
        return out


class Pointer(nn.Module):
    """Two blocks of attention with the normalisation before them and a smooth activation."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, WIDTH)
        self.position = nn.Parameter(0.3 * torch.randn(LENGTH, WIDTH))
        blocks = [
            nn.TransformerEncoderLayer(WIDTH, 4, 40, dropout, activation="gelu", batch_first=True, norm_first=True)
            for _ in range(2)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(WIDTH, SYMBOLS)

    def forward(self, x: Tensor) -> Tensor:
        """Symbols (batch, 8) to logits (batch, 10)."""
        out: Tensor = self.head(self.blocks(self.embedding(x.long()) + self.position)[:, -1])
        return out


class Counter(nn.Module):
    """Strided convolutions with group normalisation, and an average over the picture."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 12, 3, padding=1),
            nn.GroupNorm(3, 12),
            nn.SiLU(),
            nn.Conv2d(12, 16, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (batch, 64) to counts (batch, 1)."""
        out: Tensor = self.head(self.hidden(x).mean((2, 3)))
        return out


class Residual(nn.Module):
    """Three residual blocks with layer normalisation."""

    def __init__(self, activation: str, dropout: float) -> None:
        super().__init__()
        act = {"linear": nn.Identity, "sigmoid": nn.Sigmoid}.get(activation, nn.ELU)
        self.inputs = nn.Linear(9, 24)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 32), act(), nn.Dropout(dropout), nn.Linear(32, 24))
            for _ in range(3)
        )
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Numbers (batch, 9) to logits (batch, 5)."""
        h = self.inputs(x)
        for block in self.blocks:
            h = h + block(h)
        out: Tensor = self.head(h)
        return out


MORE |= {
    "lstm": (brackets, lambda job, data: Reader(job.recipe.dropout)),
    "pointer": (pointers, lambda job, data: Pointer(job.recipe.dropout)),
    "counting": (blobs, lambda job, data: Counter(job.recipe.dropout)),
    "residual": (shells, lambda job, data: Residual(job.recipe.activation, job.recipe.dropout)),
}
NESTEROV = Recipe(task="rings", learning_rate=0.12, momentum=0.9, nesterov=True, steps=320)
BASES: dict[str, Job] = {
    "lstm-nesterov": Job(model="lstm", recipe=NESTEROV),
    "pointer-adam": Job(model="pointer", recipe=Recipe(task="rings", optimizer="adam", learning_rate=0.008, steps=500)),
    "counting-adam": Job(
        model="counting", recipe=Recipe(task="friedman", optimizer="adam", learning_rate=0.006, steps=300)
    ),
    "residual-rmsprop": Job(
        model="residual", recipe=Recipe(task="rings", optimizer="rmsprop", learning_rate=0.002, steps=320)
    ),
}
FLOATS, EACH = "counting-adam residual-rmsprop", " ".join(BASES)
FAULTS: tuple[Kind, ...] = (
    fault("gradients_accumulating", "no-zero-grad", EACH, put(zeroes_gradients=False)),
    fault("parameters_not_updated", "no-step", "lstm-nesterov residual-rmsprop", put(steps_optimizer=False)),
    fault(
        "parameters_not_updated",
        "step-lost",
        "pointer-adam counting-adam",
        later(0.15, "steps_optimizer", False),
        0.15,
    ),
    fault("parameters_not_updated", "another-model", "residual-rmsprop lstm-nesterov", put(holds="another")),
    fault("parameters_not_updated", "head-alone", EACH, put(holds="head")),
    fault("parameters_not_updated", "detached", "counting-adam pointer-adam", put(loss="detached")),
    fault("wrong_loss_function", "over-batch", "lstm-nesterov residual-rmsprop", put(loss="softmax_over_batch")),
    fault("wrong_loss_function", "no-logarithm", "pointer-adam residual-rmsprop", put(loss="nll_of_probabilities")),
    fault("wrong_loss_function", "clipped", "counting-adam", put(loss="clipped_output")),
    fault("learning_rate_too_high", "x30", "lstm-nesterov residual-rmsprop", times(learning_rate=30)),
    fault("learning_rate_too_high", "x200", "pointer-adam counting-adam", times(learning_rate=200)),
    fault("learning_rate_too_high", "later", "lstm-nesterov counting-adam", hotter(0.35, 90), at=0.35),
    fault("learning_rate_too_low", "/100", EACH, times(learning_rate=1 / 100)),
    fault("inputs_not_scaled", "x90", FLOATS, put(input_scale=90.0, input_offset=0.3)),
    fault("poor_initialization", "normal", "lstm-nesterov residual-rmsprop", put(initialization="normal")),
    fault("poor_initialization", "zeros", "pointer-adam counting-adam", put(initialization="zeros")),
    fault("missing_nonlinearity", "linear", "residual-rmsprop", put(activation="linear")),
    fault("labels_uninformative", "shuffled", "lstm-nesterov counting-adam", put(label_noise=1.0)),
    fault("labels_uninformative", "later", "pointer-adam residual-rmsprop", later(0.6, "label_noise", 1.0), at=0.6),
    fault("bad_batch", "x40", FLOATS, bad_batch(0.45, 40.0), at=0.45),
    fault("non_finite_data", "nan", FLOATS, bad_batch(0.65, float("nan")), at=0.65),
    fault("overfit_small_data", "70", EACH, small(70, 2.0), train_size=4096),
    fault("gradient_clip_too_tight", "0.002", "lstm-nesterov", put(clip=0.002)),
    fault("precision_overflow", "fixed-scale", FLOATS, put(precision="fp16", loss_scale=2.0**28)),
    fault("weight_decay_too_strong", "0.3", "lstm-nesterov residual-rmsprop", put(weight_decay=0.3)),
)
OFTEN = {"epoch": 0, "every": 1, "decimals": None}
HEALTHY_KINDS: tuple[Kind, ...] = (
    odd("plain", f"{EACH} {EACH} {EACH}", put()),
    odd("dropout", EACH, put(dropout=0.15), validation=True),
    odd("exponential", EACH, put(schedule="exponential")),
    odd("one-cycle", EACH, put(schedule="one_cycle")),
    odd("inverse-root", "lstm-nesterov pointer-adam", put(schedule="inverse_root")),
    odd("sawtooth", "counting-adam residual-rmsprop", put(schedule="sawtooth")),
    odd("warm-up", EACH, put(warmup_steps=50)),
    odd("bf16", FLOATS, put(precision="bf16")),
    odd("loss-scaler", FLOATS, put(precision="fp16", loss_scale=0.0), **OFTEN, grad_norm=True),
    odd("accumulating", EACH, put(accumulates=2, batch_size=12)),
    odd("label-noise", EACH, put(label_noise=0.25)),
    odd("clipped", EACH, put(clip=0.5)),
    odd("epochs", EACH, put(), epoch=16, decimals=4, grad_norm=False, layers=False),
    odd("short", EACH, put(steps=30)),
    odd("grown-batch", EACH, later(0.35, "batch_size", 96)),
)
