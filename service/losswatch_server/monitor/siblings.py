"""A run among its siblings: how its loss compares at one step. Informative only: no finding comes of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from losswatch_server.monitor.faults import Fault, Faults
from losswatch_server.monitor.loss_kind import loss_kind
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.sentences import number
from losswatch_server.monitor.stats.trend import median

SMOOTHED = 5
"""Points whose median is compared: one noisy batch must not decide who is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    """Another run of the group, or an earlier attempt of the same run, with its loss at the compared step.

    ``loss`` is infinite where it was not finite. ``earlier``: it was started before the run that is compared.
    """

    run: str
    uid: str
    attempt: int
    loss: float
    earlier: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a run stands. ``step`` and what follows from it are None where nothing can be compared.

    ``rank`` 1 is the lowest loss; ``worse_than`` counts siblings with a lower loss, ``better_than`` with a higher.
    ``quantiles`` are the lowest, the quartiles and the highest of the siblings' losses (0, 25, 50, 75, 100 %).
    ``siblings`` by ascending loss; ``not_reached`` counts those that never came to this step.
    """

    group: str | None
    step: int | None
    loss: float | None
    rank: int | None
    worse_than: int
    better_than: int
    quantiles: tuple[float, float, float, float, float] | None
    siblings: tuple[Sibling, ...]
    not_reached: int
    sentence: str
    faults: tuple[Fault, ...] = ()
    """What failed while this was put together, for whoever logs and counts; ``sentence`` says it then."""


def level(losses: Sequence[float | None]) -> float | None:
    """The median of the last ``SMOOTHED`` measured losses; infinite where that is not finite; None for none."""
    measured = [loss if math.isfinite(loss) else math.inf for loss in losses if loss is not None][-SMOOTHED:]
    return median(measured) if measured else None


def common_step(own: int, others: Sequence[int]) -> int:
    """The latest step that this run and at least half of the ``others`` (not empty) have come to.

    Not the step that all have come to: one that crashed at once would end every comparison there.
    """
    furthest_first = sorted(others, reverse=True)
    return min(own, furthest_first[(len(others) - 1) // 2])


def comparable(own: Context, other: Context) -> bool:
    """Whether losses at the same step mean the same: one loss function, one unit of steps, and lower is better."""
    for name in ("loss_name", "step_unit"):
        mine, theirs = getattr(own, name), getattr(other, name)
        if mine is not None and theirs is not None and mine != theirs:
            return False
    return loss_kind(own).minimised and loss_kind(other).minimised


def compare(
    uid: str, group: str | None, step: int | None, loss: float | None, siblings: Sequence[Sibling], not_reached: int
) -> Standing:
    """Where the run ``uid`` with this loss stands among ``siblings`` at ``step``."""
    if step is None or loss is None or not siblings:
        return _incomparable(group, not_reached, _nothing(group, not_reached))
    faults = Faults()
    standing = faults.shield(
        "comparison", "", step, partial(_compare, uid, group, step, loss, siblings, not_reached), None
    )
    if standing is not None:
        return standing
    said = " ".join(fault.note for fault in faults.known())
    return replace(_incomparable(group, not_reached, said), faults=tuple(faults.drain()))


def _incomparable(group: str | None, not_reached: int, sentence: str) -> Standing:
    return Standing(
        group=group,
        step=None,
        loss=None,
        rank=None,
        worse_than=0,
        better_than=0,
        quantiles=None,
        siblings=(),
        not_reached=not_reached,
        sentence=sentence,
    )


def _compare(
    uid: str, group: str | None, step: int, loss: float, siblings: Sequence[Sibling], not_reached: int
) -> Standing:
    ordered = tuple(sorted(siblings, key=lambda sibling: (sibling.loss, sibling.run, sibling.attempt)))
    lower = sum(sibling.loss < loss for sibling in ordered)
    higher = sum(sibling.loss > loss for sibling in ordered)
    q0, q1, q2, q3, q4 = (ordered[round(share * (len(ordered) - 1))].loss for share in (0, 0.25, 0.5, 0.75, 1))
    return Standing(
        group=group,
        step=step,
        loss=loss,
        rank=lower + 1,
        worse_than=lower,
        better_than=higher,
        quantiles=(q0, q1, q2, q3, q4),
        siblings=ordered,
        not_reached=not_reached,
        sentence=_sentence(step, loss, lower, higher, _called(uid, ordered)),
    )


def _nothing(group: str | None, not_reached: int) -> str:
    if not_reached:
        return "There is nothing to compare with: no other run of the group can be compared at a step of this one."
    if group is None:
        return "There is nothing to compare with: send the context's `group` to have this run compared with its sweep."
    return f"There is nothing to compare with: no other run of group {group!r} has a loss that can be compared."


def _called(uid: str, siblings: Sequence[Sibling]) -> str:
    """What all siblings together are called, with their number."""
    attempts = sum(sibling.uid == uid for sibling in siblings)
    plural = "" if len(siblings) == 1 else "s"
    if attempts == len(siblings):
        return f"{attempts} earlier attempt{plural}"
    when = "earlier" if all(sibling.earlier for sibling in siblings) else "other"
    and_attempts = " and attempts" if attempts else ""
    return f"{len(siblings)} {when} run{plural}{and_attempts}"


def _sentence(step: int, loss: float, lower: int, higher: int, called: str) -> str:
    told = f"The loss at step {step:,} ({number(loss)})"
    if lower == higher == 0:
        return f"{told} is the same as that of {called}."
    if lower >= higher:
        return f"{told} is worse than that of {lower} of {called}."
    return f"{told} is better than that of {higher} of {called}."
