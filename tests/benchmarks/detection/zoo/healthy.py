"""Healthy runs that look odd: what false alarms are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.detection.zoo.bases import BASES
from benchmarks.detection.zoo.faults import ALL, CLASSES, REGRESSIONS, put, times
from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.views import View, view_of

Changes = dict[str, Any]
EPOCHS: Changes = {
    "epoch": 25,
    "decimals": 4,
    "every": 1,
    "grad_norm": False,
    "layers": False,
    "validation": True,
}
STEPS: Changes = {"epoch": 0, "decimals": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthy:
    """A healthy recipe and how it is logged. ``also_ok`` is what a monitor may fairly say of it all the same."""

    id: str
    family: str
    recipe: Recipe
    view: View
    also_ok: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """One way to be odd, on some bases, with a view's fields set."""

    name: str
    bases: tuple[str, ...]
    change: Callable[[Recipe], Changes]
    view: Changes | None = None
    also_ok: tuple[str, ...] = ()
    seeds: int = 1


def longer(factor: float, **values: Any) -> Callable[[Recipe], Changes]:
    """More steps, and fields set."""
    return lambda recipe: {"steps": round(factor * recipe.steps)} | values


def noisy(recipe: Recipe) -> Changes:
    """Batches of four at a rate that suits them."""
    return {"batch_size": 4, "learning_rate": recipe.learning_rate / 4, "steps": 1400}


def fine_tuned(recipe: Recipe) -> Changes:
    """A good start, a tenth of the rate."""
    return {"pretrained_steps": 250, "learning_rate": recipe.learning_rate / 10}


def stepped(recipe: Recipe) -> Changes:
    """Hot for half the run, then two drops of ten."""
    return {"schedule": "step", "learning_rate": 1.5 * recipe.learning_rate, "steps": round(1.3 * recipe.steps)}


def saddle(recipe: Recipe) -> Changes:
    """Small initial weights: the loss rests at chance before it falls."""
    common: Changes = {"activation": "tanh", "steps": 1200}
    if recipe.optimizer == "adam":
        return common | {"initialization_gain": 0.35 if recipe.task == "rings" else 0.5}
    if recipe.task == "rings":
        return common | {"momentum": 0.9, "initialization_gain": 0.4}
    return common | {"hidden": (24, 24, 24), "initialization_gain": 0.2}


def grown_batch(recipe: Recipe) -> Changes:
    """The batch grows mid-run: the noise shrinks at once."""
    return {"changes": ((recipe.steps // 2, "batch_size", 8 * recipe.batch_size),)}


def harder_data(recipe: Recipe) -> Changes:
    """Cleanly labelled samples first, all of them later: the floor rises early in the run."""
    return {"changes": ((recipe.steps // 8, "label_noise", 0.12),)}


def likelihood(recipe: Recipe) -> Changes:
    """A normal likelihood with a learned spread: the loss goes through 0."""
    slower = 1 if recipe.optimizer == "adam" else 4
    return {"loss": "gaussian", "learning_rate": recipe.learning_rate / slower, "clip": 5.0}


def cyclic(schedule: str) -> Callable[[Recipe], Changes]:
    """A schedule that comes back up, with a top rate of twice the usual."""
    return lambda recipe: {"schedule": schedule, "learning_rate": 2 * recipe.learning_rate}


FP16 = ("rings-sgd", "glyphs-sgd", "glyphs-momentum", "tokens-adam", "friedman-adam")
ODDITIES: tuple[Oddity, ...] = (
    Oddity(name="plain", bases=ALL, change=put(), seeds=2),
    Oddity(name="noisy", bases=ALL, change=noisy, also_ok=("slow_convergence",)),
    Oddity(name="warm-up", bases=ALL[::2], change=lambda recipe: {"warmup_steps": recipe.steps // 4}),
    Oddity(name="cosine", bases=ALL[1::2], change=put(schedule="cosine")),
    Oddity(name="linear", bases=ALL[::3], change=put(schedule="linear")),
    Oddity(name="step-drops", bases=ALL[::2], change=stepped),
    Oddity(name="triangular", bases=ALL[1::2], change=cyclic("triangular")),
    Oddity(name="restarts", bases=ALL[::2], change=cyclic("restarts")),
    Oddity(
        name="saddle",
        bases=("rings-sgd", "rings-adam", "checkerboard-adam", "glyphs-momentum"),
        change=saddle,
        seeds=2,
    ),
    Oddity(
        name="curriculum",
        bases=("rings-adam", "glyphs-sgd", "tokens-adam"),
        change=lambda recipe: {"curriculum": recipe.steps // 4},
        view={"validation": False},
    ),
    Oddity(name="harder-data", bases=ALL[1::2], change=harder_data),
    Oddity(name="label-noise", bases=CLASSES, change=longer(1.6, label_noise=0.35)),
    Oddity(name="target-noise", bases=REGRESSIONS, change=longer(1.6, label_noise=0.3)),
    Oddity(name="likelihood", bases=REGRESSIONS, change=likelihood),
    Oddity(name="tiny", bases=ALL[::3], change=put(), view={"units": 1e-7, "decimals": None}),
    Oddity(name="huge", bases=REGRESSIONS, change=put(), view={"units": 3e6}),
    Oddity(name="epochs", bases=ALL, change=longer(1.4), view=EPOCHS),
    Oddity(name="every-10", bases=ALL[::2], change=longer(1.8), view=STEPS | {"every": 10}),
    Oddity(name="every-25", bases=ALL[1::2], change=longer(1.8), view=STEPS | {"every": 25}),
    Oddity(
        name="fine-tuning", bases=ALL[::2], change=fine_tuned, also_ok=("slow_convergence", "plateau", "not_learning")
    ),
    Oddity(
        name="dropout",
        bases=("glyphs-sgd", "glyphs-momentum", "tokens-adam", "rings-adam", "friedman-adam"),
        change=put(dropout=0.25),
        view={"validation": True},
    ),
    Oddity(
        name="fp16-scaler",
        bases=FP16,
        change=put(precision="fp16", loss_scale=0.0),
        view=STEPS | {"every": 1, "grad_norm": True},
        also_ok=("non_finite",),
    ),
    Oddity(name="long", bases=("rings-sgd", "friedman-sgd", "tokens-adam", "teacher-sgd"), change=longer(2.2)),
    Oddity(
        name="full-batch",
        bases=("friedman-sgd", "teacher-momentum", "friedman-adam"),
        change=put(batch_size=512, train_size=512),
    ),
    Oddity(name="grown-batch", bases=ALL[1::3], change=grown_batch),
    Oddity(name="clipped", bases=ALL[::3], change=put(clip=1.0)),
    Oddity(name="decayed", bases=ALL[1::3], change=put(weight_decay=1e-4)),
    Oddity(name="slower", bases=ALL[::3], change=times(learning_rate=0.6)),
    Oddity(name="short", bases=ALL[::3], change=put(steps=40)),
)


def healthy(seeds: range) -> Iterator[Healthy]:
    """Every oddity on every base it names."""
    for seed in seeds:
        for oddity in ODDITIES:
            for repeat in range(oddity.seeds):
                for position, name in enumerate(oddity.bases):
                    base = replace(BASES[name], seed=500 + 31 * seed + 7 * repeat + position)
                    recipe = replace(base, **oddity.change(base))
                    run_id = f"healthy-{oddity.name}-{name}-{seed}{repeat or ''}"
                    view = view_of(run_id, recipe.steps, validation=False)
                    yield Healthy(
                        id=run_id,
                        family=oddity.name,
                        recipe=recipe,
                        view=replace(view, **(oddity.view or {})),
                        also_ok=oddity.also_ok,
                    )
