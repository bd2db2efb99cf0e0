"""The same run, logged as other people would log it: what a verdict must survive.

A way gets a run and an offset from 0 to 4 and gives the run as it would be seen, with the label as far as it is still
known, or None where nobody could know it. The offset decides which points are kept, so that no single stream of
thinned points decides a figure.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import replace

from benchmarks.detection.labels import LabelledRun, context_of
from benchmarks.detection.programs.confusable import confusable
from benchmarks.detection.zoo.views import spike_seen
from losswatch_server.monitor.points import Context, Point

OFFSETS = 5
LEAST_POINTS = 40
EPOCHS = 40
GRADIENT_ALONE = frozenset({"exploding_gradient", "vanishing_gradient"})
NOT_MOVING = ("not_learning", "plateau")
OF_EPOCHS = ("framework", "optimizer", "learning_rate", "loss_name", "num_classes", "batch_size", "momentum",
             "weight_decay", "objective", "precision")  # fmt: skip
Way = Callable[[LabelledRun, int], LabelledRun | None]


def as_is(run: LabelledRun, offset: int) -> LabelledRun | None:
    """As the zoo logs it."""
    return known(told(run, run.sent, run.context))


def every_10th(run: LabelledRun, offset: int) -> LabelledRun | None:
    """One point in ten, beginning at twice the offset."""
    if len(run.points) < 10 * LEAST_POINTS:
        return None
    return known(replace(run, points=run.points[2 * offset :: 10]))


def loss_alone(run: LabelledRun, offset: int) -> LabelledRun | None:
    """Steps and losses, and nothing known of the job."""
    if run.family.startswith("game"):
        return None
    points = tuple(Point(step=p.step, loss=p.loss) for p in run.points)
    return known(told(replace(run, points=points), "nothing", Context()))


def printed(run: LabelledRun, offset: int) -> LabelledRun | None:
    """Three decimals, as a progress bar prints; at an offset the printed loss is a little larger, so that it rounds
    elsewhere."""
    finite = [abs(p.loss) for p in run.points if p.loss is not None and math.isfinite(p.loss)]
    if not finite or not 0.05 < statistics.median(finite) < 1e6:
        return None
    factor = 1 + 0.003 * offset
    points = tuple(p._replace(loss=three_decimals(p.loss, factor)) for p in run.points)
    return known(replace(run, points=points))


def epoch_means(run: LabelledRun, offset: int) -> LabelledRun | None:
    """Means of forty parts at four digits, no gradient norm; an offset leaves out that many twentieths of a part."""
    size = len(run.points) // EPOCHS
    if size < 4 or run.full_context is None or run.full_context.get("step_unit") == "epoch":
        return None
    points = run.points[round(size * offset / 20) :]
    made = []
    for i in range(EPOCHS):
        part = points[i * size : (i + 1) * size]
        losses = [p.loss for p in part if p.loss is not None]
        held = [p.validation_loss for p in part if p.validation_loss is not None]
        if losses:
            mean = sum(losses) / len(losses)
            made.append(
                Point(step=i + 1, loss=float(f"{mean:.4g}"), validation_loss=float(f"{held[-1]:.4g}") if held else None)
            )
    context = {name: value for name, value in run.full_context.items() if name in OF_EPOCHS}
    context |= {"step_unit": "epoch", "total_steps": EPOCHS, "steps_per_epoch": size}
    onset = run.label.onset_step
    label = run.label
    if onset is not None:
        place = next((i for i, p in enumerate(points) if p.step >= onset), len(points) - 1)
        label = replace(label, onset_step=1 + place // size)
    seen = replace(run, points=tuple(made), label=label, facts=(), full_context=context)
    return known(told(seen, "full", context_of(context)))


def excerpt(run: LabelledRun, offset: int) -> LabelledRun | None:
    """The log begins in the middle, at 40 to 60 % of the run. A fault that began before is known only as NaN is."""
    start = round(len(run.points) * (0.4 + 0.05 * offset))
    points = run.points[start:]
    if len(points) < LEAST_POINTS / 2:
        return None
    seen, label = replace(run, points=points), run.label
    if label.healthy:
        return seen
    if label.condition == "non_finite":
        return known(replace(seen, label=replace(label, onset_step=max(label.onset_step or 0, points[0].step))))
    begun = points[0].step + 0.1 * (points[-1].step - points[0].step)
    return known(seen) if (label.onset_step or 0) > begun else None


def no_context(run: LabelledRun, offset: int) -> LabelledRun | None:
    """All that was measured, and nothing known of the job."""
    return told(run, "nothing", Context())


def whole_context(run: LabelledRun, offset: int) -> LabelledRun | None:
    """All that was measured, and all that a diligent client says; no facts."""
    return None if run.full_context is None else told(run, "full", context_of(run.full_context))


def with_facts(run: LabelledRun, offset: int) -> LabelledRun | None:
    """The whole context, and the facts of an integration."""
    return told(run, "facts", context_of(run.full_context or {})) if run.facts else None


WAYS: dict[str, Way] = {
    "as is": as_is,
    "every 10th": every_10th,
    "loss alone": loss_alone,
    "three decimals": printed,
    "40 epoch means": epoch_means,
    "excerpt": excerpt,
    "no context": no_context,
    "whole context": whole_context,
    "context and facts": with_facts,
}

BY_KNOWLEDGE = ("no context", "whole context", "context and facts")
"""The ways that measure the same and differ in what is known of the job."""


def told(run: LabelledRun, sent: str, context: Context) -> LabelledRun:
    """The run with that context; which causes are a fair answer follows from how much is known."""
    label = replace(run.label, cause_also_ok=confusable(run.label.cause, sent))
    return replace(run, context=context, sent=sent, label=label)


def known(run: LabelledRun) -> LabelledRun | None:
    """The run with the label as far as the log still shows it; None where it shows it no more."""
    label, points = run.label, run.points
    if label.healthy:
        return run
    if label.condition in GRADIENT_ALONE and not any(p.grad_norm is not None for p in points):
        # a vanished gradient is then seen as a loss that does not move; an exploded one is not seen
        seen_as = next((name for name in label.also_ok if name in NOT_MOVING), None)
        if label.condition == "exploding_gradient" or seen_as is None:
            return None
        rest = tuple(name for name in label.also_ok if name != seen_as)
        return replace(run, label=replace(label, condition=seen_as, also_ok=rest))
    if label.condition == "overfitting" and not any(p.validation_loss is not None for p in points):
        return None
    if label.condition == "non_finite" and not any(broken(p) for p in points):
        return None
    if label.condition == "loss_spike" and not spike_seen(label, points):
        return None
    return run


def broken(point: Point) -> bool:
    """Anything of the point is not finite."""
    values = (point.loss, point.grad_norm, point.validation_loss)
    return any(value is not None and not math.isfinite(value) for value in values)


def three_decimals(loss: float | None, factor: float) -> float | None:
    """As printed."""
    return loss if loss is None or not math.isfinite(loss) else round(loss * factor, 3)
