"""Memories and findings made from plain lists, for the tests of facts, causes, advice and forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from losswatch_server.monitor.diagnosis.engine import rank
from losswatch_server.monitor.diagnosis.measures import Measured, gather
from losswatch_server.monitor.findings import Cause, Finding
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.points import Context, Point, tamed
from losswatch_server.monitor.vocabulary import Condition, Severity


def judged(value: float) -> float:
    """The value as the monitor takes it into its memory."""
    loss = tamed(Point(0, value)).loss
    assert loss is not None
    return loss


def remembered(
    losses: Sequence[float],
    norms: Sequence[float] | None = None,
    *,
    rates: Sequence[float] | None = None,
    layers: Mapping[str, Sequence[float]] | None = None,
    validation: Sequence[float] | None = None,
    every: int = 1,
) -> Memory:
    """The memory of a run; validation losses are spread evenly over it."""
    memory = Memory()
    for i, loss in enumerate(losses):
        step = i * every
        memory.loss.add(step, judged(loss))
        if norms is not None:
            memory.grad_norm.add(step, judged(norms[i]))
        if rates is not None:
            memory.rates.add(step, judged(rates[i]))
        if layers is not None:
            memory.layers.add({name: series[i] for name, series in layers.items()})
    for i, loss in enumerate(validation or ()):
        memory.validation.add(i * len(losses) * every // len(validation or (1,)), judged(loss))
    return memory


def found(condition: Condition, memory: Memory, *, onset: int = 0, **evidence: Any) -> Finding:
    """A finding about the loss."""
    return Finding(
        id="f",
        condition=condition,
        series="loss",
        attempt=1,
        episode=0,
        severity=Severity.CRITICAL,
        confidence=0.99,
        onset_step=onset,
        opened_step=onset,
        last_step=memory.loss.last_step,
        evidence=evidence,
    )


def ranked(
    condition: Condition, memory: Memory, context: Context | None = None, *, onset: int = 0, **evidence: Any
) -> tuple[tuple[Cause, ...], Finding, Measured]:
    """The causes of a finding on such a memory, with the finding and the facts."""
    context = context or Context()
    finding = found(condition, memory, onset=onset, **evidence)
    facts = gather(memory, context, since_step=onset)
    causes = rank(finding, facts, context)
    return causes, replace(finding, causes=causes), facts


def names(causes: Sequence[Cause], most: int = 3) -> list[str]:
    """The names of the first causes."""
    return [cause.cause.value for cause in causes[:most]]
