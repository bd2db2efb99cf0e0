"""Sweep: how many runs a sweep has, and what sets those that are told of apart from the others. Pure.

A sweep is run to learn which settings work. When every faulty run lies on one side of a setting and every other run on
the other side, that is the message. A split that chance alone would make is not told: of the ways to choose the faulty
among all runs, one in twenty for each setting that was looked at is the least that counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

from losswatch_server.monitor.vocabulary import Status

FIRST = (
    "learning_rate",
    "batch_size",
    "momentum",
    "weight_decay",
    "warmup_steps",
    "grad_clip",
    "optimizer",
    "precision",
)
NOT_SETTINGS = frozenset({"group", "framework", "step_unit", "total_steps", "expected_gap_s", "baseline_loss"})
CHANCE = 20
FAULTY = (Status.WARNING, Status.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRun:
    """A run of a sweep: its uid, its status, and its settings by name."""

    uid: str
    status: str
    settings: Mapping[str, Any]


def apart(runs: Sequence[SweepRun], told: Iterable[str]) -> str:
    """The sentence that tells the faulty runs from the healthy ones; empty where no setting does.

    Faulty are those that the message tells of (by uid) and those that are faulty already; a run with too few points to
    judge is neither.
    """
    chosen = set(told)
    inside = [run for run in runs if run.uid in chosen or run.status in FAULTY]
    outside = [run for run in runs if run.uid not in chosen and run.status == Status.HEALTHY]
    if len(inside) < 2 or not outside:
        return ""
    names = _varying([*inside, *outside])
    if comb(len(inside) + len(outside), len(inside)) < CHANCE * max(1, len(names)):
        return ""
    return next((sentence for name in names if (sentence := _split(name, inside, outside))), "")


def _varying(runs: Sequence[SweepRun]) -> list[str]:
    """The settings that every run has and that are not the same in all."""
    shared = set.intersection(*({n for n, v in run.settings.items() if _is_plain(v)} for run in runs)) - NOT_SETTINGS
    varying = [name for name in shared if len({run.settings[name] for run in runs}) > 1]
    return sorted(varying, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))


def _split(name: str, inside: Sequence[SweepRun], outside: Sequence[SweepRun]) -> str:
    theirs, others = [run.settings[name] for run in inside], [run.settings[name] for run in outside]
    faulty, healthy = f"All {len(inside)} faulty runs so far have {name}", f"the {len(outside)}"
    if all(_is_number(value) for value in (*theirs, *others)):
        if min(theirs) > max(others):
            return f"{faulty} >= {_number(min(theirs))}; {healthy} at or below {_number(max(others))} are healthy."
        if max(theirs) < min(others):
            return f"{faulty} <= {_number(max(theirs))}; {healthy} at or above {_number(min(others))} are healthy."
        return ""
    if len(set(map(str, theirs))) == 1 and str(theirs[0]) not in set(map(str, others)):
        return f"{faulty} = {theirs[0]}; {healthy} with another are healthy."
    return ""


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: float) -> str:
    return f"{value:.4g}"
