"""The evidence of a finding, condition by condition: each number that a rule gives, with its unit.

Names are only added, so every schema allows others beside those that it lists; a test fails while a rule gives a name
that is not described here. ``required`` are the numbers that the finding's sentence needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from losswatch_server.api.description.types import Number
from losswatch_server.monitor.vocabulary import Condition


class Evidence(BaseModel):
    """Numbers behind a finding, rounded to six significant digits. A loss is in the unit of the loss itself."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="allow")


class _Levels(Evidence):
    rule: (
        Literal[
            "constant",
            "exactly at chance",
            "blown up",
            "ignores its gradients",
            "at chance",
            "not moved",
            "answers stay wrong",
            "validation is one number",
            "validation not moved",
            "fell back",
            "validation became one number",
            "stopped",
            "settles",
            "too slow",
            "clipped",
            "held back",
            "barely moves",
            "not moved, and the client says why",
            "stopped, and the client says why",
            "not done, and the client says why",
            "where it began, and the client says why",
            "no lower, and the client says why",
            "settled",
        ]
        | None
    ) = None
    """The line of the table of flat runs that decided."""
    first_level: Number
    """The loss at the start: the median of the first points."""
    level: Number
    """The loss now: the median of the last eighth of the points."""
    points: int
    """How many points the judgement uses."""
    progress: Number | None = None
    """How far the loss has fallen so far, in units of the loss."""
    progress_share: Number | None = None
    """The same as a share of the first level: 1 is all the way to 0."""
    noise: Number | None = None
    """Standard deviation of a single point about its local level, in units of the loss."""
    slope_t: Number | None = None
    """The slope over the second half of the run, in standard errors: below -2 the loss is still falling."""
    chance_level: Number | None = None
    """The loss of a model that knows nothing but the classes' frequencies; null where it is not known."""
    validation: Number | None = None
    """The latest validation loss; this and the next three where the rule rests on validation losses."""
    validations: int | None = None
    """How many validation losses there are."""
    first_validation: Number | None = None
    """The first of them."""
    equal_validations: int | None = None
    """How many of the latest are the same number."""


class NonFiniteEvidence(Evidence):
    """`non_finite`."""

    kind: Literal["nan", "inf", "-inf", "unknown"]
    """What the value was; `unknown` for an explicit null, which many encoders write for NaN."""
    consecutive: int
    """How many points in a row were not finite."""
    last_finite: Number | None = None
    """The last finite loss before."""
    recent_share: Number | None = None
    """The share of recent points whose gradient norm was not finite (half-life about 35 points)."""
    rank: int | None = None
    """The rank that reported it."""
    loss_scale: Number | None = None
    """The loss scale, where it has collapsed: each overflow halves it."""
    highest_loss_scale: Number | None = None
    """The highest one before."""


class DivergingEvidence(Evidence):
    """`diverging`."""

    lowest: Number
    """The lowest loss of the run."""
    current: Number
    """The loss now."""
    initial: Number | None = None
    """The loss at the start."""
    rule: (
        Literal[
            "growth", "jump", "multiplying", "start", "monotone", "risen", "both rise", "lost", "unbounded", "ladder"
        ]
        | None
    ) = None
    """The rule that found it."""
    highest_at_start: Number | None = None
    """The highest of the first three losses, where it exploded before the first or right after it."""
    rises: int | None = None
    """How many points in a row the loss has risen."""
    rise_factor: Number | None = None
    """The loss now over the lowest; null for a loss that is not positive."""
    steady: bool | None = None
    """Whether the ratios of successive rises agree: the loss grows geometrically."""
    accelerating: bool | None = None
    """Whether the rises themselves grow ever faster."""
    ratio_spread: Number | None = None
    """The largest of the last ratios of successive rises over the smallest; 1 is perfectly geometric."""
    difference_ratio: Number | None = None
    """One rise of the loss over the rise before it, per point."""
    steps_per_rise: Number | None = None
    """Steps from one of these points to the next."""
    growth_per_step: Number | None = None
    """The factor by which the loss grows per step."""
    doubling_steps: Number | None = None
    """Steps in which it doubles."""
    overflow_step: Annotated[list[int], Field(min_length=2, max_length=2)] | None = None
    """Between which steps the loss overflows in the run's precision if it goes on like this."""
    learning_rate_times_sharpness: Number | None = None
    """Learning rate times the largest curvature of the loss; plain gradient descent is unstable above 2."""
    learning_rate_limit: Number | None = None
    """The largest learning rate that would be stable."""
    learning_rate_limit_interval: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    """Its lower and upper bound."""
    limit_over_learning_rate: Number | None = None
    """The limit as a multiple of the learning rate in use, also where the rate itself was not sent."""


class LossSpikeEvidence(Evidence):
    """`loss_spike`."""

    level_before: Number
    """The loss before the jump."""
    peak: Number
    """The highest loss of the jump."""
    height: Number | None = None
    """The height of the jump in multiples of the noise; null without noise."""
    factor: Number | None = None
    """The peak over the level before; null for a loss that is not positive."""
    points_above: int | None = None
    """How many points the loss has stayed above."""
    spikes: int | None = None
    """How many jumps there have been."""
    recovered_step: int | None = None
    """The step from which on the loss was back; null while it is not, and where a worse condition took over."""


class ExplodingGradientEvidence(Evidence):
    """`exploding_gradient`."""

    start: bool
    """true: far too large from the first points on; false: it grew later."""
    ratio: Number | None = None
    """The gradient norm now over its level before."""
    median_before: Number | None = None
    """The gradient norm before."""
    median_now: Number | None = None
    """The gradient norm now."""
    first_norm: Number | None = None
    """The first gradient norm."""
    loss_over_chance: Number | None = None
    """The first loss over the chance level."""
    input_size: Number | None = None
    """How large the inputs of some layer must at least be for such a gradient; scaled inputs have size 1."""


class VanishingGradientEvidence(Evidence):
    """`vanishing_gradient`."""

    ratio: Number
    """The first layer's gradient norm over the largest layer's; without layers, the norm now over that at the start."""
    layers_dead: int
    """How many layers get no gradient at all."""
    layers: int | None = None
    """How many layers were reported."""
    dead_from_start: int | None = None
    """How many of the dead layers never had a gradient."""
    first_layer: Number | None = None
    """The gradient norm of the first layer."""
    largest_layer: Number | None = None
    """The largest gradient norm of a layer."""
    last_layer: Number | None = None
    """The same, in findings of older versions."""
    median_before: Number | None = None
    """The gradient norm at the start."""
    median_now: Number | None = None
    """The gradient norm now."""
    level: Number | None = None
    """The loss now."""
    first_level: Number | None = None
    """The loss at the start."""
    chance_level: Number | None = None
    """The loss of a model that knows nothing but the classes' frequencies."""


class NotLearningEvidence(_Levels):
    """`not_learning`."""

    constant: bool
    """Whether every loss was exactly the same."""
    minimal_detectable: Number | None = None
    """The smallest fall that would have been noticed in this noise, in units of the loss."""
    unmoved_by_gradient: bool | None = None
    """Whether the loss stands still although the gradient and the learning rate promise a fall."""
    chance_classes: int | None = None
    """Where chance level is not known: the number of classes whose chance level this loss would be, to the printed
    digits."""
    blown_up: bool | None = None
    """Whether the loss stands still far above its own start."""


class PlateauEvidence(_Levels):
    """`plateau`."""

    expected_floor: Number | None = None
    """Where the curve would end if it went on; given for a curve that has nearly arrived there."""
    best_level: Number | None = None
    """The lowest level before the present one; given for a run that had been better for long and lost it."""


class SlowConvergenceEvidence(_Levels):
    """`slow_convergence`."""

    level_at_end: Number
    """The loss that this pace leads to at the end of the run."""
    slope_per_point: Number | None = None
    """The slope over the second half of the run, in units of the loss per point."""


class OscillationEvidence(Evidence):
    """`oscillation`."""

    rule: Literal["period", "alternation", "swings"] | None = None
    """The rule that found it."""
    amplitude: Number
    """How far the loss swings from crest to trough, in units of the loss."""
    level: Number
    """The loss around which it swings."""
    period: Number
    """Points from one crest to the next."""
    period_correlation: Number | None = None
    """The autocorrelation at that period; 1 is exactly periodic."""
    lag1: Number | None = None
    """The autocorrelation from one point to the next; -1 is a perfect zigzag."""
    wider_than_noise: Number | None = None
    """How many times wider the swing is than the noise would make it."""
    progress_share: Number | None = None
    """How far the loss has fallen so far, as a share of the first level."""
    noise: Number | None = None
    """Standard deviation of a single point about its local level, in units of the loss."""


class OverfittingEvidence(Evidence):
    """`overfitting`."""

    rule: Literal["turned", "few", "unbroken", "from the first", "by far", "apart", "fell"] | None = None
    """The rule that found it."""
    metric: str | None = None
    """The validation metric that shows it, where no validation loss was sent; the next three are of it then."""
    best_step: int
    """The step of the lowest validation loss."""
    best_validation: Number
    """The lowest validation loss; of more than 192 evaluations it may be the mean of three about it."""
    validation_now: Number
    """The validation loss now; of more than 192 evaluations it may be the mean of the later half of those since."""
    rise: Number | None = None
    """How far it has risen since, in units of the loss; how much worse the metric has become."""
    z: Number | None = None
    """That rise in standard errors."""
    train_then: Number | None = None
    """The training loss at that step."""
    train_now: Number | None = None
    """The training loss now."""


class ConvergedEvidence(_Levels):
    """`converged`."""


Time = Annotated[
    datetime, WithJsonSchema({"oneOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]})
]  # older findings have seconds since 1970


class SilentEvidence(Evidence):
    """`silent`."""

    silent_s: Number
    """Seconds without a request when the finding opened."""
    last_seen_at: Time | None = None
    """When the run last reported; seconds since 1970 in findings of older versions."""
    expected_gap_s: Number | None = None
    """Seconds between requests that the client announced."""
    returned_at: Time | None = None
    """When the run reported again; seconds since 1970 in findings of older versions."""


EVIDENCE: Mapping[Condition, type[Evidence]] = {
    Condition.NON_FINITE: NonFiniteEvidence,
    Condition.DIVERGING: DivergingEvidence,
    Condition.EXPLODING_GRADIENT: ExplodingGradientEvidence,
    Condition.VANISHING_GRADIENT: VanishingGradientEvidence,
    Condition.NOT_LEARNING: NotLearningEvidence,
    Condition.OVERFITTING: OverfittingEvidence,
    Condition.OSCILLATION: OscillationEvidence,
    Condition.LOSS_SPIKE: LossSpikeEvidence,
    Condition.SLOW_CONVERGENCE: SlowConvergenceEvidence,
    Condition.PLATEAU: PlateauEvidence,
    Condition.SILENT: SilentEvidence,
    Condition.CONVERGED: ConvergedEvidence,
}
