"""``python -m benchmarks.repair``: how many faulty models train as well as their healthy twins after the advice.

Started from ``tests/`` (or with it on PYTHONPATH).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.detection.results import publish
from benchmarks.detection.score import share
from benchmarks.detection.table import percent
from benchmarks.detection.zoo.faults import faults
from benchmarks.repair.loop import ROUNDS, Repair, repair


def summarize(repairs: Sequence[Repair]) -> dict[str, Any]:
    """Shares repaired: overall, by rounds, by cause."""
    by_cause: dict[str, list[Repair]] = defaultdict(list)
    for done in repairs:
        by_cause[done.cause].append(done)
    within = {str(n): share(len(r.rounds) <= n and r.repaired for r in repairs).json() for n in range(1, ROUNDS + 1)}
    return {
        "repaired": share(r.repaired for r in repairs).json(),
        "repaired_within_rounds": within,
        "advised": share(bool(r.rounds) for r in repairs).json(),
        "asked_for": share(any(round_.suspected for round_ in r.rounds[:1]) for r in repairs).json(),
        "harmed": share(r.harmed for r in repairs).json(),
        "causes": {cause: {"repaired": share(r.repaired for r in of).json()} for cause, of in sorted(by_cause.items())},
    }


def markdown(summary: dict[str, Any]) -> str:
    """The summary as a table."""
    within = summary["repaired_within_rounds"].items()
    lines = [
        f"{summary['repaired']['of']} faulty runs; in brackets the 95 % interval.",
        "",
        "| after | trained as well as the healthy twin |",
        "| --- | --- |",
        *(f"| {n} round{'s' if n != '1' else ''} | {percent(s)} |" for n, s in within),
        "",
        f"Made worse by the first piece of advice: {percent(summary['harmed'])}. In {percent(summary['asked_for'])} of "
        "the runs no rule was sure, and the advice was that of a suspicion, for who asks; "
        f"{summary['repaired']['of'] - summary['advised']['hits']} got none.",
        "",
        "| cause | runs | repaired |",
        "| --- | --- | --- |",
        *(f"| {c} | {r['repaired']['of']} | {percent(r['repaired'])} |" for c, r in summary["causes"].items()),
    ]
    return "\n".join(lines) + "\n"


def line(done: Repair) -> str:
    """One run in one line."""
    steps = (
        "; ".join(f"[{r.finding}{'?' if r.suspected else ''}] {r.advice} -> {r.share:.2f}" for r in done.rounds)
        or "no advice"
    )
    verdict = f"{'ok    ' if done.repaired else 'FAILED'}{' HARM' if done.harmed else ''}"
    return f"{verdict} {done.id}: {done.condition}, {done.before:.2f}: {steps}"


def main(given: Sequence[str] | None = None) -> None:
    """Read the command line, repair, print, write."""
    parser = argparse.ArgumentParser(prog="benchmarks.repair", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="only faults with this in their id")
    parser.add_argument("--list", action="store_true", help="a line for every run")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--publish", action="store_true", help="write results.json and results.md")
    arguments = parser.parse_args(given)
    words = arguments.only
    chosen = [f for f in faults(range(arguments.seeds)) if not words or any(word in f.id for word in words)]
    with multiprocessing.get_context("fork").Pool(arguments.jobs) as pool:
        repairs = [r for r in pool.imap(repair, chosen, chunksize=4) if r is not None]
    if arguments.list:
        print("\n".join(map(line, repairs)))
    summary = summarize(repairs)
    print(markdown(summary))
    if arguments.json:
        arguments.json.write_text(json.dumps({"summary": summary, "repairs": [asdict(r) for r in repairs]}, indent=1))
    if arguments.publish:
        publish("Repair", summary, markdown(summary))


if __name__ == "__main__":
    main()
