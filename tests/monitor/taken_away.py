"""Runs from which one thing is taken away that a rule or a row of evidence may need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from losswatch_server.monitor.known import SETTINGS, Need, Needed, Noise
from losswatch_server.monitor.memory.held_out import HeldOut
from losswatch_server.monitor.memory.memory import Layers, Memory, Rates
from losswatch_server.monitor.memory.quality import Quality
from losswatch_server.monitor.memory.track import Track
from losswatch_server.monitor.points import Context, Point

Run = tuple[list[Point], Context]
LATE_EPOCH = 7.0
"""An excerpt: its first line is of this epoch."""
OF_POINTS: dict[Need, str] = {
    Need.VALIDATION: "validation_loss",
    Need.GRADIENTS: "grad_norm",
    Need.LAYERS: "layers",
    Need.QUALITY: "metrics",
    Need.VALIDATION_METRIC: "metrics",
    Need.RATE: "learning_rate",
}
FIELDS = {"loss": "loss", "validation loss": "validation_loss", "gradient norm": "grad_norm"}


def from_context(need: Needed, context: Context) -> Context:
    """What the client no longer says."""
    match need:
        case Need.MINIMISED:
            return replace(context, objective="none")
        case Need.BUDGET:
            return replace(context, total_steps=None)
        case Need.CHANCE:
            return replace(context, loss_name="huber", baseline_loss=None)
        case Need.KIND:
            return replace(context, loss_name=None)
        case Need.UNCLIPPED:
            return replace(context, grad_norm_is="after_clip")
        case Need.RATE:
            return replace(context, learning_rate=None)
        case Need.SETTING:
            return replace(context, extra={}, **dict.fromkeys(SETTINGS))
        case Need.FACT:
            return replace(context, facts=None)
    return context


def from_run(needs: Sequence[Needed], run: Run) -> Run:
    """A run without any of these; without noise: cut off before there are as many values."""
    points, context = run
    for need in needs:
        context = from_context(need, context)
        if isinstance(need, Noise):
            counts = accumulate(getattr(p, FIELDS[need.of]) is not None for p in points)
            points = [p for p, count in zip(points, counts, strict=True) if count < need.points]
        elif need is Need.START:
            points = [p._replace(epoch=LATE_EPOCH) for p in points]
        elif need in OF_POINTS:
            points = [p._replace(**{OF_POINTS[need]: None}) for p in points]
    return points, context


def shortened(track: Track, count: int) -> Track:
    """A series of the latest ``count`` values."""
    short = Track()
    for step, value in list(zip(track.recent_steps, track.recent, strict=True))[-count:]:
        short.add(step, value)
    return short


def from_memory(needs: Sequence[Needed], memory: Memory) -> Memory:
    """The same of what is remembered of a run."""
    for need in needs:
        match need:
            case Noise("loss", count):
                memory = replace(memory, loss=shortened(memory.loss, count - 1), first_epoch=0.0)
            case Noise("gradient norm", count):
                memory = replace(memory, grad_norm=shortened(memory.grad_norm, count - 1))
            case Noise("validation loss", count):
                memory = replace(memory, validation=shortened(memory.validation, count - 1))
            case Need.START:
                memory = replace(memory, first_epoch=LATE_EPOCH)
            case Need.VALIDATION:
                memory = replace(memory, validation=Track())
            case Need.VALIDATION_METRIC:
                memory = replace(memory, held_out=HeldOut())
            case Need.QUALITY:
                memory = replace(memory, quality=Quality())
            case Need.GRADIENTS:
                memory = replace(memory, grad_norm=Track(), grad_zero=0)
            case Need.LAYERS:
                memory = replace(memory, layers=Layers())
            case Need.RATE:
                memory = replace(memory, rates=Rates())
    return memory
