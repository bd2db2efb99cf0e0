"""Each cause of the vocabulary as changes of a healthy recipe, at several strengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.detection.zoo.bases import BASES
from benchmarks.detection.zoo.recipe import Recipe

Changes = dict[str, Any]
CLASSES = ("rings-sgd", "rings-adam", "glyphs-sgd", "glyphs-momentum", "tokens-adam", "checkerboard-adam")
REGRESSIONS = ("friedman-sgd", "friedman-adam", "chirp-adam", "teacher-momentum", "teacher-sgd")
PLAIN_SGD = ("rings-sgd", "glyphs-sgd", "friedman-sgd", "teacher-sgd")
MOMENTUM = ("glyphs-momentum", "teacher-momentum")
ALL = CLASSES + REGRESSIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A faulty recipe, its healthy twin, the cause, and the step from which the fault is there."""

    id: str
    cause: str
    recipe: Recipe
    twin: Recipe
    at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One way to make a fault: what changes, on which bases. ``at`` is a share of the run (0: from its start)."""

    cause: str
    name: str
    bases: tuple[str, ...]
    change: Callable[[Recipe], Changes]
    at: float = 0.0
    cure: Callable[[Recipe], Changes] | None = None
    """What makes the faulty recipe its healthy twin; without it the twin is the base."""


def times(**factors: float) -> Callable[[Recipe], Changes]:
    """The named fields multiplied."""
    return lambda recipe: {name: getattr(recipe, name) * factor for name, factor in factors.items()}


def put(**values: Any) -> Callable[[Recipe], Changes]:
    """The named fields set."""
    return lambda _: dict(values)


def later(field: str, value: Callable[[Recipe], Any], share: float) -> Callable[[Recipe], Changes]:
    """The field changes after that share of the run."""
    return lambda recipe: {"changes": ((round(share * recipe.steps), field, value(recipe)),)}


def bad_batches(share: float, size: float, every: int = 0) -> Callable[[Recipe], Changes]:
    """One bad batch, or one every so many steps from there on."""

    def change(recipe: Recipe) -> Changes:
        first = round(share * recipe.steps)
        steps = tuple(range(first, recipe.steps, every)) if every else (first,)
        return {"bad_batches": steps, "bad_batch_size": size}

    return change


def deep(activation: str, layers: int, gain: float) -> Callable[[Recipe], Changes]:
    """Many narrow layers."""
    return put(hidden=(24,) * layers, activation=activation, initialization_gain=gain)


KINDS: tuple[Kind, ...] = (
    Kind(cause="learning_rate_too_high", name="x8", bases=PLAIN_SGD, change=times(learning_rate=8)),
    Kind(
        cause="learning_rate_too_high",
        name="x20",
        bases=("rings-sgd", "glyphs-sgd", "glyphs-momentum", "checkerboard-adam", "chirp-adam"),
        change=times(learning_rate=20),
    ),
    Kind(
        cause="learning_rate_too_high",
        name="later-x12",
        bases=("rings-adam", "glyphs-sgd", "checkerboard-adam", "friedman-sgd"),
        change=later("learning_rate", lambda r: 12 * r.learning_rate, 0.4),
        at=0.4,
    ),
    Kind(cause="learning_rate_too_high", name="x40", bases=(*PLAIN_SGD, *MOMENTUM), change=times(learning_rate=40)),
    Kind(
        cause="learning_rate_too_high",
        name="adam-x60",
        bases=("rings-adam", "tokens-adam", "chirp-adam", "friedman-adam"),
        change=times(learning_rate=60),
    ),
    Kind(
        cause="learning_rate_too_high",
        name="later-x40",
        bases=("rings-sgd", "glyphs-momentum", "friedman-adam", "teacher-sgd"),
        change=later("learning_rate", lambda r: 40 * r.learning_rate, 0.55),
        at=0.55,
    ),
    Kind(cause="learning_rate_too_low", name="/30", bases=ALL[::2], change=times(learning_rate=1 / 30)),
    Kind(cause="learning_rate_too_low", name="/400", bases=ALL[1::2], change=times(learning_rate=1 / 400)),
    Kind(
        cause="inputs_not_scaled",
        name="x30",
        bases=("rings-sgd", "glyphs-momentum", "friedman-sgd", "friedman-adam", "teacher-sgd"),
        change=put(input_scale=30.0),
    ),
    Kind(
        cause="inputs_not_scaled",
        name="x300+offset",
        bases=("rings-adam", "glyphs-sgd", "tokens-adam", "friedman-adam", "teacher-momentum"),
        change=put(input_scale=300.0, input_offset=2.0),
    ),
    Kind(
        cause="missing_nonlinearity",
        name="linear",
        bases=("rings-sgd", "rings-adam", "checkerboard-adam", "chirp-adam", "tokens-adam", "friedman-adam"),
        change=put(activation="linear"),
    ),
    Kind(
        cause="insufficient_capacity",
        name="one-unit",
        bases=("rings-adam", "glyphs-sgd", "glyphs-momentum", "chirp-adam", "tokens-adam", "checkerboard-adam"),
        change=put(hidden=(1,)),
    ),
    Kind(
        cause="insufficient_capacity",
        name="two-units",
        bases=("glyphs-sgd", "chirp-adam", "checkerboard-adam"),
        change=put(hidden=(2,)),
    ),
    Kind(
        cause="wrong_loss_function",
        name="double-softmax",
        bases=("glyphs-sgd", "glyphs-momentum", "tokens-adam"),
        change=put(loss="double_softmax"),
    ),
    Kind(
        cause="wrong_loss_function",
        name="one-softmax",
        bases=("checkerboard-adam", "rings-sgd"),
        change=put(loss="single_softmax"),
    ),
    Kind(
        cause="wrong_loss_function",
        name="sigmoid-output",
        bases=("friedman-adam", "teacher-momentum", "chirp-adam"),
        change=put(loss="sigmoid_mse"),
    ),
    Kind(
        cause="wrong_loss_function",
        name="sign",
        bases=("rings-sgd", "glyphs-momentum", "tokens-adam"),
        change=put(loss="ascent_cross_entropy"),
    ),
    Kind(
        cause="wrong_loss_function",
        name="sign",
        bases=("friedman-sgd", "friedman-adam"),
        change=put(loss="ascent_mse"),
    ),
    Kind(
        cause="dead_activations",
        name="bias",
        bases=("rings-sgd", "rings-adam", "glyphs-sgd", "friedman-adam", "chirp-adam"),
        change=put(bias=-12.0),
    ),
    Kind(
        cause="dead_activations",
        name="later",
        bases=("rings-adam", "glyphs-momentum", "friedman-sgd", "tokens-adam"),
        change=later("kill", lambda _: -40.0, 0.4),
        at=0.4,
    ),
    Kind(
        cause="saturated_activations",
        name="deep-sigmoid",
        bases=("rings-sgd", "glyphs-sgd", "glyphs-momentum", "friedman-sgd", "teacher-momentum"),
        change=deep("sigmoid", 6, 1.0),
    ),
    Kind(
        cause="saturated_activations",
        name="tanh-x25",
        bases=("rings-sgd", "glyphs-sgd", "tokens-adam", "friedman-sgd", "teacher-momentum"),
        change=put(activation="tanh", initialization_gain=25.0),
    ),
    Kind(
        cause="poor_initialization",
        name="zero",
        bases=("rings-sgd", "glyphs-momentum", "friedman-adam", "tokens-adam", "checkerboard-adam"),
        change=put(initialization_gain=0.0),
    ),
    Kind(
        cause="poor_initialization",
        name="x8",
        bases=("rings-adam", "glyphs-sgd", "tokens-adam", "friedman-adam", "glyphs-momentum"),
        change=put(initialization_gain=8.0),
    ),
    Kind(
        cause="poor_initialization",
        name="tiny-deep",
        bases=("rings-sgd", "glyphs-sgd", "friedman-sgd"),
        change=deep("tanh", 6, 0.05),
    ),
    Kind(cause="parameters_not_updated", name="start", bases=ALL[::2], change=put(steps_optimizer=False)),
    Kind(
        cause="parameters_not_updated",
        name="frozen",
        bases=("rings-sgd", "chirp-adam", "checkerboard-adam"),
        change=put(frozen=True, hidden=(6,)),
    ),
    Kind(
        cause="parameters_not_updated",
        name="later",
        bases=("rings-sgd", "glyphs-sgd", "tokens-adam", "friedman-sgd"),
        change=later("steps_optimizer", lambda _: False, 0.12),
        at=0.12,
    ),
    Kind(cause="gradients_accumulating", name="start", bases=ALL[:10], change=put(zeroes_gradients=False)),
    Kind(cause="labels_uninformative", name="all", bases=ALL[1::2], change=put(label_noise=1.0)),
    Kind(
        cause="labels_uninformative",
        name="later",
        bases=("rings-adam", "glyphs-sgd", "tokens-adam", "friedman-sgd", "teacher-momentum"),
        change=later("label_noise", lambda _: 1.0, 0.5),
        at=0.5,
    ),
    Kind(cause="bad_batch", name="x30", bases=ALL[::2], change=bad_batches(0.6, 30.0), at=0.6),
    Kind(cause="bad_batch", name="x300", bases=ALL[1::3], change=bad_batches(0.4, 300.0), at=0.4),
    Kind(
        cause="bad_batch",
        name="every-41",
        bases=("rings-adam", "tokens-adam", "friedman-sgd"),
        change=bad_batches(0.3, 25.0, 41),
        at=0.3,
    ),
    Kind(
        cause="bad_batch",
        name="nan",
        bases=("rings-sgd", "glyphs-momentum", "friedman-adam"),
        change=bad_batches(0.45, float("nan")),
        at=0.45,
    ),
    Kind(
        cause="data_not_shuffled",
        name="sorted",
        bases=("rings-sgd", "rings-adam", "glyphs-sgd", "glyphs-momentum", "tokens-adam", "friedman-adam"),
        change=put(shuffle=False, train_size=1024, batch_size=16),
        cure=put(shuffle=True),
    ),
    Kind(
        cause="data_not_shuffled",
        name="later",
        bases=("rings-adam", "glyphs-sgd", "friedman-sgd"),
        change=lambda r: {"train_size": 512, "changes": ((r.steps // 2, "shuffle", False),)},
        at=0.5,
        cure=put(changes=()),
    ),
    Kind(
        cause="batch_too_small",
        name="one",
        bases=("rings-sgd", "glyphs-momentum", "teacher-sgd", "friedman-adam", "friedman-sgd", "tokens-adam"),
        change=lambda r: {"batch_size": 1, "learning_rate": 3 * r.learning_rate},
    ),
    Kind(
        cause="weight_decay_too_strong",
        name="sgd",
        bases=("rings-sgd", "glyphs-sgd", "glyphs-momentum", "friedman-sgd", "teacher-momentum"),
        change=put(weight_decay=0.3),
    ),
    Kind(
        cause="weight_decay_too_strong",
        name="adam",
        bases=("rings-adam", "tokens-adam", "friedman-adam", "chirp-adam"),
        change=put(weight_decay=20.0),
    ),
    Kind(
        cause="no_warmup",
        name="momentum",
        bases=("teacher-momentum",),
        change=times(learning_rate=18),
        cure=put(warmup_steps=150),
    ),
    Kind(
        cause="no_warmup",
        name="deep-adam",
        bases=("checkerboard-adam", "chirp-adam", "checkerboard-adam", "chirp-adam"),
        change=put(hidden=(48,) * 4, learning_rate=0.045),
        cure=put(warmup_steps=200),
    ),
    Kind(
        cause="precision_overflow",
        name="scale-grows",
        bases=("rings-adam", "glyphs-sgd", "friedman-sgd", "tokens-adam", "teacher-momentum"),
        change=put(precision="fp16", loss_scale=512.0, loss_scale_growth=3.0),
    ),
    Kind(
        cause="precision_overflow",
        name="scale-fixed",
        bases=("glyphs-momentum", "friedman-adam", "rings-sgd"),
        change=put(precision="fp16", loss_scale=2.0**21),
    ),
    Kind(
        cause="overfit_small_data",
        name="60",
        bases=(
            "rings-adam",
            "glyphs-momentum",
            "tokens-adam",
            "friedman-adam",
            "checkerboard-adam",
            "teacher-momentum",
        ),
        change=put(train_size=60, batch_size=16),
    ),
    Kind(
        cause="overfit_small_data",
        name="150",
        bases=("rings-sgd", "rings-adam", "glyphs-sgd", "checkerboard-adam", "tokens-adam"),
        change=lambda r: {"train_size": 150, "batch_size": 16, "steps": round(1.5 * r.steps)},
        cure=put(train_size=4096),
    ),
    Kind(
        cause="overfit_small_data",
        name="250",
        bases=("tokens-adam", "glyphs-sgd", "chirp-adam", "friedman-adam"),
        change=lambda r: {"train_size": 250, "hidden": (128,), "steps": 2 * r.steps},
        cure=put(train_size=4096),
    ),
    Kind(
        cause="gradient_clip_too_tight",
        name="0.003",
        bases=("rings-sgd", "glyphs-sgd", "glyphs-momentum", "friedman-sgd", "teacher-momentum", "teacher-sgd"),
        change=put(clip=0.003),
    ),
    Kind(cause="gradient_clip_too_tight", name="0.03", bases=PLAIN_SGD, change=put(clip=0.03)),
    Kind(
        cause="momentum_too_high",
        name="0.995",
        bases=("rings-sgd", "glyphs-sgd", "glyphs-momentum", "friedman-sgd", "teacher-momentum", "teacher-sgd"),
        change=put(momentum=0.995),
    ),
)


def faults(seeds: range) -> Iterator[Fault]:
    """Every kind on every base it names, one seed each in turn, so that seeds vary over the zoo."""
    for seed in seeds:
        for kind in KINDS:
            for position, name in enumerate(kind.bases):
                base = replace(BASES[name], seed=31 * seed + position % 3)
                recipe = replace(base, **kind.change(base))
                twin = base if kind.cure is None else replace(recipe, **kind.cure(recipe))
                yield Fault(
                    id=f"{kind.cause}-{kind.name}-{name}-{base.seed}",
                    cause=kind.cause,
                    recipe=recipe,
                    twin=twin,
                    at=round(kind.at * base.steps),
                )
