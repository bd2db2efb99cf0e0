"""What can be known of a run at a point: what a rule or a row of evidence needs and may not guess.

Each names its needs; where one is not known the answer is "unknown", never "bad". The same training, logged every
tenth step, by the epoch or from its middle on, differs in nothing but this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol, Self

from losswatch_server.monitor.loss_kind import Family, LossKind
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.memory.track import Track
from losswatch_server.monitor.points import Context

START_STRIDES = 2.0
"""Strides of the log within which its first step must lie to be the run's start: counted from 0 or from 1."""
FIRST_EPOCHS = (0.0, 1.0)
EPOCH_STRIDES = 16.0
"""The same where the log says that this is the first epoch: an epoch may be long, and its middle is no start."""


class Need(StrEnum):
    """What a rule, or a row of evidence, may need of a run."""

    known_where: str
    """When a run has it, in words: it stands on the pages."""

    def __new__(cls, what: str, known_where: str) -> Self:
        need = str.__new__(cls, what)
        need._value_ = what
        need.known_where = known_where
        return need

    MINIMISED = (
        "a loss that is minimised",
        "neither `objective`, nor the name of the loss, nor the metrics say GAN or reinforcement learning",
    )
    START = "the beginning of the run", "the first step lies within two strides of the log, or in the first epoch"
    BUDGET = "the planned length", "`total_steps` is sent and not yet passed"
    CHANCE = "chance level", "`loss_name` and `num_classes`, or `baseline_loss`, say what a constant answer gives"
    KIND = "the kind of loss", "`loss_name` is one that is known"
    VALIDATION = "a validation loss", "a `validation_loss` was sent"
    VALIDATION_METRIC = "a validation metric", "a metric on held-out data such as `val_accuracy` was sent"
    QUALITY = "a share of right answers", "a metric such as `accuracy` was sent"
    GRADIENTS = "gradient norms", "a `grad_norm` was sent"
    UNCLIPPED = "gradient norms from before clipping", "`grad_norm_is` does not say `after_clip`"
    LAYERS = "gradient norms by layer", "`layers` were sent"
    RATE = "the learning rate", "a `learning_rate` was sent, with the points or in the context"
    SETTING = "a setting that the client states", "the context names it"
    FACT = "a fact that the client states", "`facts` in the context name it"


Series = Literal["loss", "validation loss", "gradient norm"]


class Noise(NamedTuple):
    """A rule may also need an estimate of the noise: of which series, and from how many values on."""

    of: Series
    points: int

    def __str__(self) -> str:
        return f"the noise of the {self.of} (from {self.points} values on)"


Needed = Need | Noise
Needs = tuple[Needed | tuple[Needed, ...], ...]
"""Each of them, or any one of a tuple. Where one is not known nothing is said: what is not known is never bad."""


def any_of(need: Needed | tuple[Needed, ...]) -> tuple[Needed, ...]:
    """What is enough for one of the ``Needs``."""
    return (need,) if isinstance(need, Need | Noise) else need


class Run(Protocol):
    """What needs are asked of."""

    @property
    def memory(self) -> Memory:
        """What is remembered of the run."""

    @property
    def context(self) -> Context:
        """What the client said of the job."""

    @property
    def kind(self) -> LossKind:
        """What the context says of the loss."""

    @property
    def chance(self) -> float | None:
        """Chance level of this run's loss; None where it is not known."""

    @property
    def answers(self) -> bool:
        """Whether a share of right answers was sent."""


def has(run: Run, need: Needed) -> bool:
    """Whether a run has what is needed: the one place that says so, for rules and for evidence."""
    if isinstance(need, Noise):
        return _of(run.memory, need.of).n >= need.points
    return _HAS[need](run)


SETTINGS = (
    "optimizer", "momentum", "batch_size", "full_batch", "weight_decay", "warmup_steps", "grad_clip", "precision",
    "num_classes", "steps_per_epoch",
)  # fmt: skip
"""What of the context counts as a setting, beside the hyper-parameters that have no name of their own here. The loss,
the learning rate and the plan are needs of their own."""


def _states_a_setting(context: Context) -> bool:
    return any(getattr(context, name) is not None for name in SETTINGS)


_HAS: Mapping[Need, Callable[[Run], bool]] = {
    Need.MINIMISED: lambda run: is_minimised(run.memory, run.context, run.kind),
    Need.START: lambda run: begins_at_start(run.memory),
    Need.BUDGET: lambda run: budget(run.memory, run.context) is not None,
    Need.CHANCE: lambda run: run.chance is not None,
    Need.KIND: lambda run: run.kind.family is not Family.UNKNOWN,
    Need.VALIDATION: lambda run: run.memory.validation.n > 0,
    Need.VALIDATION_METRIC: lambda run: run.memory.held_out.n > 0,
    Need.QUALITY: lambda run: run.answers,
    Need.GRADIENTS: lambda run: run.memory.grad_norm.n > 0,
    Need.UNCLIPPED: lambda run: run.context.grad_norm_is != "after_clip",
    Need.LAYERS: lambda run: run.memory.layers.points > 0,
    Need.RATE: lambda run: run.memory.rates.current is not None or run.context.learning_rate is not None,
    Need.SETTING: lambda run: _states_a_setting(run.context) or bool(run.context.extra),
    Need.FACT: lambda run: run.context.facts is not None,
}
"""Looked up, not matched one by one: every rule asks at every review."""


def met(needs: Needs, has_it: Callable[[Needed], bool]) -> bool:
    """Whether all of them are there."""
    return all(has_it(need) if isinstance(need, (Need, Noise)) else any(map(has_it, need)) for need in needs)


@dataclass(frozen=True, slots=True)
class RunAsItStands:
    """A ``Run`` whose chance level may be one that was guessed from the loss."""

    memory: Memory
    context: Context
    kind: LossKind
    chance: float | None
    answers: bool


def had(run: Run) -> frozenset[Need]:
    """All that a run has, but for the noise."""
    return frozenset(need for need in Need if has(run, need))


def _of(memory: Memory, series: Series) -> Track:
    if series == "loss":
        return memory.loss
    return memory.validation if series == "validation loss" else memory.grad_norm


def is_minimised(memory: Memory, context: Context, kind: LossKind) -> bool:
    """Whether a lower loss is a better model: not so in GANs and reinforcement learning, told by ``objective``, by the
    loss's name or by the metrics."""
    return kind.minimised and (not memory.of_a_game or context.objective is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known at one point."""

    begins_at_start: bool
    """Whether the first value is one of the run's first: else it is an excerpt, or a resumed run."""
    stride: float
    """Steps between two values of the loss, 0 while there is but one."""
    by_epoch: bool
    chance: float | None
    budget: float | None
    """Share of the planned steps that is done; None where it is not known, or was passed."""


def stride_of(memory: Memory) -> float:
    """Mean distance between two losses, in steps; 0 while there are fewer than two."""
    track = memory.loss
    return (track.last_step - track.head_steps[0]) / (track.n - 1) if track.n > 1 else 0.0


def begins_at_start(memory: Memory) -> bool:
    """Whether the log begins where the run did: its first step within a stride or two, or in the first epoch.

    Judged by the strides of the first 64 losses (gradient norms where no loss is finite): a log may thin out later.
    """
    if memory.first_epoch is not None and memory.first_epoch > FIRST_EPOCHS[1] + 0.5:
        return False
    track = memory.loss if memory.loss.n else memory.grad_norm
    if track.n == 0:
        return True
    first = track.head_steps[0]
    if first <= 1:
        return True
    steps = track.head_steps
    in_first_epoch = memory.first_epoch in FIRST_EPOCHS
    if len(steps) == 1:
        return in_first_epoch
    stride = (steps[-1] - first) / (len(steps) - 1)
    return first <= (EPOCH_STRIDES if in_first_epoch else START_STRIDES) * stride


def budget(memory: Memory, context: Context) -> float | None:
    """Share of the planned steps that is done; None where it is not known, or was passed."""
    total = context.total_steps
    done = (memory.loss.last_step + 1) / total if total else None
    return done if done is not None and done <= PASSED else None


PASSED = 1.05
"""Of a plan: from here on it was another one."""


def known(memory: Memory, context: Context, chance: float | None) -> Known:
    """What is known of the run; ``chance`` is the kind's, reduced as this run's loss is."""
    return Known(
        begins_at_start=begins_at_start(memory),
        stride=stride_of(memory),
        by_epoch=context.step_unit == "epoch",
        chance=chance,
        budget=budget(memory, context),
    )
