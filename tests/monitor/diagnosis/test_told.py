"""What a report tells because of each row of evidence: without the row it would tell something else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import pytest

from losswatch_server.monitor.diagnosis.engine import PLAINLY, rank, score, strengths
from losswatch_server.monitor.diagnosis.evidence import ROWS
from losswatch_server.monitor.diagnosis.evidence.row import Seen
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import CauseName, Condition
from monitor.curves import falling, points, watch
from monitor.diagnosis import made_returns
from monitor.diagnosis.made_breaks import sights as breaks
from monitor.diagnosis.remembered import found, remembered
from monitor.diagnosis.told import AHEAD, RULED_OUT, SAID_AGAINST, SAID_FOR
from monitor.diagnosis.witness_runs import (
    FLAT,
    FLOOR,
    RNG,
    SAID,
    STATED,
    TEN,
    N,
    broken_sights,
    decay,
    further_memories,
    jumps,
    memories,
    noisy,
    scattered,
)

FAR_BEHIND = "no_epoch_finite"
"""Speaks weakly against a bad batch, which is far behind wherever no epoch was finite."""
BY_NAME = {row.name: row for row in ROWS}
MSE = Context(loss_name="mse")
LOWERED = [0.1] * 180 + [0.03] * 40 + [0.01] * 40 + [0.001] * 40
BLEW_UP = [2.3, 80.0, 40.0, *FLAT[3:]]


def slow_memories() -> Iterator[tuple[Memory, Context]]:
    slope = (np.linspace(1, 0.85, N) + 0.004 * RNG(1).normal(size=N)).tolist()
    yield remembered(slope), MSE.merged(Context(optimizer="sgd", learning_rate=1e-4))
    yield remembered(noisy(2.1)), TEN
    yield remembered([2.0] * N, noisy(0.3)), Context()
    for span, context in ((20.0, Context()), (100.0, TEN)):
        yield remembered(decay(2.3, 0.5, span=span), np.linspace(0.2, 5, N).tolist()), context
    yield remembered(FLAT, decay(1.0, 0.1, span=60)), TEN
    yield remembered(FLAT, rates=LOWERED), TEN
    yield remembered(FLAT, rates=LOWERED), Context(optimizer="sgd")


def early_memories() -> Iterator[tuple[Memory, Context]]:
    """What the first points tell, with and without a warm-up."""
    starts = (BLEW_UP, [100.0, *decay(2.3, 0.5, n=N - 1)], [300.0, *[250.0] * 9, *decay(200, 20, n=N - 10)])
    for warmup in (None, 0, 100):
        for losses in starts:
            for context in (Context(warmup_steps=warmup), TEN.merged(Context(warmup_steps=warmup))):
                yield remembered(losses, [5 * loss for loss in losses]), context
                yield remembered(losses), context
    hump = [2.3, 2.6, 3.5, 4.5, 4.0, 3.0, *decay(2.5, 0.5, n=N - 6)]
    for optimizer in (None, "adam", "sgd"):
        yield remembered(hump), Context(optimizer=optimizer, learning_rate=1e-4)
    for validation in ([1.5] * 12, [1.5, 1.4, 1.3, 1.2, 1.1, 1.0] * 2):
        for context in (Context(optimizer="adam", learning_rate=1e-6), Context(grad_clip=1e-4), TEN):
            yield remembered(FLAT, validation=validation), context
            yield remembered(FLAT, [1e-4] * N, validation=validation), context


def said_of_the_job() -> Iterator[tuple[Memory, Context]]:
    bases = [remembered(FLAT), remembered(FLOOR), remembered(BLEW_UP)]
    for context in [*(TEN.merged(Context(facts=facts)) for facts in STATED), *SAID]:
        yield from ((memory, context) for memory in bases)


def streams() -> Iterator[Sequence[Point]]:
    losses, nan = falling(60), math.nan
    yield points([nan] * 20)
    yield points([nan if i in (30, 31, 45, 46, 52) else loss for i, loss in enumerate(losses)])
    yield points(losses, grad_norm=[1.0] * 40 + [math.inf] * 20)
    yield points(losses, validation_loss=[*losses[:30], *[nan] * 30])
    yield points([10 * loss if i == 150 else loss for i, loss in enumerate(falling(200))])


@cache
def made() -> tuple[tuple[Memory, Context], ...]:
    """Runs of every kind."""
    return (
        *memories(),
        *further_memories(),
        *slow_memories(),
        *early_memories(),
        *said_of_the_job(),
        *scattered(),
        *jumps(),
    )


@cache
def sights(condition: str) -> tuple[Seen, ...]:
    """Findings of a condition on each of them, and those that are raised on a few streams."""
    of = Condition(condition)
    seen = [Seen(found(of, memory, input_size=5000.0), gather(memory, c, since_step=150), c) for memory, c in made()]
    for stream in streams():
        for context in (Context(), TEN, Context(precision="fp16")):
            monitor = watch(stream, context)
            seen.extend(
                Seen(finding, gather(monitor.memory, context, since_step=finding.onset_step), context)
                for finding in monitor.findings()
                if finding.condition is of
            )
    seen.extend(one for one in (*broken_sights(), *breaks(), *made_returns.sights()) if one.finding.condition is of)
    return tuple(seen)


def where(row: str, condition: str) -> Iterator[Seen]:
    """The sights in which a row is plainly there."""
    return (seen for seen in sights(condition) if BY_NAME[row].strength(seen) >= PLAINLY)


@pytest.mark.slow
@pytest.mark.parametrize("row", SAID_FOR)
def test_a_row_is_told_as_a_reason_for_a_cause(row: str) -> None:
    condition, cause = SAID_FOR[row]
    assert any(
        told.cause == cause and BY_NAME[row].says(seen) in told.because
        for seen in where(row, condition)
        for told in rank(seen.finding, seen.measured, seen.context)
    )


@pytest.mark.slow
@pytest.mark.parametrize("row", SAID_AGAINST)
def test_a_row_is_told_as_speaking_against_a_cause(row: str) -> None:
    condition, cause = SAID_AGAINST[row]
    assert any(
        told.cause == cause and BY_NAME[row].says(seen) in told.against
        for seen in where(row, condition)
        for told in rank(seen.finding, seen.measured, seen.context)
    )


@pytest.mark.slow
@pytest.mark.parametrize("row", RULED_OUT)
def test_a_cause_is_not_told_where_a_row_speaks_against_it(row: str) -> None:
    condition, cause = RULED_OUT[row]
    seen = list(where(row, condition))
    assert seen
    for one in seen:
        assert cause not in [told.cause for told in rank(one.finding, one.measured, one.context)]


@pytest.mark.slow
@pytest.mark.parametrize("row", AHEAD)
def test_where_a_row_is_there_one_cause_stands_before_another(row: str) -> None:
    condition, first, second = AHEAD[row]
    seen = list(where(row, condition))
    assert seen
    for one in seen:
        causes = [scored.cause for scored in score(one, strengths(one))]
        assert causes.index(CauseName(first)) < causes.index(CauseName(second))


def test_each_side_of_every_row_is_told_or_rules_out_or_orders() -> None:
    against = {*SAID_AGAINST, *RULED_OUT, *AHEAD, FAR_BEHIND}
    for row in ROWS:
        assert not row.for_ or row.name in {*SAID_FOR, *AHEAD}, row.name
        assert not row.against or row.name in against, row.name
