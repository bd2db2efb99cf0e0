"""Runs that break, spike or swing in one way each, and what the client says of them: witnesses of rows of evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from losswatch_server.monitor.diagnosis.evidence.row import Seen
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import Condition
from monitor.diagnosis.remembered import found, remembered

N = 300
PERIOD = 32
NAN, INF = math.nan, math.inf
TEN = Context(loss_name="cross_entropy", num_classes=10)
SWINGING = (Condition.OSCILLATION, Condition.DIVERGING, Condition.LOSS_SPIKE, Condition.NOT_LEARNING)


def noisy(level: float, n: int = N, seed: int = 0) -> list[float]:
    return (level + 0.02 * np.random.default_rng(seed).normal(size=n)).tolist()


def broken(loss: float | None, norm: float | None, *, calm: int = 100, norms: bool = True) -> Monitor:
    """A calm run whose next point is not finite, and then every one."""
    monitor = Monitor("broken")
    for step, level in enumerate(noisy(2.0, calm)):
        monitor.see(Point(step, level, 0.5 if norms else None))
    monitor.see(Point(calm, loss, norm))
    for step in range(calm + 1, calm + 8):
        monitor.see(Point(step, NAN, NAN if norms else None))
    return monitor


def spiked(*spike: float) -> tuple[Memory, float]:
    """A calm run with a spike of these values in its middle, and the spike's peak."""
    calm = noisy(1.0, seed=3)
    return remembered([*calm[:150], *spike, *calm[150 + len(spike) :]]), max(spike)


def swinging(period: int = PERIOD) -> Memory:
    """A loss that repeats itself."""
    places = np.arange(N) % period
    noise = 0.02 * np.random.default_rng(9).normal(size=N)
    return remembered((1 + 0.6 * np.abs(places / period - 0.5) + noise).tolist())


def seen(condition: Condition, memory: Memory, context: Context, **evidence: float) -> Seen:
    onset = 150 if condition is Condition.LOSS_SPIKE else 0
    finding = found(condition, memory, onset=onset, **evidence)
    return Seen(finding, gather(memory, context, since_step=onset), context)


def seen_of(monitor: Monitor, context: Context) -> Seen:
    """The non-finite loss or gradient norm of a run."""
    finding = next(f for f in monitor.findings() if f.condition is Condition.NON_FINITE)
    return Seen(finding, gather(monitor.memory, context, since_step=finding.onset_step), context)


BREAKS = ((2.0, INF), (NAN, NAN), (INF, NAN), (INF, INF), (NAN, None), (INF, None))
SAID = (
    Context(), TEN, Context(precision="fp16"), Context(optimizer="sgd", learning_rate=10.0, batch_size=32),
    Context(optimizer="sgd", learning_rate=0.1, momentum=0.999, batch_size=1), Context(warmup_steps=0),
)  # fmt: skip


def sights() -> Iterator[Seen]:
    """Each of them."""
    for context in SAID:
        for loss, norm in BREAKS:
            for calm in (100, 0):
                yield seen_of(broken(loss, norm, calm=calm, norms=norm is not None), context)
        for spike in ((9.0, 6.0, 3.0), (3.0, 9.0, 27.0, 6.0), (9.0, *noisy(9.0, 20))):
            memory, peak = spiked(*spike)
            yield seen(Condition.LOSS_SPIKE, memory, context, peak=peak)
        for condition in SWINGING:
            for epoch in (PERIOD, 50):
                said = context.merged(Context(steps_per_epoch=epoch))
                yield seen(condition, swinging(), said)
