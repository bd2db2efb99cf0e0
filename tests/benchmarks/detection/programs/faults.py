"""Every cause of the vocabulary as changes of a healthy recipe, at the strengths of either half of the zoo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.detection.programs.program import Data, Program, recipe_of
from benchmarks.detection.zoo.faults import Fault, bad_batches, put, times
from benchmarks.detection.zoo.optimizer import ADAPTIVE
from benchmarks.detection.zoo.recipe import Recipe

Changes = Callable[[Recipe], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strengths:
    """How strong each fault is, mild to strong; ``moments`` are shares of the run at which mid-run faults begin."""

    rate_up: tuple[float, ...]
    rate_up_adaptive: tuple[float, ...]
    rate_up_later: tuple[float, ...]
    rate_down: tuple[float, ...]
    moments: tuple[float, float]
    input_scale: tuple[tuple[float, float], ...]
    widths: tuple[int, ...]
    wrong_for_classes: tuple[str, ...]
    wrong_for_values: tuple[str, ...]
    dead_bias: float
    killed_by: float
    saturating_gain: float
    sigmoid_layers: int
    gains: tuple[float, ...]
    tiny: tuple[int, float]
    label_noise: tuple[float, ...]
    bad_batch: tuple[float, ...]
    bad_every: int
    broken: tuple[tuple[str, int], ...]
    sorted_size: int
    single_rate: tuple[tuple[int, float], ...]
    decay: tuple[float, ...]
    decay_decoupled: tuple[float, ...]
    unwarmed: tuple[float, ...]
    fixed_scale: tuple[tuple[float, float], ...]
    small: tuple[tuple[int, float], ...]
    clip: tuple[float, ...]
    momentum: tuple[float, ...]


DEVELOP = Strengths(
    rate_up=(4, 15, 60),
    rate_up_adaptive=(15, 60, 300),
    rate_up_later=(12, 50),
    rate_down=(6, 50, 400),
    moments=(0.4, 0.6),
    input_scale=((12.0, 0.0), (100.0, 1.0)),
    widths=(1, 2),
    wrong_for_classes=("double_softmax", "class_numbers", "ascent"),
    wrong_for_values=("squashed", "broadcast", "ascent"),
    dead_bias=-12.0,
    killed_by=-40.0,
    saturating_gain=25.0,
    sigmoid_layers=6,
    gains=(0.0, 8.0),
    tiny=(6, 0.05),
    label_noise=(1.0, 0.75),
    bad_batch=(30.0, 300.0),
    bad_every=41,
    broken=(("nan inputs", 1), ("nan targets", 6), ("nan validation", 1)),
    sorted_size=480,
    single_rate=((1, 3.0), (2, 3.0)),
    decay=(0.03, 0.3),
    decay_decoupled=(2.0, 20.0),
    unwarmed=(6, 15),
    fixed_scale=((2.0**21, 1.0), (512.0, 3.0)),
    small=((60, 1.5), (250, 2.0)),
    clip=(0.03, 0.003),
    momentum=(0.99, 0.997),
)
TEST = Strengths(
    rate_up=(6, 25, 150),
    rate_up_adaptive=(25, 120, 600),
    rate_up_later=(20, 80),
    rate_down=(10, 90, 1000),
    moments=(0.3, 0.7),
    input_scale=((25.0, 0.0), (255.0, 0.5)),
    widths=(1, 3),
    wrong_for_classes=("likelihood_without_logarithm", "softmax_over_batch"),
    wrong_for_values=("clipped_output", "signed_error"),
    dead_bias=-8.0,
    killed_by=-25.0,
    saturating_gain=60.0,
    sigmoid_layers=8,
    gains=(0.0, 12.0),
    tiny=(5, 0.02),
    label_noise=(1.0, 0.85),
    bad_batch=(60.0, 1000.0),
    bad_every=29,
    broken=(("infinite inputs", 1), ("nan inputs", 8), ("nan validation", 1)),
    sorted_size=360,
    single_rate=((1, 2.0), (2, 5.0)),
    decay=(0.06, 0.6),
    decay_decoupled=(4.0, 50.0),
    unwarmed=(9, 25),
    fixed_scale=((2.0**24, 1.0), (2048.0, 2.5)),
    small=((40, 1.5), (160, 2.5)),
    clip=(0.02, 0.001),
    momentum=(0.993, 0.999),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One way to make a fault: what changes, on which recipes, since which share of the run."""

    cause: str
    name: str
    change: Changes
    fits: Callable[[Recipe], bool] = lambda recipe: True
    at: float = 0.0
    cure: Changes | None = None
    """What makes the faulty recipe its healthy twin; without it the twin is the base."""
    oddity: str = ""
    """What a program must be able to be besides."""


def later(name: str, value: Callable[[Recipe], Any], share: float) -> Changes:
    """The field changes after that share of the run."""
    return lambda recipe: {"changes": ((round(share * recipe.steps), name, value(recipe)),)}


def layered(recipe: Recipe) -> bool:
    """The hidden layers can be made deeper."""
    return len(recipe.hidden) > 0


def rectified(recipe: Recipe) -> bool:
    """Units can die."""
    return recipe.activation == "relu" and layered(recipe)


def adaptive(recipe: Recipe) -> bool:
    """The size of a step does not grow with the gradient."""
    return recipe.optimizer in ADAPTIVE


def plain(recipe: Recipe) -> bool:
    """Gradient descent, with momentum or without."""
    return recipe.optimizer == "sgd"


def of_rates(s: Strengths) -> Iterator[Kind]:
    """Learning rate, momentum, warm-up, clipping, batch and decay."""
    high = "learning_rate_too_high"
    for factor in s.rate_up:
        yield Kind(cause=high, name=f"x{factor}", change=times(learning_rate=factor), fits=lambda r: not adaptive(r))
    for factor in s.rate_up_adaptive:
        yield Kind(cause=high, name=f"x{factor}", change=times(learning_rate=factor), fits=adaptive)
    for factor, at in zip(s.rate_up_later, s.moments, strict=True):
        hotter = later("learning_rate", lambda r, f=factor: f * r.learning_rate, at)
        yield Kind(cause=high, name=f"later-x{factor}", change=hotter, at=at)
    for factor in s.rate_down:
        yield Kind(cause="learning_rate_too_low", name=f"/{factor}", change=times(learning_rate=1 / factor))
    for factor in s.unwarmed:
        yield Kind(
            cause="no_warmup",
            name=f"x{factor}",
            change=lambda r, f=factor: {"learning_rate": f * r.learning_rate, "warmup_steps": 0, "schedule": "linear"},
            cure=lambda r: {"warmup_steps": r.steps // 3},
            fits=lambda r: adaptive(r) or r.momentum > 0,
        )
    for momentum in s.momentum:
        yield Kind(cause="momentum_too_high", name=str(momentum), change=put(momentum=momentum), fits=plain)
    for clip in s.clip:
        yield Kind(
            cause="gradient_clip_too_tight", name=str(clip), change=put(clip=clip), fits=lambda r: not adaptive(r)
        )
    for decay, decoupled in zip(s.decay, s.decay_decoupled, strict=True):
        strong = "weight_decay_too_strong"
        yield Kind(cause=strong, name=str(decay), change=put(weight_decay=decay), fits=lambda r: not adaptive(r))
        yield Kind(cause=strong, name=str(decoupled), change=put(weight_decay=decoupled), fits=adaptive)
    for size, factor in s.single_rate:
        yield Kind(
            cause="batch_too_small",
            name=str(size),
            change=lambda r, b=size, f=factor: {"batch_size": b, "learning_rate": f * r.learning_rate},
        )
    for scale, growth in s.fixed_scale:
        yield Kind(
            cause="precision_overflow",
            name=f"scale-{scale:.0f}",
            change=put(precision="fp16", loss_scale=scale, loss_scale_growth=growth),
        )


def of_model(s: Strengths) -> Iterator[Kind]:
    """The model and the program around it."""
    yield Kind(cause="missing_nonlinearity", name="linear", change=put(activation="linear"), fits=layered)
    for width in s.widths:
        yield Kind(
            cause="insufficient_capacity",
            name=f"width-{width}",
            change=lambda r, w=width: {"hidden": (w,) * len(r.hidden)},
            fits=layered,
            oddity="narrow",
        )
    yield Kind(cause="dead_activations", name="bias", change=put(bias=s.dead_bias), fits=rectified)
    killed = later("kill", lambda _: s.killed_by, s.moments[0])
    yield Kind(cause="dead_activations", name="later", change=killed, fits=rectified, at=s.moments[0])
    tanh = put(activation="tanh", initialization_gain=s.saturating_gain)
    yield Kind(cause="saturated_activations", name="gain", change=tanh, fits=layered)
    deep = put(hidden=(20,) * s.sigmoid_layers, activation="sigmoid")
    yield Kind(cause="saturated_activations", name="deep-sigmoid", change=deep, fits=layered)
    for gain in s.gains:
        start = put(initialization_gain=gain)
        yield Kind(cause="poor_initialization", name=f"gain-{gain}", change=start, fits=lambda r: r.hidden != ())
    layers, gain = s.tiny
    tiny = put(hidden=(20,) * layers, activation="tanh", initialization_gain=gain)
    yield Kind(cause="poor_initialization", name="tiny-deep", change=tiny, fits=layered, oddity="saddle")
    unused = "parameters_not_updated"
    yield Kind(cause=unused, name="start", change=put(steps_optimizer=False))
    stopped = later("steps_optimizer", lambda _: False, s.moments[0] / 3)
    yield Kind(cause=unused, name="later", change=stopped, at=s.moments[0] / 3)
    yield Kind(cause=unused, name="frozen", change=put(frozen=True), fits=layered, oddity="narrow")
    yield Kind(cause="gradients_accumulating", name="start", change=put(zeroes_gradients=False))


def of_data(s: Strengths) -> Iterator[Kind]:
    """The data."""
    for scale, offset in s.input_scale:
        yield Kind(cause="inputs_not_scaled", name=f"x{scale:.0f}", change=put(input_scale=scale, input_offset=offset))
    for share in s.label_noise:
        yield Kind(cause="labels_uninformative", name=f"{share}", change=put(label_noise=share))
    at = s.moments[1]
    mixed = later("label_noise", lambda _: 1.0, at)
    yield Kind(cause="labels_uninformative", name="later", change=mixed, at=at)
    for size, moment in zip(s.bad_batch, s.moments, strict=True):
        yield Kind(cause="bad_batch", name=f"x{size:.0f}", change=bad_batches(moment, size), at=moment)
    often = bad_batches(s.moments[0], s.bad_batch[0], s.bad_every)
    yield Kind(cause="bad_batch", name="often", change=often, at=s.moments[0])
    for by, count in s.broken:
        spoilt = put(broken_by=by, broken_samples=count)
        yield Kind(cause="non_finite_data", name=f"{by.replace(' ', '-')}-{count}", change=spoilt)
    size = s.sorted_size
    in_order = put(shuffle=False, train_size=size, batch_size=16)
    shuffled = put(shuffle=True)
    yield Kind(cause="data_not_shuffled", name="sorted", change=in_order, cure=shuffled)
    yield Kind(
        cause="data_not_shuffled",
        name="later",
        change=lambda r: {
            "train_size": size,
            "batch_size": 16,
            "changes": ((round(s.moments[0] * r.steps), "shuffle", False),),
        },
        at=s.moments[0],
        cure=put(changes=()),
    )
    for count, longer in s.small:
        yield Kind(
            cause="overfit_small_data",
            name=str(count),
            change=lambda r, n=count, f=longer: {
                "train_size": n,
                "batch_size": min(r.batch_size, 16),
                "steps": round(f * r.steps),
            },
            cure=lambda r: {"train_size": 1_000_000},
        )


def of_loss(s: Strengths, data: Data) -> Iterator[Kind]:
    """Losses that do not fit the targets."""
    for name in s.wrong_for_classes if data.classes else s.wrong_for_values:
        yield Kind(cause="wrong_loss_function", name=name, change=put(loss=name))


def breakable(recipe: Recipe, data: Data) -> bool:
    """Whole numbers cannot hold the NaN that the recipe wants there."""
    held = data.y if "targets" in recipe.broken_by else data.x
    return not recipe.broken_samples or held.dtype.kind == "f"


def faults(program: type[Program], seed: int, strengths: Strengths) -> Iterator[Fault]:
    """Every fault that the family can have, on its recipe of that seed."""
    base = recipe_of(program, seed)
    data = program(replace(base, pretrained_steps=0)).data
    kinds = [*of_rates(strengths), *of_model(strengths), *of_data(strengths), *of_loss(strengths, data)]
    for kind in kinds:
        if kind.cause in program.cannot or (kind.oddity and kind.oddity in program.cannot) or not kind.fits(base):
            continue
        recipe = replace(base, **kind.change(base))
        if not breakable(recipe, data):
            continue
        yield Fault(
            id=f"{base.task}-{seed}-{kind.cause}-{kind.name}",
            cause=kind.cause,
            recipe=recipe,
            twin=base if kind.cure is None else replace(recipe, **kind.cure(recipe)),
            at=round(kind.at * base.steps),
        )
