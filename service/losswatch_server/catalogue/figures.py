"""The measured figures that pages quote: looked up by name in the detection benchmark's summary.

A page writes ``{{figure:false_alarm_rate}}`` for one figure of all runs, ``{{figure:recall.diverging}}`` for one of
a condition or cause, and ``{{figures:diverging}}`` for the table of everything measured about a condition.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

NOT_MEASURED = "not measured yet"
_PLACEHOLDER = re.compile(r"\{\{(figures?):([a-z0-9_.]+)\}\}")
_ROWS = (
    ("healthy runs that raise it wrongly", "false_alarms"),
    ("wrong alarms per 10,000 points of healthy runs", "false_alarms_per_10000_points"),
    ("simulated runs of pure noise that raise it wrongly", "null_false_alarms"),
    ("runs with this condition that are found", "recall"),
    ("median delay, as a share of the run after the onset", "delay"),
    ("found, and with the true cause in first place", "cause_at_1"),
)


def load() -> Mapping[str, Any]:
    """The summary of the last benchmark that was written to ``figures.json``; empty when there is none."""
    file = resources.files("losswatch_server.catalogue") / "figures.json"
    if not file.is_file():
        return {}
    summary: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return summary


def resolve(text: str, summary: Mapping[str, Any]) -> str:
    """``text`` with every placeholder replaced by what the benchmark measured."""

    def replacement(match: re.Match[str]) -> str:
        kind, name = match.groups()
        return table(name, summary) if kind == "figures" else figure(name, summary)

    return _PLACEHOLDER.sub(replacement, text)


def table(condition: str, summary: Mapping[str, Any]) -> str:
    """Everything measured about one condition, as a markdown table."""
    rows = [f"| {words} | {figure(f'{measure}.{condition}', summary)} |" for words, measure in _ROWS]
    return "\n".join(["| measured | figure |", "| --- | --- |", *rows])


def figure(name: str, summary: Mapping[str, Any]) -> str:
    """One figure in words: ``recall_macro``, or ``recall.diverging``; "not measured yet" when it is absent."""
    measure, _, of = name.partition(".")
    for table_name in ("conditions", "causes") if of else ():
        row = summary.get(table_name, {}).get(of)
        if row is not None and measure in row:
            return in_words(row[measure])
    return NOT_MEASURED if of else in_words(summary.get(measure))


def in_words(value: Any) -> str:
    """A share as ``0.7 % (0.2 % to 2.1 %), 3 of 412``, a median share as a percentage, a number as it is."""
    match value:
        case {"hits": hits, "of": of, "interval": [low, high]}:
            share = _percent(hits / of) if of else "no share"
            return f"{share} ({_percent(low)} to {_percent(high)}), {hits} of {of}"
        case {"share": float(share), "interval": [low, high]} | {"median": float(share), "interval": [low, high]}:
            return f"{_percent(share)} ({_percent(low)} to {_percent(high)})"
        case bool():
            return NOT_MEASURED
        case int() | float():
            return f"{value:,}" if abs(value) < 100 else f"{value:,.0f}"
    return NOT_MEASURED


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
