"""Healthy runs that look odd: what false alarms are made of. Both halves have their own schedules and strengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.detection.programs.program import Program, recipe_of
from benchmarks.detection.zoo.faults import put, times
from benchmarks.detection.zoo.recipe import Recipe

Changes = Callable[[Recipe], dict[str, Any]]
BOOSTED = "boosting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """One way to be odd; ``view`` says how such a run is logged, ``least`` what share of the base's gain it reaches."""

    name: str
    change: Changes
    view: dict[str, Any] = field(default_factory=dict)
    fits: Callable[[Recipe], bool] = lambda recipe: True
    least: float = 0.5
    repeats: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthy:
    """A healthy recipe, the base it is held against, and how it is logged."""

    id: str
    oddity: Oddity
    recipe: Recipe
    base: Recipe


def by_gradients(recipe: Recipe) -> bool:
    """Trained by an optimiser of weights."""
    return recipe.optimizer != BOOSTED


def longer(factor: float, **values: Any) -> Changes:
    """More steps, and fields set."""
    return lambda recipe: {"steps": round(factor * recipe.steps)} | values


def gentle(size: int) -> Changes:
    """Small batches at a rate that suits them."""
    return lambda r: {"batch_size": size, "learning_rate": r.learning_rate / 3, "steps": 2 * r.steps}


def scheduled(name: str, factor: float = 1.0) -> Changes:
    """Another schedule, with a top rate of so many times the usual."""
    return lambda r: {"schedule": name, "learning_rate": factor * r.learning_rate}


def narrower(recipe: Recipe) -> dict[str, Any]:
    """Half the width."""
    return {"hidden": tuple(max(3, units // 2) for units in recipe.hidden)}


def full_batch(recipe: Recipe) -> dict[str, Any]:
    """All samples in every step."""
    return {"train_size": 192, "batch_size": 192}


def at_share(name: str, value: Callable[[Recipe], Any], share: float) -> Changes:
    """A field changes in mid-run."""
    return lambda recipe: {"changes": ((round(share * recipe.steps), name, value(recipe)),)}


def few(points: int) -> Callable[[Recipe], int]:
    """Steps an epoch, for so many points."""
    return lambda recipe: max(1, recipe.steps // points)


def common(of: str) -> Iterator[Oddity]:
    """Those that both halves have, at their own strengths."""
    develop = of == "develop"
    every = {"epoch": 0, "decimals": None}
    yield Oddity(name="plain", change=put(), repeats=12)
    yield Oddity(name="noisy", change=gentle(4 if develop else 6), fits=by_gradients, repeats=2)
    yield Oddity(
        name="warm-up",
        change=lambda r: {"warmup_steps": r.steps // (4 if develop else 7)},
        fits=lambda r: by_gradients(r) and not r.pretrained_steps,
    )
    yield Oddity(
        name="saddle",
        change=lambda r: {"activation": "tanh", "initialization_gain": 0.3 if develop else 0.2, "steps": 2 * r.steps},
        fits=lambda r: by_gradients(r) and r.hidden != () and not r.pretrained_steps,
        repeats=2,
    )
    yield Oddity(
        name="rises-first",
        change=lambda r: {
            "pretrained_steps": 60 if develop else 90,
            "optimizer": "adam",
            "momentum": 0.0,
            "weight_decay": 0.0,
            "learning_rate": 0.03 if develop else 0.02,
            "schedule": "linear",
        },
        fits=lambda r: by_gradients(r) and r.hidden != () and not r.pretrained_steps,
        repeats=2,
    )
    yield Oddity(name="curriculum", change=lambda r: {"curriculum": r.steps // (4 if develop else 6)})
    yield Oddity(name="label-noise", change=longer(1.5, label_noise=0.3 if develop else 0.4), least=0.1, repeats=2)
    yield Oddity(name="dropout", change=put(dropout=0.25 if develop else 0.15), least=0.3, repeats=2)
    yield Oddity(
        name="narrow", change=narrower, fits=lambda r: by_gradients(r) and r.hidden != (), least=0.4, repeats=2
    )
    yield Oddity(
        name="harder-data", change=at_share("label_noise", lambda _: 0.15, 0.12 if develop else 0.25), least=0.2
    )
    yield Oddity(
        name="grown-batch",
        change=at_share("batch_size", lambda r: (8 if develop else 4) * r.batch_size, 0.5 if develop else 0.35),
        fits=by_gradients,
    )
    yield Oddity(name="accumulating", change=lambda r: {"accumulates": 4, "batch_size": 8}, fits=by_gradients)
    yield Oddity(name="full-batch", change=full_batch, fits=by_gradients)
    yield Oddity(
        name="loss-scaler",
        change=put(precision="fp16", loss_scale=0.0),
        view=every | {"every": 1, "grad_norm": True, "metrics": True},
        fits=by_gradients,
    )
    yield Oddity(name="clipped", change=put(clip=1.0 if develop else 0.5), fits=by_gradients, repeats=2)
    yield Oddity(
        name="norm-after-clip",
        change=put(clip=0.7 if develop else 0.4),
        view=every | {"grad_norm": True, "after_clip": True},
        fits=by_gradients,
    )
    yield Oddity(name="decayed", change=put(weight_decay=1e-4 if develop else 1e-3), fits=by_gradients)
    yield Oddity(name="slower", change=times(learning_rate=0.5 if develop else 0.4), least=0.4)
    yield Oddity(name="long", change=longer(3.0 if develop else 4.0), view=every | {"every": 1})
    yield Oddity(
        name="very-long",
        change=lambda r: {"steps": max(12_000 if develop else 16_000, 2 * r.steps)},
        view=every | {"every": 1, "layers": False},
    )
    yield Oddity(name="short", change=longer(0.12 if develop else 0.08), view=every | {"every": 1}, least=0.02)
    yield Oddity(name="tiny", change=put(), view=every | {"units": 1e-7 if develop else 1e-5})
    yield Oddity(name="huge", change=put(), view={"units": 3e5 if develop else 4e7})
    yield Oddity(name="running-average", change=put(), view=every | {"running": "average"}, repeats=2)
    yield Oddity(name="epoch-so-far", change=put(), view=every | {"running": "epoch"}, repeats=2)
    yield Oddity(name="by-epochs", change=longer(1.5), view={"points": 40 if develop else 60})
    yield Oddity(name="few-epochs", change=put(), view={"points": 12 if develop else 16}, repeats=2)
    yield Oddity(name="some-epochs", change=put(), view={"points": 24 if develop else 20})
    yield Oddity(name="seldom-logged", change=longer(2.0), view=every | {"every": 10 if develop else 20})
    yield Oddity(
        name="seldom-validated", change=longer(1.2), view={"validation": True, "validations": 7 if develop else 11}
    )


def own(of: str) -> Iterator[Oddity]:
    """The schedules, and the rises and pauses, of one half."""
    if of == "develop":
        for name, factor in (("cosine", 1.0), ("step", 1.5), ("triangular", 2.0), ("restarts", 2.0)):
            yield Oddity(name=name, change=scheduled(name, factor), fits=by_gradients, repeats=2)
        yield Oddity(name="late-drop", change=at_share("learning_rate", lambda r: r.learning_rate / 10, 0.7))
    else:
        for name, factor in (("linear", 1.0), ("exponential", 1.5), ("one_cycle", 3.0), ("sawtooth", 2.0)):
            yield Oddity(name=name, change=scheduled(name, factor), fits=by_gradients, repeats=2)
        yield Oddity(name="inverse_root", change=scheduled("inverse_root", 1.5), fits=by_gradients)


def healthy(program: type[Program], seed: int, half: str) -> Iterator[Healthy]:
    """Every oddity that the family can have; repeats have seeds and recipes of their own."""
    for oddity in (*common(half), *own(half)):
        for repeat in range(oddity.repeats):
            base = recipe_of(program, seed if repeat == 0 else seed + 1000 * repeat)
            if oddity.name == "very-long" and not program.cheap:
                continue
            if oddity.name in program.cannot or not oddity.fits(base):
                continue
            recipe = replace(base, **oddity.change(base))
            yield Healthy(
                id=f"{base.task}-{seed}-healthy-{oddity.name}-{repeat}", oddity=oddity, recipe=recipe, base=base
            )
