"""What sets the faulty runs of a sweep apart, and when nothing does."""

from __future__ import annotations

from typing import Any

import pytest

from losswatch_server.alerts.sweep import SweepRun, apart


def sweep(faulty: list[dict[str, Any]], healthy: list[dict[str, Any]], waiting: int = 0) -> list[SweepRun]:
    runs = [SweepRun(uid=f"f{i}", status="critical", settings=s) for i, s in enumerate(faulty)]
    runs += [SweepRun(uid=f"h{i}", status="healthy", settings=s) for i, s in enumerate(healthy)]
    return runs + [SweepRun(uid=f"w{i}", status="waiting", settings={"learning_rate": 99.0}) for i in range(waiting)]


RATES = [{"learning_rate": 0.001 * (i + 1), "group": "g"} for i in range(30)]
OPTIMIZERS = [{"optimizer": name, "seed": seed} for name in ("sgd", "adam") for seed in (3, 1, 4, 1, 5, 9)]
CASES: list[tuple[str, list[SweepRun], str]] = [
    ("the largest rates", sweep(RATES[20:], RATES[:20]),
     "All 10 faulty runs so far have learning_rate >= 0.021; the 20 at or below 0.02 are healthy."),
    ("the smallest", sweep(RATES[:10], RATES[10:]),
     "All 10 faulty runs so far have learning_rate <= 0.01; the 20 at or above 0.011 are healthy."),
    ("a name", sweep(OPTIMIZERS[:6], OPTIMIZERS[6:]),
     "All 6 faulty runs so far have optimizer = sgd; the 6 with another are healthy."),
    ("runs too young to judge are neither", sweep(RATES[20:], RATES[:20], waiting=3),
     "All 10 faulty runs so far have learning_rate >= 0.021; the 20 at or below 0.02 are healthy."),
    ("rates on both sides", sweep(RATES[::2], RATES[1::2]), ""),
    ("what three runs would do by chance", sweep(RATES[1:3], RATES[:1]), ""),
    ("one run", sweep(RATES[29:], RATES[:29]), ""),
    ("all are faulty", sweep(RATES, []), ""),
]  # fmt: skip


@pytest.mark.parametrize(("runs", "sentence"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_sets_faulty_runs_apart(runs: list[SweepRun], sentence: str) -> None:
    assert apart(runs, {"f0"}) == sentence
