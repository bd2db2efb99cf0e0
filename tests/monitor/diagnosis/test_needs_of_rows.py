"""What is not known of a run is no evidence: a row is silent where what it needs was taken away, and names it all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, partial

import pytest

from losswatch_server.monitor.diagnosis.evidence import ROWS, Evidence
from losswatch_server.monitor.diagnosis.evidence.row import Seen
from losswatch_server.monitor.diagnosis.measures import Measured, gather
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.known import Need, Needed, any_of
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import Condition
from monitor.diagnosis import made_breaks, made_returns, witness_runs
from monitor.diagnosis.remembered import found
from monitor.taken_away import from_context, from_memory

Sight = tuple[Finding, Memory, Context, int | None]
PLAINLY = 0.3
KEPT = 4
"""Runs in which a row is seen that are looked at."""
TAKEN = [(row, any_of(need)) for row in ROWS for need in row.needs]
BECAUSE_OF: dict[Need, frozenset[Need]] = {
    Need.KIND: frozenset({Need.CHANCE}),
    Need.SETTING: frozenset({Need.CHANCE}),
    Need.CHANCE: frozenset({Need.KIND}),
}
"""What goes with a need: chance level is of the kind of loss and the number of classes."""
GUESSED = {("initial_loss_enormous", Need.KIND)}
"""A row that counts where no chance level is known: that of a loss without a name may be guessed."""


@cache
def sights() -> dict[str, list[Sight]]:
    """Of each row, where it is seen."""
    of: dict[int, tuple[Measured, Memory, Context, int | None]] = {}

    def remember(memory: Memory, context: Context, *, since_step: int | None = None) -> Measured:
        measured = gather(memory, context, since_step=since_step)
        of[id(measured)] = (measured, memory, context, since_step)
        return measured

    seen_in: defaultdict[str, list[Sight]] = defaultdict(list)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(witness_runs, "gather", remember)
        patch.setattr(made_breaks, "gather", remember)
        patch.setattr(made_returns, "gather", remember)
        for seen in witness_runs.sights():
            _, memory, context, since = of[id(seen.measured)]
            for row in ROWS:
                if len(seen_in[row.name]) < KEPT and row.strength(seen) > PLAINLY:
                    seen_in[row.name].append((seen.finding, memory, context, since))
    return seen_in


def without(needs: Sequence[Needed], row: Evidence) -> Iterator[Seen]:
    """The runs in which a row is seen, with something taken away."""
    for finding, memory, context, since in sights()[row.name]:
        said = context
        for need in needs:
            said = from_context(need, said)
        yield Seen(finding, gather(from_memory(needs, memory), said, since_step=since), said)


def is_unknown(row: Evidence, seen: Seen) -> bool:
    """Whether one of its measures is not known."""
    return any(limit.strength(seen) is None for limit in row.when)


def of_row(row: Evidence, taken: Sequence[Needed] = ()) -> str:
    """A name for a test's report."""
    return ", ".join([row.name, *map(str, taken)])


@pytest.mark.slow
@pytest.mark.parametrize(("row", "taken"), TAKEN, ids=[of_row(*pair) for pair in TAKEN])
def test_a_row_does_not_count_where_what_it_needs_was_taken_away(row: Evidence, taken: tuple[Needed, ...]) -> None:
    assert sights()[row.name]
    assert {row.strength(seen) for seen in without(taken, row)} == {0.0}


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=of_row)
def test_a_row_that_becomes_unknown_without_something_says_that_it_needs_it(row: Evidence) -> None:
    named = {n for need in row.needs for n in any_of(need)}
    for need in Need:
        if named & {need, *BECAUSE_OF.get(need, ())} or (row.name, need) in GUESSED:
            continue
        runs = list(without([need], row))
        assert not runs or not all(map(partial(is_unknown, row), runs)), need


def test_a_log_that_begins_with_nan_in_the_middle_of_a_run_does_not_show_its_first_step() -> None:
    never = next(row for row in ROWS if row.name == "never_finite")
    measured = Measured(loss_nonfinite=8)

    def counts(onset: int, stride: int) -> float:
        finding = found(Condition.NON_FINITE, Memory(), onset=onset, consecutive=8)
        return never.strength(Seen(replace(finding, last_step=onset + 7 * stride), measured, Context()))

    assert counts(0, 1) > 0.9
    assert counts(100, 100) > 0.9
    assert counts(5000, 1) == 0.0
    assert counts(5000, 100) == 0.0
